"""Every public name has a place in the API pages, and what the built pages say of signatures and defaults is true."""

from __future__ import annotations

import ast
import html
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_overloads

import pytest

import opeslike

ROOT = Path(__file__).resolve().parent.parent.parent
LISTED = re.findall(
    r"^::: (opeslike[\w.]*)$",
    "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").rglob("*.md"))),
    re.MULTILINE,
)
ROOMS = [
    "opeslike",
    *(f"opeslike.{room.name}" for room in pkgutil.iter_modules(opeslike.__path__) if not room.name.startswith("_")),
]
PUBLIC = sorted({(room, name) for room in ROOMS for name in getattr(importlib.import_module(room), "__all__", ())})

#: what defaults may be written with
KNOWN = {"inf": float("inf")} | {name: getattr(importlib.import_module(room), name) for room, name in PUBLIC}


def test_there_are_public_names() -> None:
    assert ("opeslike", "Kelly") in PUBLIC
    assert len(PUBLIC) > 100


@pytest.mark.parametrize(("room", "name"), PUBLIC, ids=[f"{room}.{name}" for room, name in PUBLIC])
def test_every_public_name_is_on_a_page(room: str, name: str) -> None:
    value = getattr(importlib.import_module(room), name)
    home = getattr(value, "__module__", None) or room
    if name.startswith("__") or not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    within = home.rpartition(".")[0]  # a page may list a whole room, which shows what the room exports
    names = {f"{room}.{name}", f"{home}.{name}", home} | {place for place in (room, within) if place != "opeslike"}
    assert any(listed in names for listed in LISTED), f"no API page lists {home}.{name} or its module"


def resolve(path: str) -> Any:
    """The object of a dotted path."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name) if inspect.ismodule(found) else inspect.getattr_static(found, name)
        return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
    raise LookupError(path)


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def described(page: str) -> dict[str, str]:
    """The parts of a page, from one documented object to the next, by path."""
    starts = [(m.start(), m[1]) for m in re.finditer(r'<h\d id="(opeslike[\w.]*)" class="doc doc-heading"', page)]
    ends = [start for start, _ in starts[1:]] + [len(page)]
    return {path: page[start:end] for (start, path), end in zip(starts, ends, strict=True)}


def written_defaults(signature: str) -> dict[str, str | None]:
    """Names and defaults of a signature as the page prints it."""
    tree = ast.parse(f"def f{signature[signature.index('(') :].strip().replace('<factory>', '...')}: ...")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    names = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(names) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(names, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return {name.arg: None if value is None else ast.unparse(value) for name, value in pairs}


@pytest.mark.skipif(find_spec("mkdocstrings") is None, reason="the documentation's tools are not installed")
@pytest.mark.slow
def test_pages_tell_the_real_signatures(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(site)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    wrong, seen = [], 0
    for page in sorted((site / "api").rglob("index.html")):
        for path, part in described(page.read_text(encoding="utf-8")).items():
            value = resolve(path)
            if not callable(value):
                continue  # properties and attributes have no signature
            try:
                true = inspect.signature(value)
            except ValueError:
                continue
            true_defaults = {
                name: item.default
                for name, item in true.parameters.items()
                if item.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
                and not (name in ("self", "cls") and inspect.isroutine(value))
            }
            blocks = re.findall(r'<div class="doc-signature highlight">(.*?)</div>', part, re.DOTALL)
            callable_blocks = [text for text in map(text_of, blocks) if "(" in text]
            if not callable_blocks:
                continue
            seen += 1
            told = written_defaults(callable_blocks[-1 if get_overloads(value) else 0])
            told.pop("self", None)
            scope = KNOWN | vars(sys.modules[value.__module__])
            if list(told) != list(true_defaults):
                wrong.append(f"{path}: page {list(told)}, code {list(true_defaults)}")
                continue
            items = re.findall(r"<b><code>(\w+)</code></b>[^–]*?default:\s*<code>(.*?)</code>", part, re.DOTALL)
            listed = {name: text_of(text) for name, text in items}
            wrong += [
                f"{path}: the page gives {name} the default {text}, the code {true_default!r}"
                for name, true_default in true_defaults.items()
                for text in (told[name], listed.get(name, told[name]))
                if not same(text, true_default, scope)
            ]
    assert seen > 100
    assert not wrong, "\n".join(wrong[:20])


def same(text: str | None, true: Any, scope: dict[str, Any]) -> bool:
    """Whether a default as written means the one the code has."""
    if text is None or true is inspect.Parameter.empty:
        return text is None and true is inspect.Parameter.empty
    if text in ("...", "<factory>"):
        return repr(true) == "<factory>"
    if ast.dump(ast.parse(text)) == ast.dump(ast.parse(re.sub("<.*>", "0", repr(true)))):
        return True
    value = eval(text, dict(scope))
    return value is true or bool(value == true) or repr(value) == repr(true)
