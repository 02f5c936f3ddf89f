"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd

import bcd_implicit as bi
from bcd_implicit.blocks.solvers import AUTO, CHOICES
from bcd_implicit.support.checks import check_matrix
from bcd_implicit.support.tables import read_table, split_targets


def options_of(*options: Callable) -> Callable:
    """One decorator for several options."""

    def wrap(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return wrap


method_options = options_of(
    click.option(
        "--method",
        type=click.Choice(list(bi.METHODS)),
        default="prox-linear",
        show_default=True,
        help="The loop that trains.",
    ),
    click.option(
        "--solver",
        type=click.Choice([*CHOICES, *bi.SOLVERS], case_sensitive=False),
        default=AUTO,
        show_default=True,
        help="The solver of the convex blocks.",
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything random."),
)
jobs_option = click.option(
    "--n-jobs",
    type=int,
    default=1,
    show_default=True,
    help="Processes; -1 takes all cores. The answer does not depend on it.",
)
limit_options = options_of(
    click.option(
        "--max-seconds",
        type=click.FloatRange(0, min_open=True),
        default=None,
        help="Stop after so many seconds with what is reached by then.",
    ),
    click.option(
        "--checkpoint",
        type=click.Path(dir_okay=False, path_type=Path),
        default=None,
        help="A file that keeps what is done. Where it is there already, from the same call, the work goes on from it.",
    ),
)
table_options = options_of(
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
        "--standardize/--no-standardize",
        default=True,
        show_default=True,
        help="Train on standardised columns; the model takes raw ones either way.",
    ),
)
problem_options = options_of(
    click.option("--n-hidden", type=int, default=10, show_default=True, help="Hidden features."),
    click.option(
        "--activation", type=click.Choice(list(bi.ACTIVATIONS)), default="relu", show_default=True, help="phi."
    ),
    click.option("--norm-bound", type=float, default=0.5, show_default=True, help="Bound on ||A||_inf, in [0, 1)."),
    click.option("--ridge", type=float, default=1e-2, show_default=True, help="Weight on C and D."),
    click.option("--ridge-hidden", type=float, default=1e-4, show_default=True, help="Weight on A and B."),
    click.option("--fenchel-weight", type=float, default=1.0, show_default=True, help="lambda of the fenchel loop."),
)


def read_columns(data: Path, targets: tuple[str, ...], ignore: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table's inputs and targets, checked to be numbers, with the file's name in the errors."""
    inputs, outputs = split_targets(read_table(data), list(dict.fromkeys(targets)), ignore)
    for part in (inputs, outputs):
        check_matrix(data.name, part, min_rows=2)
    return inputs, outputs
