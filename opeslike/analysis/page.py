"""What a report looks like: headings, tables and charts, as text for the terminal and as HTML."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opeslike._version import __version__
from opeslike.analysis.charts import LINE_COLOURS, Chart
from opeslike.analysis.drawing import picture, small
from opeslike.analysis.formats import Table, text_table

#: Characters in a line of a note, and of a cell, in the text.
NOTE_WIDTH, CELL_WIDTH = 99, 60


class Page(NamedTuple):
    """What every report shows; each part is a heading, and the tables and charts below it."""

    title: str
    caption: str
    warnings: Sequence[str]
    tiles: Mapping[str, str]
    parts: Sequence[tuple[str, Sequence[Table], Sequence[Chart]]]


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


def page_html(page: Page, template: str = "page.html.j2", *, interactive: bool = False) -> str:
    """The page as HTML: whole, or what goes into the cell of a notebook; its charts pictures, or drawn by Plotly."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("opeslike.analysis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    show: dict[str, Any] = {"image": as_image, "script": "", "div": None}
    if interactive:
        from opeslike.analysis.interactive import chart_div, plotly_script

        show |= {"script": plotly_script(), "div": chart_div}
    return environment.get_template(template).render(page=page, version=__version__, **show)


def as_image(chart: Chart) -> str:
    """A chart as the address of an SVG picture that holds it whole; its colours turn where the reader's are dark."""
    content = picture(small(chart), "svg", dpi=160, transparent=True, metadata={"Date": None}).decode()
    content = content.replace('<style type="text/css">', f'<style type="text/css">{_dark_style()}', 1)
    return "data:image/svg+xml;base64," + base64.b64encode(content.encode()).decode("ascii")


def _dark_style() -> str:
    """Rules of a picture for readers in the dark: ink and grid turn, lines are lightened."""
    turned = {
        "#000000": "#e6e9ec",
        "#ffffff": "#14171a",
        "#d9d9d9": "#2c3238",
        "#555555": "#9aa4ae",
        "#e4e4e4": "#3a4148",
    }
    for colour in LINE_COLOURS:
        parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        turned[colour.lower()] = "#" + "".join(f"{part + round(0.3 * (255 - part)):02x}" for part in parts)
    rules = [
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in turned.items()
        for what in ("fill", "stroke")
    ]
    return "@media (prefers-color-scheme:dark){svg{fill:#e6e9ec}" + "".join(rules) + "}"


def notebook_html(title: str, caption: str, tables: Sequence[Table], charts: Sequence[Chart] = ()) -> str:
    """What a notebook shows of a result: for ``_repr_html_`` of any room."""
    return page_html(Page(title, caption, (), {}, [("", tables, charts)]), "fragment.html.j2")
