"""The rules of the house: who may import whom, and what `import opeslike` may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "opeslike"

#: a room imports only from rooms listed before it
ROOMS = [
    "_version",
    "errors",
    "checks",
    "deadline",
    "kl",
    "parameters",
    "panel",
    "market",
    "data",
    "beliefs",
    "modelling",
    "proof",
    "solvers",
    "objectives",
    "sizing",
    "strategies",
    "accounting",
    "analysis",
    "backtester",
    "compare",
    "cli",
    "__main__",
]
#: heavy libraries, where they may be imported, and only inside functions
HEAVY = {
    "cvxpy": ("modelling/", "objectives/", "solvers/conic.py"),
    "matplotlib": ("analysis/",),
    "yfinance": ("data/yahoo.py",),
    "jinja2": ("analysis/",),
    "sklearn": ("parameters.py", "beliefs/"),
    "arch": ("beliefs/",),
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> list[tuple[str, bool]]:
    """Imported module names, and whether the import runs when the module is loaded."""
    found = []

    def visit(node: ast.AST, loading: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, loading) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "imports are absolute"
                found.append((child.module or "", loading))
                found.extend((f"{child.module}.{alias.name}", loading) for alias in child.names)
            inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            visit(child, loading and not inner)

    visit(tree, True)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_from_rooms_before_them(path: Path) -> None:
    if path.name == "__init__.py" and path.parent == PACKAGE:
        return
    own = ROOMS.index(room(path))
    for name, _ in imports(ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == "opeslike" and len(parts) > 1 and parts[1] in ROOMS:
            assert ROOMS.index(parts[1]) <= own, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms_and_are_lazy(path: Path) -> None:
    where = str(path.relative_to(PACKAGE)).replace("\\", "/")
    for name, loading in imports(ast.parse(path.read_text(encoding="utf-8"))):
        top = name.split(".")[0]
        if top in HEAVY:
            assert where.startswith(HEAVY[top]), f"{where} may not import {top}"
            assert not loading, f"{where} imports {top} at load time"


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    names = {}
    for path in MODULES:
        parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        names[path] = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    known = set(names.values())
    for path, name in names.items():
        used = {n for n, loading in imports(ast.parse(path.read_text(encoding="utf-8"))) if loading and n in known}
        graph[name] = used - {name}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in graph[name]:
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_import_is_light() -> None:
    code = (
        "import sys, opeslike; "
        "print([m for m in ('cvxpy', 'matplotlib', 'yfinance', 'scipy', 'jinja2', 'sklearn') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    import opeslike

    for name in opeslike.__all__:
        assert getattr(opeslike, name) is not None
    assert set(opeslike.__all__) <= set(dir(opeslike))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        opeslike.nonsense  # noqa: B018
