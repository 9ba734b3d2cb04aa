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
    "kl",
    "panel",
    "sums",
    "market",
    "data",
    "beliefs",
    "modelling",
    "proof",
    "solvers",
    "objectives",
    "insight",
    "sizing",
    "strategies",
    "accounting",
    "evidence",
    "analysis",
    "backtester",
    "studies",
    "orders",
    "interop",
    "cli",
    "__main__",
]
#: heavy libraries, where they may be imported, and only inside functions
HEAVY = {
    "cvxpy": ("modelling/", "solvers/conic.py"),
    "matplotlib": ("analysis/",),
    "plotly": ("analysis/",),
    "jinja2": ("analysis/",),
    "yfinance": ("data/yahoo.py",),
    "ccxt": ("data/",),
    "sklearn": ("parameters.py", "modelling/", "objectives/", "beliefs/", "studies/", "interop/"),
    "skfolio": ("interop/",),
    "joblib": ("studies/", "insight/"),
    "dask": ("studies/",),
    "distributed": ("studies/",),
    "arch": ("evidence/", "beliefs/", "insight/", "studies/"),
}
#: methods that show a result may call upon what draws it
SHOWING = {"plot", "report", "to_html", "_repr_html_"}
LONGEST = 400
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = {path: path.read_text(encoding="utf-8") for path in MODULES}
TREES = {path: ast.parse(text) for path, text in SOURCES.items()}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


KNOWN = {module_name(path) for path in MODULES}


def imports(tree: ast.AST) -> list[tuple[str, bool, tuple[str, ...]]]:
    """Imported modules, whether the import runs when the module is loaded, and in which functions it stands.

    What is imported for type checking only stands, for this purpose, in a function called ``TYPE_CHECKING``.
    """
    found: list[tuple[str, bool, tuple[str, ...]]] = []

    def visit(node: ast.AST, loading: bool, inside: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                visit(child, False, (*inside, "TYPE_CHECKING"))
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, loading, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, "imports are absolute"
                base = child.module or ""
                for alias in child.names:
                    full = f"{base}.{alias.name}"
                    found.append((full if full in KNOWN else base, loading, inside))
            inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            name = (child.name,) if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else ()
            visit(child, loading and not inner, inside + name)

    visit(tree, True, ())
    return found


def shows(name: str, inside: tuple[str, ...]) -> bool:
    """Whether this is a method that shows something calling upon the room that draws."""
    return name.split(".")[1:2] == ["analysis"] and bool(SHOWING & set(inside))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_from_rooms_before_them(path: Path) -> None:
    if path.name == "__init__.py" and path.parent == PACKAGE:
        return
    own = ROOMS.index(room(path))
    for name, _, inside in imports(TREES[path]):
        parts = name.split(".")
        if parts[0] == "opeslike" and len(parts) > 1 and not shows(name, inside):
            assert ROOMS.index(parts[1]) <= own, f"{path.relative_to(PACKAGE)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_libraries_stay_in_their_rooms_and_are_lazy(path: Path) -> None:
    where = str(path.relative_to(PACKAGE)).replace("\\", "/")
    for name, loading, _ in imports(TREES[path]):
        top = name.split(".")[0]
        if top in HEAVY:
            assert where.startswith(HEAVY[top]), f"{where} may not import {top}"
            assert not loading, f"{where} imports {top} at load time"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_stay_short(path: Path) -> None:
    assert SOURCES[path].count("\n") <= LONGEST


def test_no_import_cycles() -> None:
    """Neither at load time nor for type checking nor inside functions, but for methods that show a result."""
    graph = {
        module_name(path): {n for n, _, inside in imports(tree) if n in KNOWN and not shows(n, inside)}
        - {module_name(path), "opeslike"}
        for path, tree in TREES.items()
        if path != PACKAGE / "__init__.py"
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in sorted(graph[name]):
                walk(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        walk(name, ())


def test_import_is_light() -> None:
    heavy = sorted({*HEAVY, "scipy"})
    code = f"import sys, opeslike; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    import opeslike

    for name in opeslike.__all__:
        assert getattr(opeslike, name) is not None
    assert set(opeslike.__all__) <= set(dir(opeslike))
    with pytest.raises(AttributeError, match="nonsense"):
        opeslike.nonsense  # noqa: B018
