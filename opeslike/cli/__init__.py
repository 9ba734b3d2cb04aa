"""The ``opeslike`` command: one module a subcommand, and the parser that leads there.

Libraries are imported by the functions that use them, so that ``--help`` and a misspelt option answer at once.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from opeslike._version import __version__
from opeslike.cli import audit, backtest, bets, compare, optimize, orders, study
from opeslike.cli.options import STATUS
from opeslike.errors import OpesLikeError, OpesLikeWarning

__all__ = ["build_parser", "main"]

#: Exit statuses: an error, an interrupt (128 + SIGINT), and a reader of the output that went away (128 + SIGPIPE).
FAILED, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
#: Options whose parameter in Python is called something else.
OTHER_NAMES = {
    **{"bounds": "weight_bounds", "lag": "execution_lag", "fractions": "fraction"},
    **{"reopt": "reopt_freq", "rebalance": "rebalance_freq", "jobs": "n_jobs"},
}
#: Each has ``add(commands)``, which adds its parser with ``run`` set to the function that does the work.
COMMANDS = (compare, study, backtest, optimize, orders, audit, bets)


class _Completion(argparse.Action):
    """Print a script that makes a shell complete the command; the library for it is imported when that is asked."""

    def __call__(self, parser: argparse.ArgumentParser, *values: Any) -> None:
        """Print it and exit."""
        try:
            import shtab
        except ImportError:
            parser.error("shell completion needs shtab: pip install 'opeslike[completion]'")
        print(shtab.complete(parser, values[1]))
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and for whom ``-0.2,1`` is a value."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._negative_number_matcher = re.compile(r"-\.?\d")

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is; exit with status 2."""
        self.exit(FAILED, f"{self.prog}: error: {_one_line(message)} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command and its subcommands; ``args.run(args)`` does what was asked."""
    parser = _Parser(
        prog="opeslike",
        description="Kelly and robust-Kelly portfolios with a certified optimality gap, walked forward honestly.",
        epilog="examples:\n  opeslike compare\n  opeslike compare --help\n  opeslike optimize --objective kl-robust\n"
        f"\nWhat is printed is also had as JSON: --format json.\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"opeslike {__version__}")
    parser.add_argument(
        "--print-completion", action=_Completion, choices=["bash", "zsh", "tcsh"], help="script for a shell to source"
    )
    parser.set_defaults(run=None, parser=parser, quiet=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ``opeslike`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 after an error (one line on stderr), 130 after an interrupt, 141 where the reader of the
        output went away. Arguments that cannot be understood raise SystemExit with status 2 instead.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a ticker the terminal cannot show is no reason to fail
    try:
        parser = build_parser()
        args, unknown = parser.parse_known_args(argv)
        if unknown:
            args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        if args.run is None:
            parser.print_help(sys.stderr)
            return FAILED
        with _messages(args.parser.prog, quiet=args.quiet):
            args.run(args)
            sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("\nopeslike: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OpesLikeError as error:
        message = _as_options(_one_line(error), args.parser)
    except OSError as error:
        _discard_output()
        if isinstance(error, BrokenPipeError):
            return BROKEN_PIPE
        message = _one_line(error)
    print(f"{args.parser.prog}: error: {message}", file=sys.stderr)
    return FAILED


def _discard_output() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not fail again."""
    with suppress(OSError, ValueError):  # replaced by something without a file, as in a notebook
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_options(message: str, parser: argparse.ArgumentParser) -> str:
    """Write parameters of Python as the options they are here: ``sort=True`` as ``--sort``."""
    for action in parser._actions:
        if not action.option_strings:
            continue
        option, name = action.option_strings[0], OTHER_NAMES.get(action.dest, action.dest)
        given = rf"(?<![\w./'-]){name}=('[^']*'|[^\s,;:)]+)"
        message = re.sub(given, option if action.nargs == 0 else rf"{option} \1", message)
        if "_" in name:  # plain words such as radius stay as they are
            message = re.sub(rf"(?<![\w./'-]){name}(?![\w./=])", option, message)
    return message


@contextmanager
def _messages(prog: str, *, quiet: bool) -> Iterator[None]:
    """Show log messages and this package's warnings as single lines on stderr; if quiet, not at all."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    handler.setFormatter(logging.Formatter(f"{prog}: %(message)s"))
    logger = logging.getLogger("opeslike")
    logger.addHandler(handler)
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, OpesLikeWarning):
                usual(message, category, *where, **more)
            elif not quiet:
                print(f"{prog}: warning: {_one_line(message)}", file=sys.stderr)

        warnings.showwarning = show
        warnings.filterwarnings("always", category=OpesLikeWarning)
        try:
            yield
        finally:
            logger.removeHandler(handler)


def _one_line(message: object) -> str:
    """A message as one line of bounded length, whatever was typed into it."""
    text = " ".join(str(message).encode(errors="backslashreplace").decode().split())
    return text if len(text) <= 2000 else f"{text[:1500]} ... {text[-400:]}"
