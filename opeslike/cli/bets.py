"""``opeslike bets``: tell what to stake on a card of bets, by Kelly.

the file has a header and a row a bet:
  p            probability that what the odds are on happens: 0.55 or 55%
  odds         decimal 2.1, American with its sign +250, fractional 5/2, or evens
  name         what the bet is called (optional, as all below)
  race         rows of the same race exclude each other: at most one wins
  side         back (the default) or lay
  commission   share of the winnings: 0.02 or 2%
  place        each way: the probability of a place, winning included
  place_terms  share of the odds that a place pays (default: 1/4)
rows without a race are independent of all others, and so are races.

examples:
  opeslike bets card.csv --bankroll 1000 --fraction 0.5
  opeslike bets card.csv --bankroll 1000 --radius 0.02 --minimum 2 --step 0.5 --json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from opeslike.cli.options import add_command, add_format, csv_rows, opt, show
from opeslike.errors import DataError, OpesLikeError

if TYPE_CHECKING:
    from opeslike.sizing import Card


def add(commands: Any) -> None:
    """Add the parser of the subcommand."""
    parser = add_command(commands, "bets", run, __doc__)
    parser.add_argument("file", metavar="FILE", help="CSV file of bets, see below")
    for option, default, words in (
        ("--bankroll MONEY", 1.0, "what there is to bet with (default: 1)"),
        ("--fraction F", 1.0, "of Kelly's stakes (default: 1)"),
        ("--radius R", 0.0, "of the KL ball in nats: how far the probabilities may be off (default: 0)"),
        ("--minimum MONEY", 0.0, "drop stakes below it (default: 0)"),
        ("--step MONEY", 0.0, "round stakes down to multiples of it (default: 0, not at all)"),
    ):
        opt(parser, option, words, float, default=default)
    add_format(parser.add_argument_group("output"))


def run(args: argparse.Namespace) -> None:
    """Print the stakes."""
    from opeslike.sizing import stakes

    terms = {name: getattr(args, name) for name in ("fraction", "radius", "bankroll", "minimum", "step")}
    found = stakes(read_card(args.file), **terms)
    names = ("growth", "worst_growth", "profit", "gap", "halving", "no_bet_radius", "outcomes", "solver", "notes")
    facts = terms | {"bets": found.table.reset_index().to_dict("records")}
    facts |= {name: getattr(found, name) for name in names}
    show(args.format, lambda: found.to_text(args.format), lambda: facts, found.table)


def read_card(file: str) -> Card:
    """The card in a CSV file; see ``opeslike bets --help`` for its columns.

    Raises
    ------
    DataError
        If it cannot be read; names row (the header is row 1) and column.
    """
    from opeslike.sizing import Bet, Card, Race

    made: dict[Any, Any] = {}  # events by row, or by name of the race
    for row, bet in _rows(file):
        race = bet.pop("race", None)
        if race is None:
            made[row] = _checked(f"{file}, row {row}", Bet, **bet)
            continue
        name, commission = bet.get("name"), bet.get("commission", 0.0)
        known = made.setdefault(race, {"runners": {}, "commission": commission, "name": race})
        if name is None or name in known["runners"]:
            raise DataError(f"{file}, row {row}, column name: each runner of race {race!r} needs a name of its own")
        if commission != known["commission"]:
            raise DataError(f"{file}, row {row}, column commission: race {race!r} has another in its first row")
        for column, parameter in (("side", "lay"), ("place", "place"), ("place_terms", "place_terms")):
            if bet.get(parameter):
                raise DataError(f"{file}, row {row}, column {column}: the runners of a race are backed to win")
        known["runners"][name] = (bet["p"], bet["odds"])
    events = [
        _checked(f"{file}, race {key!r}", Race, **event) if isinstance(event, dict) else event
        for key, event in made.items()
    ]
    card: Card = _checked(file, Card, events=tuple(events))
    return card


def _rows(file: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and parameters of each row with a bet."""
    lines = csv_rows(file)
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    for column in header:
        if column not in COLUMNS or header.count(column) > 1:
            raise DataError(f"{file}, row 1, column {column!r}: use each of {', '.join(COLUMNS)} at most once")
    for row, line in enumerate(lines[1:], start=2):
        if len(line) > len(header):
            raise DataError(f"{file}, row {row}, column {len(header) + 1}: the header has only {len(header)} columns")
        cells = {column: cell.strip() for column, cell in zip(header, line, strict=False) if cell.strip()}
        if lacking := {"p", "odds"} - set(cells) if cells else None:
            raise DataError(f"{file}, row {row}, column {max(lacking)}: nothing is written there; a bet needs it")
        bet = {}
        for column, cell in cells.items():
            parameter, read = COLUMNS[column]
            bet[parameter] = _checked(f"{file}, row {row}, column {column}", read, cell)
        if bet:
            yield row, bet


def _checked(where: str, make: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What is made of it; errors say where it stands."""
    try:
        return make(*given, **named)
    except OpesLikeError as error:
        raise DataError(f"{where}: {error}") from None


def _share(text: str) -> float:
    """A share of 1, as a number, a percentage or a fraction."""
    try:
        share = float(Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text))
    except (ValueError, ZeroDivisionError):
        share = -1.0
    if not 0 <= share <= 1:
        raise DataError(f"{text!r} is not a share from 0 to 1, such as 0.25, 25% or 1/4")
    return share


def _odds(text: str) -> str:
    from opeslike.sizing import decimal_odds

    decimal_odds(text)
    return text


def _lay(text: str) -> bool:
    if text.lower() not in ("back", "lay"):
        raise DataError(f"{text!r} is neither back nor lay")
    return text.lower() == "lay"


#: Columns of the file: what parameter each gives, and how it is read.
COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    **{"p": ("p", _share), "odds": ("odds", _odds), "name": ("name", str), "race": ("race", str)},
    **{"side": ("lay", _lay), "commission": ("commission", _share)},
    **{"place": ("place", _share), "place_terms": ("place_terms", _share)},
}
