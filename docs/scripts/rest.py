"""Griffe extension: numpydoc docstrings as Markdown, and the signatures that Python itself reports."""

import importlib
import inspect
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


def one_by_one(text: str) -> str:
    """Give every parameter an entry of its own where a docstring lists several, and write choices without braces.

    Of ``a, b : float`` griffe would take the default of the first for both, of ``{"x", "y"}`` the first choice.
    """
    parts = re.split(r"(?m)^(Parameters\n-{3,}\n)", text, maxsplit=1)
    if len(parts) < 3:
        return text
    before, head, rest = parts
    section = re.split(r"(?m)^(?=\w+\n-{3,}\n)", rest, maxsplit=1)
    entries = re.split(r"(?m)^(?=\S)", section[0])
    split = []
    for entry in entries:
        entry = re.sub(r"^(\w[\w, ]* : )\{(.*?)\}", lambda m: m[1] + " or ".join(m[2].split(", ")), entry)
        names = re.match(r"(\w+(?:, \w+)+)(.*)", entry, flags=re.S)
        split += [f"{name}{names[2].rstrip()}\n" for name in names[1].split(", ")] if names else [entry]
    return before + head + "".join(split) + ("\n" + section[1] if len(section) > 1 else "")


def signature_of(path: str) -> inspect.Signature | None:
    """The signature of an object by its path; None where it has none of interest."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        try:
            for name in parts[cut:]:
                found = getattr(found, name)
            return inspect.signature(found)
        except (AttributeError, ValueError, TypeError):
            return None
    return None


def default_of(value: object, source: object) -> str | None:
    """A default as it would be written: as it is in the source where ``repr`` is no Python."""
    if value is inspect.Parameter.empty:
        return None
    text = getattr(value, "__name__", None) or repr(value)
    unclear = "<" in text or "mappingproxy" in text
    return str(source) if unclear and source is not None and "field(" not in str(source) else text


def written(annotation: Any) -> str | None:
    """An annotation as it would be written."""
    if annotation is inspect.Parameter.empty:
        return None
    if isinstance(annotation, str):
        return annotation
    return getattr(annotation, "__forward_arg__", None) or getattr(annotation, "__name__", None) or str(annotation)


class Rest(griffe.Extension):
    """Convert every docstring as it is collected, and give every class the constructor it really has."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Convert one docstring."""
        if obj.docstring is not None:
            obj.docstring.value = one_by_one(to_markdown(obj.docstring.value))

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Replace what was read from the source by what Python reports, inherited and generated constructors too."""
        self._true(pkg)

    def _true(self, place: griffe.Module | griffe.Class) -> None:
        for item in list(place.members.values()):
            if item.is_alias:
                continue
            if isinstance(item, griffe.Module):
                self._true(item)
            elif isinstance(item, griffe.Class):
                self._true(item)
                own = signature_of(item.path)
                if own is not None:
                    fields = [
                        griffe.Parameter(name, annotation=field.annotation, default=field.value)
                        for name, field in item.all_members.items()
                        if isinstance(field, griffe.Attribute) and not field.is_alias
                    ]
                    read = griffe.Parameters(*({item.name: item for item in [*fields, *item.parameters]}).values())
                    init = griffe.Function("__init__", parameters=self._parameters(own, read), parent=item)
                    item.set_member("__init__", init)
            elif isinstance(item, griffe.Function) and "property" not in item.labels:
                own = signature_of(item.path)
                if own is not None:
                    item.parameters = self._parameters(own, item.parameters)

    def _parameters(self, signature: inspect.Signature, read: griffe.Parameters) -> griffe.Parameters:
        """Parameters as Python reports them; annotations as written in the source where that is known."""
        made = []
        for name, parameter in signature.parameters.items():
            known = next((item for item in read if item.name == name), None)
            annotation = known.annotation if known else written(parameter.annotation)
            default = default_of(parameter.default, known.default if known else None)
            kind = griffe.ParameterKind(parameter.kind.description)
            made.append(griffe.Parameter(name, annotation=annotation, kind=kind, default=default))
        return griffe.Parameters(*made)
