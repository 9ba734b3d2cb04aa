"""Render docs/limits-by-objective.md: every objective under every kind of limit, as tried.

    python docs/scripts/matrix.py

The suite tries every pair again and compares it with the page.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd

import opeslike.objectives as room
from opeslike import Mandate, load_us20
from opeslike.beliefs import Decay
from opeslike.errors import OpesLikeError
from opeslike.modelling.limits import DrawdownOdds, ExpectedShortfall, Volatility

PAGE = Path(__file__).resolve().parent.parent / "limits-by-objective.md"
PRICES = load_us20(tickers="AAPL BAC JNJ JPM KO MSFT", start="2018", end="2018-08")
HELD = {"AAPL": 0.3, "JNJ": 0.4, "KO": 0.3}
INDEX = dict.fromkeys(PRICES, 1 / 6)
SECTORS = {"tech": ["AAPL", "MSFT"], "banks": ["BAC", "JPM"]}
BETAS = pd.DataFrame({"market": [1.2, 1.3, 0.7, 1.1, 0.6, 1.2]}, index=PRICES.columns)

KINDS = {
    "bounds": Mandate(bounds=(0.02, 0.4)),
    "groups": Mandate(groups=SECTORS, group_bounds={"tech": (0.1, 0.3), "banks": (0, 0.3)}),
    "exposures": Mandate(exposures=BETAS, exposure_bounds={"market": (0.8, 0.9)}),
    "cash, borrowing": Mandate(leverage=1.3, risk_free=0.01, borrow_spread=0.01),
    "shorts, gross": Mandate(bounds=(-0.2, 0.6), gross=1.3),
    "costs": Mandate(costs=10),
    "impact": Mandate(impact=20),
    "turnover": Mandate(max_turnover=0.4),
    "largest trade": Mandate(max_trade=0.2),
    "tracking error": Mandate(benchmark=INDEX, max_tracking_error=0.05),
    "active share": Mandate(benchmark=INDEX, max_active_share=0.4),
    "active bounds": Mandate(benchmark=INDEX, active_bounds=(-0.1, 0.1)),
    "volatility": Mandate(leverage=1, risk_limits=[Volatility(0.1)]),
    "shortfall": Mandate(leverage=1, risk_limits=[ExpectedShortfall(0.015)]),
    "drawdown odds": Mandate(leverage=1, risk_limits=[DrawdownOdds(0.3, 0.2)]),
    "target return": Mandate(target_return=0.0003),
    "positions": Mandate(max_positions=3),
    "least position": Mandate(min_position=0.15),
    "cvxpy": Mandate(constraints=lambda w: cp.norm2(w) <= 0.7),
}
#: what an objective cannot be made without
NEEDED: dict[str, dict[str, Any]] = {
    "BayesianKelly": {"prior_scenarios": np.full((2, 6), -0.01), "pseudo_count": 5.0},
    "RiskConstrainedKelly": {"max_drawdown": 0.3, "probability": 0.2},
    "VaR": {"confidence": 0.9},
    "RegretKelly": {"rivals": [None, Decay(60)]},
    "KLRobust": {"objective": room.CRRA(3.0)},
}


def objectives() -> dict[str, type]:
    """Every public objective by name, in the order of the alphabet."""
    kinds = {name: getattr(room, name) for name in dir(room) if name[0].isupper() and name != "Optimizer"}
    return {name: kinds[name] for name in sorted(kinds)}


def outcome(kind: type, mandate: Mandate) -> tuple[str, str]:
    """One try: "certified", "cvxpy", "heuristic", "rule" or "refused", and why."""
    given = dict(NEEDED.get(kind.__name__, {}))
    if "objective" in given:  # its mandate is that of the objective inside
        given["objective"] = given["objective"].copy().set_params(mandate=mandate)
    else:
        own = {"leverage": 1.0} if kind is room.RiskConstrainedKelly and mandate.leverage is None else {}
        given["mandate"] = mandate.set_params(**own)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = kind(**given)
            made.optimize(PRICES, **({"held": HELD} if getattr(made, "uses_held", False) else {}))
    except OpesLikeError as error:
        return "refused", str(error)
    status, solver = made.solution.status, made.solution.solver
    if status == "closed-form":
        return "rule", ""
    if status != "optimal":
        return status, ""
    return ("cvxpy" if "cvxpy" in solver or solver.lower() in ("clarabel", "scs") else "certified"), ""


SIGNS = {"certified": "✓", "cvxpy": "cvxpy", "heuristic": "search", "bounded": "bounded", "rule": "as it is"}


def table() -> tuple[pd.DataFrame, list[str]]:
    """What each pair came to, and why pairs were refused."""
    reasons: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for name, kind in objectives().items():
        rows[name] = {}
        for limit, mandate in KINDS.items():
            what, why = outcome(kind, mandate)
            if what == "refused":
                why = re.sub(r"\b-?\d+\.\d+(e-?\d+)?\b", "…", re.sub(rf"\b{name}\b", "it", why))
                if why not in reasons:
                    reasons.append(why)
                what = str(reasons.index(why) + 1)
            rows[name][limit] = SIGNS.get(what, what)
    return pd.DataFrame(rows).T, reasons


def main() -> None:
    frame, reasons = table()
    half = (len(frame.columns) + 1) // 2
    text = [
        "# Every objective under every limit",
        "Tried by `docs/scripts/matrix.py`, and again by the test suite. **✓** is certified on the fast path, **cvxpy** "
        "certified through cvxpy, **search** the best of several searches without a gap, **as it is** a rule whose "
        "weights happen to keep the limit. A number says why it was refused, below.",
        *(frame.iloc[:, part].to_markdown() for part in (slice(0, half), slice(half, None))),
        "## Why not",
        "\n".join(f"{number}. {why}" for number, why in enumerate(reasons, 1)),
    ]
    PAGE.write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
