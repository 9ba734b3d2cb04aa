"""Files written whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TypeAlias

from opeslike.errors import OutputError, PortfolioError

#: A path to save a chart to, True for a name of its own in the current folder, False for none.
SaveFig: TypeAlias = "bool | str | os.PathLike[str]"
CHART_FORMATS = ("jpeg", "jpg", "pdf", "png", "svg", "webp")


def chart_path(savefig: SaveFig) -> Path | None:
    """Where a chart goes: None for False, ``plot_<milliseconds>.png`` for True, else the path.

    A path without a suffix gets ``.png``.

    Raises
    ------
    PortfolioError
        If the suffix names no format a chart can be saved in.
    """
    if isinstance(savefig, bool):
        return Path(f"plot_{time.time_ns() // 1_000_000}.png") if savefig else None
    path = Path(savefig)
    path = path if path.suffix else path.with_suffix(".png")
    if path.suffix[1:].lower() not in CHART_FORMATS:
        raise PortfolioError(f"cannot save a chart as {path.suffix!r}; use one of {', '.join(CHART_FORMATS)}")
    return path


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write a file beside its final place and move it there, so that nobody sees half of it.

    Parameters
    ----------
    path : path-like
        Where to; its folder must exist. An existing file is replaced.
    content : bytes or str
        Text is written as UTF-8.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OutputError
        If the folder is missing or cannot be written to.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, target)
    except OSError as error:
        # Nothing to remove where the folder itself is the trouble.
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        if not target.parent.is_dir():
            reason = f"{target.parent} is not a folder; create it first"
        raise OutputError(f"cannot write {target}: {reason}") from error
    return target
