"""Every rule and sizer keeps its parameters, unchanged and under their names."""

import inspect

import pytest

from opeslike import strategies
from opeslike.errors import PortfolioError
from opeslike.parameters import Parameters
from opeslike.strategies import AllOf, BuyAndHold, DualMomentum, KellySizer, MonthlySeasonal, Sized, TurnOfMonth
from tests.strategies.tools import everything

CASES = dict(everything())
CLASSES = {name: found for name in dir(strategies) if isinstance(found := getattr(strategies, name), type)}
KEPT = {name: kind for name, kind in CLASSES.items() if issubclass(kind, Parameters)}


@pytest.mark.parametrize("name", CASES)
def test_clones_are_equal_and_share_no_part(name):
    base = pytest.importorskip("sklearn.base")
    strategy = CASES[name]()
    cloned = base.clone(strategy)
    assert cloned is not strategy
    assert repr(cloned) == repr(strategy)
    assert repr(strategy.copy()) == repr(strategy)
    assert " at 0x" not in repr(strategy)
    if "rules" not in vars(strategy):
        assert cloned == strategy
        assert "SizingRule" in repr(strategy) or eval(repr(strategy), CLASSES) == strategy


@pytest.mark.parametrize("name", KEPT)
def test_what_is_given_is_kept_under_its_name(name):
    kind = KEPT[name]
    if inspect.isabstract(kind) or name in ("AllOf", "AnyOf"):
        return
    required = {"Sized": (TurnOfMonth(), KellySizer()), "FixedLeverage": (2.0,)}.get(name, ())
    made = kind(*required)
    for parameter, declared in inspect.signature(kind).parameters.items():
        if declared.default is not inspect.Parameter.empty:
            assert getattr(made, parameter) is declared.default


def test_parameters_change_all_the_way_down():
    months, held = [1, 2], {"A": 1.0}
    assert MonthlySeasonal(months).months is months
    assert BuyAndHold(held).weights is held
    strategy = Sized(DualMomentum(lookback=20), KellySizer())
    rule = strategy.selection
    strategy.set_params(selection__lookback=30, sizer__max_leverage=2.0, every=5)
    assert repr(strategy) == ("Sized(selection=DualMomentum(lookback=30), sizer=KellySizer(max_leverage=2.0), every=5)")
    assert rule.lookback == 20
    with pytest.raises(PortfolioError, match="KellySizer window=1 must be a whole number of at least 2"):
        strategy.set_params(selection__lookback=10, sizer__window=1)
    assert strategy.selection.lookback == 30
    joined = AllOf(TurnOfMonth(), rule)
    copied = joined.copy()
    assert repr(copied) == repr(joined) == "AllOf(TurnOfMonth(), DualMomentum(lookback=20))"
    assert copied.rules[1] is not rule
