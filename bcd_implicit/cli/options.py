"""The options that several commands share, in the groups that the help shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

import click
import cloup
from cloup import option

from bcd_implicit.cli.completion import columns_of_the_file
from bcd_implicit.cli.console import ask_for_json
from bcd_implicit.cli.data_file import STANDARD_INPUT
from bcd_implicit.support import choices

#: The help is as wide as the terminal, and 80 columns at most. On narrow ones a text stands below its option.
command = cloup.command(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "formatter_settings": cloup.HelpFormatter.settings(max_width=80, col1_max_width=24, col2_min_width=35),
    }
)


def gathered(name: str, kind: Callable) -> Callable:
    """Decorator of a command that gets the values of several options as one argument; ``kind`` makes it of them."""

    def wrap(function: Callable) -> Callable:
        @wraps(function)
        def call(**values: Any) -> Any:
            own = {parameter: values.pop(parameter) for parameter in signature(kind).parameters}
            return function(**values, **{name: kind(**own)})

        return call

    return wrap


def one_of(
    flags: str, names: Iterable[str], text: str, kind: type[click.Choice] = click.Choice, **settings: Any
) -> Callable:
    """An option with one of several names, which the help lists; after its flag the argument may be named."""
    names = list(names)
    text, default = text.partition("  [")[::2]
    help = f"{text}: {', '.join(names)}." + (f"  [{default}" if default else "")
    return option(*flags.split(), type=kind(names), metavar="NAME", help=help, **settings)


def number(flags: str, metavar: str, text: str, default: float | None, kind: Any = float) -> Callable:
    """An option for a number, with its default in the help; after its flag the argument may be named."""
    shown = default is not None
    return option(*flags.split(), type=kind, metavar=metavar, default=default, show_default=shown, help=text)


class SolverChoice(click.Choice):
    """The solvers by name, and others that are installed: CVXPY is asked for those when a name is none of the first."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names, case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).lower() in map(str.lower, self.choices):
            return super().convert(value, param, ctx)
        from bcd_implicit.blocks.solvers import solvers_of_all_blocks

        others = click.Choice([*self.choices, *solvers_of_all_blocks()], case_sensitive=False)
        return others.convert(value, param, ctx)


class Range(click.FloatRange):
    """Numbers of a range; nan, which no comparison keeps out, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"must be finite, got {number}.", param, ctx)
        return number


class NamedPath(click.Path):
    """A path, which cannot be ``-``: models, checkpoints and folders are not passed through pipes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail(
                "only data and predictions pass through pipes. Give a name, or ./- for a file called -.", param, ctx
            )
        return super().convert(value, param, ctx)


class PipedPath(click.Path):
    """A path, for which - may stand."""

    def __init__(self, dash: Path) -> None:
        super().__init__(path_type=Path)
        self.dash = dash

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.dash if value == "-" else super().convert(value, param, ctx)


data_argument = cloup.argument(
    "data", metavar="DATA", type=PipedPath(STANDARD_INPUT), help="File to read; - for standard input."
)
model_argument = cloup.argument("model_path", metavar="MODEL", type=NamedPath(), help="Model file that fit wrote.")

json_option = option(
    "--json",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=ask_for_json,
    help="Print one JSON object on standard output instead of text.",
)


def folder_option(default: str, text: str) -> Callable:
    """The option --output for a folder, with its help."""
    kind = NamedPath(file_okay=False)
    return option("--output", type=kind, metavar="FOLDER", default=Path(default), show_default=True, help=text)


def column_option(flags: str, text: str, **settings: Any) -> Callable:
    """An option that names a column; after its flag the argument may be named."""
    return option(*flags.split(), metavar="COLUMN", help=text, shell_complete=columns_of_the_file, **settings)


def columns_option(flags: str, text: str, **settings: Any) -> Callable:
    """The same, which may be repeated."""
    return column_option(flags, f"{text} May be repeated.", multiple=True, **settings)


text_options = (
    option("--sep", metavar="CHARACTER", help="Field separator of a text file; tab and space work too.  [guessed]"),
    option("--decimal", metavar="MARK", help="Decimal mark of a text file, . or ,  [guessed]"),
    option("--encoding", metavar="NAME", help="Encoding of a text file, such as latin-1.  [guessed]"),
)


