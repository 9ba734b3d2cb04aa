"""Toys whose module other processes find as well."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def toys():
    """Their module; workers that began before it could be found are sent home."""
    from joblib.externals.loky import get_reusable_executor

    path = Path(__file__).with_name("toys.py")
    sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location("toys", path)
    module = module_from_spec(spec)
    sys.modules["toys"] = module
    spec.loader.exec_module(module)
    get_reusable_executor().shutdown(wait=True)
    yield module
    sys.path.remove(str(path.parent))
    del sys.modules["toys"]
