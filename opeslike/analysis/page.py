"""What a report looks like: headings, tables and charts, as text for the terminal and as HTML."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opeslike._version import __version__
from opeslike.analysis.charts import Chart
from opeslike.analysis.drawing import picture, small
from opeslike.analysis.formats import Table, text_table

#: Characters in a line of a note, and of a cell, in the text.
NOTE_WIDTH, CELL_WIDTH = 99, 60


class Page(NamedTuple):
    """What every report shows; each part is a heading, and the tables and charts (by title) below it."""

    title: str
    caption: str
    warnings: Sequence[str]
    tiles: Mapping[str, str]
    parts: Sequence[tuple[str, Sequence[Table], Mapping[str, Chart]]]


def page_text(page: Page) -> str:
    """The tables as text for the terminal."""
    lines = [page.title, "=" * len(page.title), page.caption, *page.warnings]
    for table in (table for _, tables, _ in page.parts for table in tables if not table.folded):
        skip = 0 if table.index else 1
        rows = [[textwrap.fill(cell, CELL_WIDTH) for cell in [name, *values][skip:]] for name, values in table.rows]
        text = text_table([table.corner, *table.head][skip:], rows, words=table.words)
        lines += ["", table.title, "-" * len(table.title), text]
        if table.note:
            lines += ["", *textwrap.wrap(table.note, NOTE_WIDTH)]
    return "\n".join(lines)


def page_html(page: Page, template: str = "page.html.j2", **more: Any) -> str:
    """The page as HTML: whole, or what goes into the cell of a notebook."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("opeslike.analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(page=page, version=__version__, image=as_image, **more)


def as_image(chart: Chart) -> str:
    """A chart as the address of an SVG picture that holds it whole."""
    content = picture(small(chart), "svg", dpi=160, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(content).decode("ascii")


def notebook_html(title: str, caption: str, tables: Sequence[Table], charts: Mapping[str, Chart] | None = None) -> str:
    """What a notebook shows of a result: for ``_repr_html_`` of any room."""
    return page_html(Page(title, caption, (), {}, [("", tables, charts or {})]), "fragment.html.j2")