def data_options(*more: Callable) -> Callable:
    """The group of options that say what the file's columns are."""
    return cloup.option_group(
        "Data",
        columns_option("--target targets", "Column to predict.", required=True),
        columns_option("--ignore", "Column to leave out."),
        columns_option(
            "--categorical",
            "Column of categories. Each category becomes an input. These inputs are kept or dropped together.",
        ),
        option("--classify", is_flag=True, help="Treat a numeric target as classes. A text target always is."),
        option("--drop-missing", is_flag=True, help="Drop rows with missing values."),
        *more,
        columns_option(
            "--use", "Use this column although it only numbers the rows. Such a column is ignored otherwise."
        ),
        *text_options,
    )


def model_options(*more: Callable) -> Callable:
    """The group of options that say what model is trained; those of the command come before the rarer ones."""
    return cloup.option_group(
        "Model",
        number("--n-hidden", "N", "Number of hidden features, the length of the state x.", 10, int),
        one_of("--activation", choices.ACTIVATIONS, "The function phi", default="relu", show_default=True),
        one_of("--loss", choices.LOSSES, "Loss to train and judge by  [default: squared; cross-entropy for classes]"),
        number(
            "--quantile",
            "LEVEL",
            "Quantile to predict with --loss quantile.  [default: 0.5]",
            None,
            Range(0, 1, min_open=True, max_open=True),
        ),
        number(
            "--huber-threshold",
            "SIZE",
            "Error from which --loss huber grows linearly, in robust standard deviations of the target.  [default: 1]",
            None,
            Range(0, min_open=True),
        ),
        *more,
        number(
            "--norm-bound",
            "BOUND",
            "Bound on ||A||_inf times the largest slope of phi, at least 0 and below 1. It makes sure that each input "
            "has exactly one state.",
            0.5,
        ),
        one_of(
            "--well-posedness",
            choices.WELL_POSEDNESS,
            "Whether --norm-bound bounds the norm of A or its matrix measure, which allows more matrices",
            default="inf-norm",
            show_default=True,
        ),
        number("--ridge", "WEIGHT", "Weight of the squared entries of C and D.", 1e-2),
        number("--ridge-hidden", "WEIGHT", "Weight of the squared entries of A and B.", 1e-4),
        number(
            "--kappa-a kappa_A",
            "WEIGHT",
            "Weight of the absolute entries of A. A larger one makes more of them zero.",
            0.0,
        ),
    )


jobs_option = number("--n-jobs", "N", "Number of processes; -1 uses all cores. The result is the same.", 1, int)


def time_option(text: str) -> Callable:
    """The option --max-seconds with its help."""
    return number("--max-seconds", "SECONDS", text, None, Range(0, min_open=True))


standardize_option = option(
    "--standardize/--no-standardize",
    default=True,
    show_default=True,
    help="Standardise columns for training. The model takes raw columns either way.",
)
method_options = (
    one_of("--method", choices.METHODS, "Training algorithm", default="prox-linear", show_default=True),
    one_of(
        "--solver",
        [*choices.SOLVER_CHOICES, *choices.SOLVERS],
        "Solver of the convex blocks, or another that CVXPY has installed",
        kind=SolverChoice,
        default=choices.AUTO,
        show_default=True,
    ),
)
seed_option = number("--seed", "N", "Random seed.", 0, click.IntRange(min=0))


def training_options(share: Callable, *more: Callable) -> Callable:
    """The group of options that say how the model is trained."""
    return cloup.option_group(
        "Training",
        share,
        *more,
        time_option("Stop after this many seconds and keep the best result so far."),
        option(
            "--checkpoint",
            type=NamedPath(dir_okay=False),
            metavar="FILE",
            help="File for intermediate results. If it exists and is from the same command, work resumes from it.",
        ),
        seed_option,
        standardize_option,
        *method_options,
        number("--fenchel-weight", "WEIGHT", "Weight lambda of --method fenchel.", 1.0),
    )
