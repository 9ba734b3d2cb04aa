"""What a report looks like: headings, tables and charts, as text for the terminal and as HTML."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opeslike._version import __version__
from opeslike.analysis.charts import LINE_COLOURS, Chart
from opeslike.analysis.drawing import picture, small
from opeslike.analysis.formats import Table, folded, text_table

#: Characters in a line of the text, in a cell, and in the head of a column where room is short.
WIDTH, CELL_WIDTH, HEAD_WIDTH = 80, 60, 8


class Page(NamedTuple):
    """What every report shows; each part is a heading, and the tables and charts below it."""

    title: str
    caption: str
    warnings: Sequence[str]
    tiles: Mapping[str, str]
    parts: Sequence[tuple[str, Sequence[Table], Sequence[Chart]]]


#: What greys are on a dark page.
_DARK = {"#000000": "#e6e9ec", "#ffffff": "#14171a", "#d9d9d9": "#2c3238", "#555555": "#9aa4ae", "#e4e4e4": "#3a4148"}


def page_text(page: Page) -> str:
    """The tables as text for the terminal."""
    lines = [page.title, "=" * len(page.title)]
    lines += [textwrap.fill(line, WIDTH) for line in (page.caption, *page.warnings)]
    for table in (table for _, tables, _ in page.parts for table in tables if not table.folded):
        skip = 0 if table.index else 1
        rows = [[textwrap.fill(cell, CELL_WIDTH) for cell in [name, *values][skip:]] for name, values in table.rows]
        lines += ["", table.title, "-" * len(table.title)]
        lines += [_fitted([table.corner, *table.head][skip:], rows, table.words)]
        if table.note:
            lines += ["", *textwrap.wrap(table.note, WIDTH)]
    return "\n".join(lines)


def _fitted(heads: list[str], rows: list[list[str]], words: bool) -> str:
    """A table of text that keeps within the width: long heads over several lines, then columns over several tables."""
    whole = text_table(heads, rows, words=words)
    if max(map(len, whole.splitlines())) <= WIDTH or len(heads) < 2:
        return whole
    heads = [textwrap.fill(head, HEAD_WIDTH, break_long_words=False) for head in heads]

    def part(start: int, stop: int) -> str:
        shown = [0, *range(start + 1, stop + 1)]
        return text_table([heads[i] for i in shown], [[row[i] for i in shown] for row in rows], words=words)

    return folded(part, len(heads) - 1, WIDTH)


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
    turned = dict(_DARK)
    for colour in LINE_COLOURS:
        parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        turned[colour.lower()] = "#" + "".join(f"{part + round(0.3 * (255 - part)):02x}" for part in parts)
    rule = '[style*="{0}: {1}"]{{{0}:{2}!important}}'.format
    rules = [rule(what, *colours) for colours in turned.items() for what in ("fill", "stroke")]
    return "@media (prefers-color-scheme:dark){svg{fill:#e6e9ec}" + "".join(rules) + "}"


def notebook_html(title: str, caption: str, tables: Sequence[Table], charts: Sequence[Chart] = ()) -> str:
    """What a notebook shows of a result: for ``_repr_html_`` of any room."""
    return page_html(Page(title, caption, (), {}, [("", tables, charts)]), "fragment.html.j2")
