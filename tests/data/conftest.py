from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest


@pytest.fixture(scope="session")
def fake_yahoo() -> ModuleType:
    spec = spec_from_file_location("fake_yahoo", Path(__file__).with_name("fake_yahoo.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["fake_yahoo"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def yfinance(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The real client, its own cache of cookies and time zones away from the home directory."""
    import yfinance

    yfinance.set_tz_cache_location(str(tmp_path_factory.mktemp("py-yfinance")))
    return yfinance


@pytest.fixture
def yahoo(fake_yahoo: ModuleType, yfinance: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A running FakeYahoo that yfinance talks to; nobody sleeps, and the clock follows its ``today``.

    It is noon of the day after ``today`` in New York unless ``yahoo.now`` is set.
    """
    from curl_cffi import requests

    server = fake_yahoo.FakeYahoo()
    server.now = None
    server.naps = []

    def now() -> pd.Timestamp:
        if server.now is not None:
            return pd.Timestamp(server.now).tz_localize("America/New_York").tz_convert("UTC")
        noon = pd.Timestamp(server.today) + pd.Timedelta(days=1, hours=12)
        return noon.tz_localize("America/New_York").tz_convert("UTC")

    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(requests.Session, "request", fake_yahoo.redirected(server.port))
    monkeypatch.setattr("opeslike.data.updating.utc_now", now)
    monkeypatch.setattr("opeslike.data.client._sleep", server.naps.append)
    yfinance.data.YfData.cache_get.cache_clear()
    yield server
    server.close()
