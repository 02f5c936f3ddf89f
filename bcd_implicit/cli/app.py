# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""The command line: demo, fit, predict, check, select, network, convergence.

Exit status: 0 done, 1 the work could not be finished (or ``check`` found a model that is not well-posed),
2 bad input, with a line that says which, 130 ended by Ctrl-C, with what was reached by then in the files.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

import bcd_implicit as bi
from bcd_implicit.cli.console import fail, misused, print_json, print_warning
from bcd_implicit.support.importing import INTERRUPTED

#: In the order of the help; each is in the module of its name.
COMMANDS = ("demo", "fit", "predict", "check", "select", "network", "convergence")


@contextmanager
def _misuse_in_one_line() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        misused(error)


class _Commands(click.Group):
    """Imports a command when it is called, and turns this package's errors into one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"bcd_implicit.cli.{cmd_name}"), cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand:
            # click looks for names like it among commands that are imported.
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _misuse_in_one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A name that the terminal's encoding lacks must not end the command after its work.
                stream.reconfigure(errors="backslashreplace")
        try:
            with _misuse_in_one_line(), warnings.catch_warnings():
                warnings.simplefilter("always", bi.ConvergenceWarning)
                warnings.showwarning = print_warning  # type: ignore[assignment]
                try:
                    return super().invoke(ctx)
                finally:
                    print_json()
        except bi.InvalidInputError as error:
            fail(error, 2)
        except bi.BcdError as error:
            fail(error, 1)
        except KeyboardInterrupt:
            fail("interrupted; nothing more is written.", INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bi.__version__)
def main() -> None:
    """Train implicit models, x = phi(Ax + Bu + b), y = Cx + Du + d, by block-coordinate descent.

    u is the input, y the output and x the hidden state, which solves the first equation.

    \b
    Examples:
      bcd-implicit demo
      bcd-implicit fit data.csv --target y --model m.npz
      bcd-implicit predict m.npz new.csv --output predictions.csv
      bcd-implicit check m.npz
      bcd-implicit select data.csv --target y --output selection
      bcd-implicit network lenet5
      bcd-implicit convergence
    """
