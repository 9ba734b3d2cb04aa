"""MkDocs hook: formulas become MathML, which browsers draw by themselves, so that the site needs no network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert


def on_page_content(content: str, **kwargs: Any) -> str:
    """Replace what arithmatex marked as LaTeX."""

    def inline(match: re.Match[str]) -> str:
        return convert(html.unescape(match.group(1)).strip())

    def block(match: re.Match[str]) -> str:
        formula = convert(html.unescape(match.group(1)).strip(), display="block")
        return f'<div class="formula" style="overflow-x: auto">{formula}</div>'

    content = re.sub(r'<span class="arithmatex">\\\((.*?)\\\)</span>', inline, content, flags=re.S)
    return re.sub(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', block, content, flags=re.S)
