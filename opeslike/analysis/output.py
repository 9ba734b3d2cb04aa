"""Files and folders written whole or not at all."""

from __future__ import annotations

import csv
import ctypes
import hashlib
import io
import json
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from opeslike._version import __version__
from opeslike.errors import OutputError, PortfolioError

#: A path to save a chart to, True for a name of its own in the current folder, False for none.
SaveFig: TypeAlias = "bool | str | os.PathLike[str]"
Content: TypeAlias = "bytes | str"
CHART_FORMATS = ("jpeg", "jpg", "pdf", "png", "svg", "webp")
#: The list of what a folder holds, with a hash for each file.
MANIFEST = "manifest.json"
#: What makes a spreadsheet take a cell for a formula.
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a symbolic link"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def chart_path(savefig: SaveFig) -> Path | None:
    """Where a chart goes: None for False, ``plot_<milliseconds>.png`` for True, else the path.

    A path without a suffix gets ``.png``.

    Raises
    ------
    OutputError
        If the path is empty.
    PortfolioError
        If the suffix names no format a chart can be saved in.
    """
    if isinstance(savefig, bool):
        return Path(f"plot_{time.time_ns() // 1_000_000}.png") if savefig else None
    path = _named(savefig, "file")
    path = path if path.suffix else path.with_suffix(".png")
    if path.suffix[1:].lower() not in CHART_FORMATS:
        raise PortfolioError(f"cannot save a chart as {path.suffix!r}; use one of {', '.join(CHART_FORMATS)}")
    return path


def write_atomically(path: str | os.PathLike[str], content: Content) -> Path:
    """Write a file beside its final place and move it there, so that nobody sees half of it.

    A file that exists is replaced and keeps its mode; a symbolic link is followed and what it points to is replaced.
    Any number of writers may write the same file at once: the last one wins.

    Parameters
    ----------
    path : path-like
        Where to; its folder must exist.
    content : bytes or str
        Text is written as UTF-8.

    Returns
    -------
    Path
        The file written, as it was named.

    Raises
    ------
    OutputError
        If there is no name, the folder is missing or cannot be written to, or what is there is no regular file (a
        folder, a FIFO, a device).
    """
    named = _named(path, "file")
    with _told(named):
        target = Path(os.path.realpath(named))
        mode = _mode(target)
        partial = target.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            _write(partial, content, mode)
            os.replace(partial, target)
        finally:
            with suppress(OSError):
                partial.unlink()
    return named


