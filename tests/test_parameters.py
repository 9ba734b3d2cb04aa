"""Parameters of an object: asked, changed, copied, shown, and cloned by scikit-learn."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import numpy as np
import pytest

from opeslike import checks
from opeslike.errors import DataError, PortfolioError
from opeslike.parameters import Parameters


@dataclass(frozen=True, repr=False)
class Inner(Parameters):
    window: int = 252
    table: Any = None

    def __post_init__(self) -> None:
        checks.whole("window", self.window, low=1)


class Outer(Parameters):
    def __init__(self, radius: float, *, inner: Any = None, factor: float = 1.0) -> None:
        self.radius = checks.positive("radius", radius)
        self.inner, self.factor = inner, factor
        self.found: list[float] = []


@dataclass(eq=False, repr=False, kw_only=True)
class Listed(Parameters):
    names: list[str] = field(default_factory=list)


def test_parameters_are_those_of_the_constructor_and_of_what_is_inside() -> None:
    inner = Inner(5)
    outer = Outer(0.1, inner=inner)
    assert outer.get_params(deep=False) == {"radius": 0.1, "inner": inner, "factor": 1.0}
    assert outer.get_params() == {
        "radius": 0.1, "inner": inner, "factor": 1.0, "inner__window": 5, "inner__table": None,
    }  # fmt: skip


def test_setting_changes_this_one_and_no_other() -> None:
    inner = Inner(5)
    outer, other = Outer(0.1, inner=inner), Outer(0.1, inner=inner)
    outer.found.append(1.0)
    assert outer.set_params(inner__window=7, radius=0.2) is outer
    assert (outer.radius, outer.inner.window, outer.found) == (0.2, 7, [])
    assert (inner.window, other.inner) == (5, inner)
    assert inner.set_params(window=9).window == 9
    with pytest.raises(FrozenInstanceError):
        inner.window = 3  # type: ignore[misc]
    outer.set_params(inner=Inner(1), inner__table="t")
    assert outer.get_params()["inner__table"] == "t"
    assert outer.get_params()["inner__window"] == 1


def test_a_refused_parameter_changes_nothing() -> None:
    outer = Outer(0.1, inner=Inner(5))
    with pytest.raises(PortfolioError, match="Outer has no parameter 'radii'; it has: radius, inner, factor"):
        outer.set_params(factor=2.0, radii=1)
    with pytest.raises(PortfolioError, match="window=0 must be a whole number of at least 1"):
        outer.set_params(factor=2.0, inner__window=0)
    with pytest.raises(PortfolioError, match="Inner has no parameter 'width'"):
        outer.set_params(inner__width=0)
    with pytest.raises(PortfolioError, match=r"Outer factor=1\.0 has no parameters of its own"):
        outer.set_params(factor__window=0)
    assert (outer.factor, outer.inner.window) == (1.0, 5)


def test_a_copy_shares_nothing_that_can_change_and_knows_nothing_yet() -> None:
    outer = Outer(0.1, inner=Outer(0.3))
    outer.found.append(1.0)
    copied = outer.copy()
    assert type(copied) is Outer
    assert copied.get_params().keys() == outer.get_params().keys()
    assert copied.inner is not outer.inner
    assert copied.found == []
    copied.inner.set_params(radius=9.0)
    assert outer.inner.radius == 0.3


def test_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(Inner()) == "Inner()"
    assert repr(Outer(0.1, inner=Inner(7))) == "Outer(radius=0.1, inner=Inner(window=7))"
    assert repr(Inner(table=np.zeros((9, 2)))) == "Inner(table=<ndarray of shape (9, 2)>)"
    assert repr(Inner(table=np.array([1.0, 2.0]))) == "Inner(table=array([1., 2.]))"
    assert repr(Listed()) == "Listed()"
    assert repr(Listed(names=["a"])) == "Listed(names=['a'])"


def test_scikit_learn_clones_nested_objects_both_ways() -> None:
    base = pytest.importorskip("sklearn.base")
    utils = pytest.importorskip("sklearn.utils")
    linear = pytest.importorskip("sklearn.linear_model")
    table = np.arange(12.0)
    outer = Outer(0.1, inner=Inner(5, table))
    cloned = base.clone(outer)
    assert cloned is not outer
    assert cloned.inner is not outer.inner
    assert cloned.inner.window == 5
    assert (cloned.inner.table == table).all()
    ridge = linear.Ridge(alpha=2.0)
    around = Outer(0.1, inner=ridge).set_params(inner__alpha=3.0)
    assert (around.inner.alpha, ridge.alpha) == (3.0, 2.0)
    assert around.copy().inner is not around.inner
    if hasattr(utils, "get_tags"):
        assert utils.get_tags(outer).target_tags.required is False


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: checks.number("a", 2.0, low=0, high=1, open_high=True), "a=2.0 must be a finite number >= 0 and < 1"),
        (lambda: checks.number("a", np.inf), "a=inf must be a finite number"),
        (lambda: checks.number("a", "3"), "a must be a finite number, got '3'"),
        (lambda: checks.number("a", np.zeros(3)), r"a must be a finite number, got ndarray of shape \(3,\)"),
        (lambda: checks.number("a", True), "got True"),
        (lambda: checks.positive("a", 0), "a=0 must be a finite number > 0"),
        (lambda: checks.positive("a", -1, zero=True), "a=-1 must be a finite number >= 0"),
        (lambda: checks.finite("a", float("nan")), "a=nan must be a finite number"),
        (lambda: checks.share_of("a", 1.0), r"a=1\.0 must lie strictly between 0 and 1"),
        (lambda: checks.whole("a", 1.0), "a=1.0 must be a whole number of at least 0"),
        (lambda: checks.whole("a", 1, low=2), "a=1 must be a whole number of at least 2"),
        (lambda: checks.flag("a", 1), "a=1 must be True or False"),
        (lambda: checks.numbers("a", "b"), "a must be numbers"),
        (lambda: checks.generator(-1), "seed=-1"),
        (lambda: checks.per_period(-1.0, 252), "risk_free=-1.0 must be a finite number > -1"),
        (lambda: checks.per_period(0.1, 0), "periods_per_year=0 must be"),
        (lambda: checks.radii_of([1.0, -1.0]), "one a scenario"),
    ],
)  # fmt: skip
def test_checks_name_the_parameter_its_range_and_the_value(check: Any, message: str) -> None:
    with pytest.raises(PortfolioError, match=message):
        check()


def test_checks_return_plain_numbers() -> None:
    assert type(checks.positive("a", np.float32(0.5))) is float
    assert type(checks.whole("a", np.int64(3))) is int
    assert checks.per_period(0.21, 2) == pytest.approx(0.1)
    with pytest.raises(DataError, match="custom_mean lacks"):
        checks.check_mean(__import__("pandas").Series({"A": 1.0}), ["A", "B"])
