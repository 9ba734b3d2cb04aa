"""For all tests: no network beyond 127.0.0.1, and no window."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import opeslike

os.environ["MPLBACKEND"] = "Agg"
# libcurl does not pass through Python's sockets: it gets a proxy where nobody listens. Child processes inherit it.
for _name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ[_name] = "http://127.0.0.1:9"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"

GUARD = Path(__file__).with_name("offline")
_spec = spec_from_file_location("opeslike_offline", GUARD / "sitecustomize.py")
assert _spec is not None
assert _spec.loader is not None
_guard = module_from_spec(_spec)
_spec.loader.exec_module(_guard)


@pytest.fixture(scope="session")
def offline_environment() -> Callable[[], dict[str, str]]:
    """Make the environment of a child process that is as offline as the tests and finds this package."""

    def make() -> dict[str, str]:
        package = str(Path(opeslike.__file__).resolve().parent.parent)
        return {**os.environ, "PYTHONPATH": os.pathsep.join([str(GUARD), package])}

    return make


@pytest.fixture(scope="session")
def matplotlib() -> None:
    """Import matplotlib outside the filter that turns warnings into errors.

    The oldest one uses names that a newer pyparsing deprecates; that is theirs to settle.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import matplotlib.figure  # noqa: F401