def write_folder(path: str | os.PathLike[str], files: Mapping[str, Content | Callable[[], Content]]) -> list[Path]:
    """Write a folder of files beside its final place and swap it in: the old one stays whole until the new one is.

    A kill at any moment or a full disk leaves all of the old files or all of the new (where the system cannot let two
    folders trade names, a kill between two renames leaves the old one beside, as ``.<letters>.old``). ``manifest.json``
    lists the files with their SHA-256. What an earlier call wrote and this one does not is dropped, unless it was
    changed since; other people's files are carried over. Modes of files and folder are kept.

    Parameters
    ----------
    path : path-like
        The folder; made with the ones above it if it is not there. A symbolic link to a folder is followed.
    files : mapping of name to content, or to a function that returns it
        Names are relative, with ``/`` for folders inside. Functions are called one by one, as the files are written.

    Returns
    -------
    list of Path
        The files written, in the order given; the manifest last.

    Raises
    ------
    OutputError
        If the folder or a file cannot be written, a name leads out of the folder, the folder holds the current one, or
        something that is no regular file stands where a file should go.
    """
    named = _named(path, "folder")
    with _told(named):
        target = Path(os.path.realpath(named))
        if Path.cwd().is_relative_to(target):
            raise OutputError(f"cannot write {named}: it is replaced whole and holds the current folder; name another")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(20, "it is not a folder")
        partial = target.with_name(f".{target.name[:64]}.{uuid.uuid4().hex}.partial")
        _sweep(target)
        try:
            partial.mkdir()
            if target.is_dir():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            hashes = {}
            for name, content in files.items():
                place = partial / _inside(name)
                place.parent.mkdir(parents=True, exist_ok=True)
                hashes[name] = _write(place, content, _mode(target / name, link=False))
            _carry_over(target, partial, {*hashes, MANIFEST})
            manifest = {"made by": f"opeslike {__version__}", "sha256": hashes}
            _write(partial / MANIFEST, json.dumps(manifest, indent=1) + "\n", _mode(target / MANIFEST, link=False))
            _swap_in(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return [named / name for name in (*hashes, MANIFEST)]


def check_folder(path: str | os.PathLike[str]) -> list[str]:
    """The files of a folder that :func:`write_folder` wrote and that are gone or not as they were; empty if all are.

    Raises
    ------
    OutputError
        If there is no manifest that can be read.
    """
    folder = _named(path, "folder")
    hashes = _hashes(folder)
    if hashes is None:
        raise OutputError(f"{folder / MANIFEST} is missing or cannot be read; write the folder again")
    return [name for name, known in hashes.items() if _hash_of(folder / name) != known]


def csv_text(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values whose heads and first column no spreadsheet takes for formulas, see :func:`harmless`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(harmless, heads))
    writer.writerows([harmless(label), *row] for label, *row in rows)
    return text.getvalue()


def harmless(name: object) -> object:
    """A name for a cell of a spreadsheet, with ``'`` before it where it would be read as a formula."""
    if not isinstance(name, str):
        return name
    line = name.replace("\r", " ")  # the writer would not quote it
    return f"'{line}" if name.startswith(_FORMULA) else line


def _named(path: str | os.PathLike[str], what: str) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise OutputError(f"cannot write {path!r}: it is not the name of a {what}")
    return Path(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the system says into an error that names the path."""
    try:
        yield
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if not path.parent.is_dir():
            reason = f"{path.parent} is not a folder; create it first"
        raise OutputError(f"cannot write {path}: {reason}") from error


def _mode(path: Path, *, link: bool = True) -> int | None:
    """The mode of a file that is there, None where there is none.

    Raises
    ------
    OSError
        If something else is there.
    """
    try:
        mode = (path.stat() if link else path.lstat()).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(mode):
        raise OSError(22, f"it is {_KINDS.get(stat.S_IFMT(mode), 'a device')}, not a regular file; name another")
    return stat.S_IMODE(mode)


def _write(path: Path, content: Content | Callable[[], Content], mode: int | None) -> str:
    """Write a new file to the disk; its hash."""
    given = content() if callable(content) else content
    data = given.encode() if isinstance(given, str) else given
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        path.chmod(mode)
    return hashlib.sha256(data).hexdigest()


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or path == PurePosixPath(MANIFEST):
        raise OutputError(f"a file of a folder cannot be called {name!r}; give a relative name inside it")
    return path


def _hash_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


def _hashes(folder: Path) -> dict[str, str] | None:
    try:
        hashes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        return {str(name): str(known) for name, known in hashes.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _sweep(target: Path) -> None:
    """Remove what killed writers of a folder left beside it, a day ago or longer."""
    for left in target.parent.iterdir():
        if left.name.startswith(f".{target.name[:64]}.") and left.suffix == ".partial":
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > 86400:
                    shutil.rmtree(left)


def _carry_over(old: Path, new: Path, written: set[str]) -> None:
    """Link (or copy) what others put into the old folder into the new one."""
    ours = _hashes(old) or {}
    for folder, inner, names in os.walk(old):
        for path in (Path(folder, name) for name in [*names, *inner]):
            if path.is_dir() and not path.is_symlink():
                continue
            relative = path.relative_to(old)
            key = relative.as_posix()
            if key in written or (key in ours and _hash_of(path) == ours[key]):
                continue
            (new / relative).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, new / relative, follow_symlinks=False)
            except OSError:
                shutil.copy2(path, new / relative, follow_symlinks=False)


def _swap_in(new: Path, target: Path) -> None:
    """Put a folder where another is, or none; the other is then where the new one was."""
    try:
        os.rename(new, target)
    except OSError:
        if not target.is_dir():
            raise
        if not _exchange(new, target):
            aside = target.with_name(f".{uuid.uuid4().hex}.old")
            os.rename(target, aside)
            os.rename(new, target)
            os.rename(aside, new)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders trade names in one step, where the system can (Linux, macOS)."""
    with suppress(AttributeError, OSError, TypeError):
        names = os.fsencode(one), os.fsencode(other)
        libc = ctypes.CDLL(None)
        if hasattr(libc, "renameat2"):
            return bool(libc.renameat2(-100, names[0], -100, names[1], 2) == 0)
        return bool(libc.renamex_np(*names, 2) == 0)
    return False
