"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

import click

from bcd_implicit.cli.column_choice import ColumnChoice
from bcd_implicit.support import choices
from bcd_implicit.support.text_format import TextFormat


def options_of(*options: Callable) -> Callable:
    """One decorator for several options."""

    def wrap(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return wrap


def gathered(name: str, kind: Callable, *options: Callable) -> Callable:
    """One decorator for options that a command gets as one argument; ``kind`` makes it of their values."""

    def wrap(function: Callable) -> Callable:
        @wraps(function)
        def call(**values: Any) -> Any:
            own = {parameter: values.pop(parameter) for parameter in signature(kind).parameters}
            return function(**values, **{name: kind(**own)})

        return options_of(*options)(call)

    return wrap


class SolverChoice(click.Choice):
    """The solvers by name, and others that are installed: CVXPY is asked for those when a name is none of the first."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).lower() not in map(str.lower, self.choices):
            from bcd_implicit.blocks.solvers import solvers_of_all_blocks

            others = click.Choice([*self.choices, *solvers_of_all_blocks()], self.case_sensitive)
            return others.convert(value, param, ctx)
        return super().convert(value, param, ctx)


method_options = options_of(
    click.option(
        "--method",
        type=click.Choice(choices.METHODS),
        default="prox-linear",
        show_default=True,
        help="The loop that trains.",
    ),
    click.option(
        "--solver",
        type=SolverChoice([*choices.SOLVER_CHOICES, *choices.SOLVERS], case_sensitive=False),
        default=choices.AUTO,
        show_default=True,
        help="The solver of the convex blocks; also another that CVXPY has installed.",
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."),
)


def folder_option(default: str, text: str) -> Callable:
    """The option --output for a folder, with its help."""
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("--output", type=kind, default=Path(default), show_default=True, help=text)


jobs_option = click.option(
    "--n-jobs",
    type=int,
    default=1,
    show_default=True,
    help="Processes; -1 takes all cores. The answer does not depend on it.",
)


def time_option(text: str) -> Callable:
    """The option --max-seconds with its help."""
    return click.option("--max-seconds", type=click.FloatRange(0, min_open=True), default=None, help=text)


limit_options = options_of(
    time_option("Stop after so many seconds with what is reached by then."),
    click.option(
        "--checkpoint",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        help="A file that keeps what is done. Where it is there already, from the same call, the work goes on from it.",
    ),
)
text_options = gathered(
    "form",
    TextFormat,
    click.option("--sep", metavar="CHARACTER", help='What separates the fields of a text file, or "tab".  [guessed]'),
    click.option("--decimal", metavar="MARK", help="The decimal mark of a text file, . or ,  [guessed]"),
    click.option("--encoding", metavar="NAME", help="The encoding of a text file, such as latin-1.  [guessed]"),
)
column_options = gathered(
    "choice",
    ColumnChoice,
    click.option(
        "--target",
        "targets",
        multiple=True,
        required=True,
        metavar="COLUMN",
        help="A column to predict; may be repeated.",
    ),
    click.option("--ignore", multiple=True, metavar="COLUMN", help="A column to leave out; may be repeated."),
    click.option(
        "--categorical",
        multiple=True,
        metavar="COLUMN",
        help="A column of categories: an input for each, kept or dropped together; may be repeated.",
    ),
    click.option(
        "--use",
        multiple=True,
        metavar="COLUMN",
        help="A column to use although it only numbers the rows; may be repeated.",
    ),
    click.option("--classify", is_flag=True, help="The target's numbers are classes. Text always is."),
    click.option("--drop-missing", is_flag=True, help="Drop the rows with missing values."),
)
table_options = options_of(
    column_options,
    text_options,
    click.option(
        "--standardize/--no-standardize",
        default=True,
        show_default=True,
        help="Train on standardised columns; the model takes raw ones either way.",
    ),
)
problem_options = options_of(
    click.option("--n-hidden", type=int, default=10, show_default=True, help="Hidden features."),
    click.option(
        "--activation", type=click.Choice(choices.ACTIVATIONS), default="relu", show_default=True, help="phi."
    ),
    click.option(
        "--norm-bound",
        type=float,
        default=0.5,
        show_default=True,
        help="Bound on ||A||_inf times the largest slope of phi, in [0, 1).",
    ),
    click.option(
        "--well-posedness",
        type=click.Choice(choices.WELL_POSEDNESS),
        default="inf-norm",
        show_default=True,
        help="What --norm-bound is on: ||A||_inf, or the matrix measure of A, which leaves A more room.",
    ),
    click.option("--ridge", type=float, default=1e-2, show_default=True, help="Weight on C and D."),
    click.option("--ridge-hidden", type=float, default=1e-4, show_default=True, help="Weight on A and B."),
    click.option(
        "--kappa-a",
        "kappa_A",
        type=float,
        default=0.0,
        show_default=True,
        help="Weight on the sizes of the entries of A, of which it makes many zero.",
    ),
    click.option("--fenchel-weight", type=float, default=1.0, show_default=True, help="lambda of the fenchel loop."),
)
