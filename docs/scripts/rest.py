"""Griffe extension: the reStructuredText of numpydoc docstrings, as Markdown."""

import re
from typing import Any

import griffe


def to_markdown(text: str) -> str:
    """Convert math directives and roles, and cross-reference roles."""
    lines = text.split("\n")
    out: list[str] = []
    block: list[str] | None = None
    indent = 0
    for line in lines:
        directive = re.match(r"^(\s*)\.\. math::\s*(.*)$", line)
        if directive:
            indent = len(directive.group(1))
            block = [directive.group(2)] if directive.group(2) else []
            continue
        if block is not None:
            inside = line.strip() and len(line) - len(line.lstrip()) > indent
            if inside or (not line.strip() and not block):
                if line.strip():
                    block.append(line.strip())
                continue
            out += [" " * indent + "$$", *(" " * indent + part for part in block), " " * indent + "$$"]
            block = None
        out.append(line)
    if block is not None:
        out += [" " * indent + "$$", *(" " * indent + part for part in block), " " * indent + "$$"]
    text = "\n".join(out)
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r":(?:class|func|meth|mod|attr|data|exc):`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"^(\s*)\.\. \[(\d+)\]", r"\1\2.", text, flags=re.M)


class Rest(griffe.Extension):
    """Convert every docstring as it is collected."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Convert one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)
