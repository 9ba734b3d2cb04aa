"""``opeslike study``: walk strategies over many samples; resumed, judged over time.

the file is TOML:
  store = "study.db"                # beside this file; run again to go on
  benchmark = "1/N"
  [data]                            # of load_prices; without it the embedded prices
  file = "prices.csv"
  [samples]                         # random_universes, windows or resampled, and its parameters
  kind = "random_universes"
  count = 1000
  size = 10
  [terms]
  train_end = "2013"
  cost = { const = 20 }
  reopt_freq = 21
  rebalance_freq = 21
  [strategies]                      # as compare --strategy writes them, or made of others
  Kelly = "kelly"
  "Half Kelly" = { of = "Kelly", fraction = 0.5 }
  "KL 504" = { of = "kl-robust:radius=auto", window = 504 }
  "KL tuned" = { of = "kl-robust", grid = { radius = [0.001, 0.01, 0.05] }, every = 252 }
  "1/N" = "uniform"

examples:
  opeslike study study.toml --jobs 2
  opeslike study study.toml --scheduler tcp://10.0.0.1:8786 --html study.html
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opeslike.cli import options
from opeslike.cli.objectives import make_strategy, named
from opeslike.cli.options import count, opt
from opeslike.errors import OpesLikeError, PortfolioError

#: What a strategy made of another is, by the parameter that only it has.
_MADE_OF = {"fraction": "Fraction", "window": "Windowed", "grid": "Tuned"}
_SAMPLES = ("random_universes", "windows", "resampled")


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = options.add_command(commands, "study", run, __doc__)
    parser.add_argument("file", type=options.path, help="what to do: TOML, see below")
    where = parser.add_argument_group("where")
    opt(where, "--jobs N", "processes to use (default: one a core)", count(1), default=-1)
    opt(where, "--scheduler ADDRESS", "of a Dask cluster, such as tcp://10.0.0.1:8786")
    output = parser.add_argument_group("output")
    opt(output, "--html FILE", "write a page of it all", options.path)
    opt(output, "--export FOLDER", "write runs, returns and weights as CSV", options.path)
    opt(output, "--retry", "do again what failed")
    opt(output, "--quiet", "print nothing but errors")
    options.add_format(output, "simple", "csv", "json")


def run(args: argparse.Namespace) -> None:
    """Run what is lacking, print how far it is and what may be said."""
    told = _read(args.file)
    study = _study(told, Path(args.file).parent)
    progress = False if args.quiet else None
    study.run(args.jobs, client=args.scheduler, retry=bool(args.retry), progress=progress)
    benchmark = told.get("benchmark")
    if args.html:
        study.to_html(args.html, benchmark)
    if args.export:
        study.export(args.export, "csv")
    if not args.quiet:
        frame = study.frame.reset_index()
        told_as = (lambda: "\n\n".join([str(study), str(study.table(benchmark))])), (lambda: frame.to_dict("records"))
        options.show(args.format, *told_as, frame, index=False)


def _read(file: str) -> dict[str, Any]:
    try:
        with open(file, "rb") as content:
            told = tomllib.load(content)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PortfolioError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    known = ("store", "benchmark", "data", "samples", "terms", "strategies")
    for key in told:
        if key not in known:
            raise PortfolioError(f"{file}: {key!r} is unknown; it may hold {', '.join(known)}")
    if not told.get("strategies") or not told.get("samples"):
        raise PortfolioError(f"{file} needs [strategies] and [samples]; see opeslike study --help")
    return told


def _study(told: Mapping[str, Any], folder: Path) -> Any:
    """The study that a file describes."""
    from opeslike import studies
    from opeslike.data import load_prices, load_us20

    source = dict(told.get("data", {}))
    file = source.pop("file", None)
    samples = dict(told["samples"])
    kind = samples.pop("kind", "random_universes")
    if kind not in _SAMPLES:
        raise PortfolioError(f"samples kind {kind!r} is unknown; it may be {', '.join(_SAMPLES)}")
    terms = {name: str(value) if name == "train_end" else value for name, value in told.get("terms", {}).items()}
    store = told.get("store")
    try:
        prices = load_us20(**source) if file is None else load_prices(folder / file, **source)
        drawn = getattr(studies, kind)(prices, **samples)
    except TypeError as error:
        raise PortfolioError(f"[data] or [samples]: {error}") from error
    strategies = {name: _strategy(name, one, told["strategies"]) for name, one in told["strategies"].items()}
    return studies.Study(strategies, drawn, store=None if store is None else folder / store, **terms)


def _strategy(name: str, told: Any, known: Mapping[str, Any]) -> Any:
    """A strategy as compare writes it, or one made of another."""
    from opeslike import studies

    if isinstance(told, str):
        try:
            _, kind, parameters = named(told)
        except argparse.ArgumentTypeError as error:
            raise PortfolioError(f"{name!r}: {error}") from error
        return make_strategy(kind, parameters, option=f"{name!r}:")
    given = dict(told)
    inner, made = given.pop("of", None), [kind for key, kind in _MADE_OF.items() if key in given]
    if inner is None or len(made) != 1:
        raise PortfolioError(f"{name!r} needs of = a strategy, and one of {', '.join(_MADE_OF)}")
    inside = inner if isinstance(inner, str) and inner in known else _strategy(name, inner, known)
    try:
        return getattr(studies, made[0])(inside, **given)
    except (TypeError, OpesLikeError) as error:
        raise PortfolioError(f"{name!r}: {error}") from error
