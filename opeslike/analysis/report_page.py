"""What a report looks like: a page of headings, tables and charts, as text and as HTML."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from opeslike._version import __version__
from opeslike.analysis.output import write_atomically
from opeslike.analysis.report_format import Table

#: Characters in a line of a note in the text.
NOTE_WIDTH = 99


@dataclass(frozen=True)
class Chart:
    """A chart in the page: its heading, and the address that holds the picture."""

    title: str
    image: str


@dataclass(frozen=True)
class Part:
    """A heading and what stands below it."""

    heading: str
    tables: list[Table]
    charts: list[Chart]


@dataclass(frozen=True)
class Page:
    """What both kinds of report show."""

    title: str
    caption: str
    warnings: list[str]
    tiles: list[tuple[str, str]]
    parts: list[Part]


def page_text(page: Page) -> str:
    """The tables as text for the terminal."""
    from tabulate import tabulate

    lines = [page.title, "=" * len(page.title), page.caption, *page.warnings]
    for part in page.parts:
        for table in (each for each in part.tables if not each.folded):
            rows = [
                [_wrapped(text) for text in ([name, *values] if table.index else values)] for name, values in table.rows
            ]
            heads = [table.corner, *table.head] if table.index else table.head
            align = ["left", *["left" if table.words else "right"] * (len(heads) - 1)]
            text = tabulate(rows, headers=heads, colalign=align if rows else None, disable_numparse=True)
            lines += ["", table.title, "-" * len(table.title), text]
            if table.note:
                lines += ["", *textwrap.wrap(table.note, NOTE_WIDTH)]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return text if len(text) <= 60 else "\n".join(textwrap.wrap(text, 60))


def deliver(page: Page, path: str | os.PathLike[str] | None) -> Path | str:
    """The page as HTML, written to a path where there is one.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("opeslike.analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html.j2").render(page=page, version=__version__)
    return text if path is None else write_atomically(path, text)
