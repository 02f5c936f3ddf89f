# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""The command line: demo, fit, predict, check, select.

Exit status: 0 done, 1 the work could not be finished (or ``check`` found a model that is not well-posed),
2 bad input, with one line that says which.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table as RichTable
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit.data import (
    Standardization,
    check_arrays,
    check_matrix,
    pick_columns,
    read_table,
    split_targets,
    write_atomically,
    write_table,
)
from bcd_implicit.experiments import feature_selection as experiment
from bcd_implicit.penalties import GROUP_FORMS, column_norms
from bcd_implicit.selection import DEFAULT_RULE, RULES
from bcd_implicit.solvers import AUTO, CHOICES

# Without markup: names of files and columns may hold square brackets.
console = Console(markup=False, highlight=False)
notes = Console(markup=False, highlight=False, stderr=True)


class _Commands(click.Group):
    """Turns this package's errors into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", bi.ConvergenceWarning)
                warnings.showwarning = _print_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except bi.InvalidInputError as error:
            _fail(error, 2)
        except bi.BcdError as error:
            _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    click.echo(f"Error: {' '.join(str(error).split())}", err=True)
    sys.exit(code)


def _print_warning(message: Warning | str, category: type[Warning], *rest: Any) -> None:
    notes.print(f"Warning: {message}", soft_wrap=True)


@contextmanager
def _one_warning() -> Iterator[None]:
    """One line in place of the many warnings of a long run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", bi.ConvergenceWarning)
        yield
    stops = [w for w in caught if issubclass(w.category, bi.ConvergenceWarning)]
    for other in caught:
        if other not in stops:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    if len(stops) > 1:
        _print_warning(
            f"{len(stops)} warnings that something ended short of its tolerance, so its numbers are approximate; "
            f"the last: {stops[-1].message}",
            bi.ConvergenceWarning,
        )
    elif stops:
        _print_warning(stops[0].message, bi.ConvergenceWarning)


def _options(*options: Callable) -> Callable:
    def wrap(function: Callable) -> Callable:
        for option in reversed(options):
            function = option(function)
        return function

    return wrap


method_options = _options(
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
table_options = _options(
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
problem_options = _options(
    click.option("--n-hidden", type=int, default=10, show_default=True, help="Hidden features."),
    click.option(
        "--activation", type=click.Choice(list(bi.ACTIVATIONS)), default="relu", show_default=True, help="phi."
    ),
    click.option("--norm-bound", type=float, default=0.5, show_default=True, help="Bound on ||A||_inf, in [0, 1)."),
    click.option("--ridge", type=float, default=1e-2, show_default=True, help="Weight on C and D."),
    click.option("--ridge-hidden", type=float, default=1e-4, show_default=True, help="Weight on A and B."),
    click.option("--fenchel-weight", type=float, default=1.0, show_default=True, help="lambda of the fenchel loop."),
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bi.__version__)
def main() -> None:
    """Implicit models, x = phi(Ax + Bu + b), y = Cx + Du + d, trained by block-coordinate descent.

    \b
    Examples:
      bcd-implicit demo
      bcd-implicit fit data.csv --target y --model m.npz
      bcd-implicit predict m.npz new.csv --output predictions.csv
      bcd-implicit check m.npz
      bcd-implicit select data.csv --target y --output selection
    """


@main.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the figures and reports.",
)
@click.option(
    "--data",
    "family",
    type=click.Choice(list(experiment.FAMILIES)),
    default="column-sparse",
    show_default=True,
    help="Generated data.",
)
@click.option(
    "--noise",
    type=float,
    default=None,
    help="Noise in units of each output's spread.  [default: 0 for column-sparse, 0.05 for even]",
)
@click.option(
    "--n-hidden", type=int, default=experiment.N_HIDDEN_GUESS, show_default=True, help="The guess; the truth is 20."
)
@click.option("--n-kappas", type=int, default=15, show_default=True, help="Length of the path.")
@click.option(
    "--real-table/--no-real-table", default=True, show_default=True, help="Then the same on the diabetes table."
)
@click.option(
    "--n-seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="More than 1: runs so many seeds from --seed on, without figures, and prints a table of them.",
)
@jobs_option
@method_options
def demo(
    output: Path,
    family: str,
    noise: float | None,
    n_hidden: int,
    n_kappas: int,
    real_table: bool,
    n_seeds: int,
    n_jobs: int,
    method: str,
    solver: str,
    seed: int,
) -> None:
    """Run the feature-selection experiment. Does the learned B show which inputs matter?

    Data come from a known model with 20 hidden features whose B has few nonzero columns. A model with 10 is
    trained along a path of growing kappa, kappa is chosen by cross-validation without the truth, and the column
    norms are compared. Writes feature_selection.png, report.json and model.npz, and the same for a real table.

    \b
    Examples:
      bcd-implicit demo
      bcd-implicit demo --data even --seed 3 --output even
      bcd-implicit demo --method fenchel
      bcd-implicit demo --noise 1 --n-seeds 20 --n-jobs -1
    """
    if n_seeds > 1:
        seeds = range(seed, seed + n_seeds)
        with _one_warning():
            runs = experiment.run_seeds(
                family, seeds, method, solver, n_hidden=n_hidden, noise=noise, n_kappas=n_kappas, n_jobs=n_jobs,
                progress=True,
            )  # fmt: skip
        console.print(f"{family} data, {n_seeds} seeds, {method}", soft_wrap=True)
        console.print(experiment.seeds_table(runs))
        console.print(experiment.seeds_verdict(runs), soft_wrap=True)
        return
    _writable(output)
    with _one_warning():
        run = experiment.run_synthetic(
            family, seed, method, solver, n_hidden=n_hidden, noise=noise, n_kappas=n_kappas, n_jobs=n_jobs,
            progress=True,
        )  # fmt: skip
    _present(run, output)
    if real_table:
        table = bi.datasets.load_diabetes()
        with _one_warning():
            run = experiment.run_table(
                table.inputs,
                table.targets,
                "diabetes",
                seed=seed,
                method=method,
                solver=solver,
                n_hidden=5,
                n_kappas=n_kappas,
                n_jobs=n_jobs,
                progress=True,
            )
        console.print()
        _present(run, output, "diabetes_")


def _writable(directory: Path) -> None:
    """Make the folder before the long work, not after it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / ".writable", lambda file: None).unlink()
    except OSError as error:
        raise bi.InvalidInputError(
            "output", f"{directory} cannot be written to ({error.strerror})", "Choose another folder"
        ) from None


def _present(run: experiment.FeatureSelection, output: Path, stem: str = "") -> None:
    console.print(run.title, soft_wrap=True)
    console.print(experiment.summary(run))
    console.print(experiment.verdict(run), soft_wrap=True)
    for path in experiment.write(run, output, stem):
        console.print(f"wrote {path}", soft_wrap=True)


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("selection"),
    show_default=True,
    help="Folder for the figure, the report and the model.",
)
@click.option("--n-kappas", type=int, default=15, show_default=True, help="Length of the path.")
@click.option(
    "--test-share",
    type=click.FloatRange(0, 0.9, min_open=True),
    default=0.25,
    show_default=True,
    help="Share of the rows set aside to test the final model.",
)
@click.option(
    "--rule",
    type=click.Choice(list(RULES)),
    default=DEFAULT_RULE,
    show_default=True,
    help="How a support is chosen from the path; score tests follow.",
)
@click.option(
    "--n-features",
    type=click.IntRange(min=1),
    default=None,
    help="Choose so many inputs, by the path's ranking, instead of a rule.",
)
@jobs_option
@table_options
@problem_options
@method_options
def select(
    data: Path,
    output: Path,
    n_kappas: int,
    rule: str,
    n_features: int | None,
    n_jobs: int,
    test_share: float,
    targets: tuple[str, ...],
    ignore: tuple[str, ...],
    standardize: bool,
    method: str,
    solver: str,
    seed: int,
    **problem: Any,
) -> None:
    """Choose the inputs that matter in a CSV or Parquet table DATA.

    Walks the path of growing kappa, chooses inputs by cross-validation and score tests, refits on them and tests on
    rows that took no part. Writes feature_selection.png, report.json and model.npz.

    \b
    Examples:
      bcd-implicit select data.csv --target y
      bcd-implicit select data.parquet --target y1 --target y2 --n-hidden 10 --output DIR
      bcd-implicit select data.csv --target y --n-features 5
    """
    inputs, outputs = _columns(data, targets, ignore)
    _writable(output)
    with _one_warning():
        run = experiment.run_table(
            inputs,
            outputs,
            data.name,
            seed=seed,
            method=method,
            solver=solver,
            n_kappas=n_kappas,
            rule=rule,
            n_features=n_features,
            n_jobs=n_jobs,
            test_share=test_share,
            standardize=standardize,
            progress=True,
            **problem,
        )
    _present(run, output)


def _columns(data: Path, targets: tuple[str, ...], ignore: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table's inputs and targets, checked to be numbers, with the file's name in the errors."""
    inputs, outputs = split_targets(read_table(data), list(dict.fromkeys(targets)), ignore)
    for part in (inputs, outputs):
        check_matrix(data.name, part, min_rows=2)
    return inputs, outputs


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--model", "model_path", type=click.Path(path_type=Path), required=True, help="The .npz file to write.")
@click.option("--kappa", type=float, default=0.01, show_default=True, help="Weight (or bound) of the group lasso.")
@click.option(
    "--group-form",
    type=click.Choice(list(GROUP_FORMS)),
    default="penalty",
    show_default=True,
    help="Whether kappa weighs the column norms of B or bounds their sum.",
)
@click.option(
    "--pass-through/--no-pass-through",
    default=True,
    show_default=True,
    help="Whether inputs reach outputs directly, through D.",
)
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="CALL",
    help='A ready-made one such as "nonnegative(B)" or "box(C, lower=0, upper=1)", on the columns as they are trained '
    "on; may be repeated.",
)
@click.option("--max-cycles", type=int, default=100, show_default=True, help="The most cycles to take.")
@click.option("--tol", type=float, default=1e-4, show_default=True, help="Stop when a cycle gains less, relatively.")
@table_options
@problem_options
@method_options
def fit(
    data: Path,
    model_path: Path,
    constraints: tuple[str, ...],
    max_cycles: int,
    tol: float,
    targets: tuple[str, ...],
    ignore: tuple[str, ...],
    standardize: bool,
    method: str,
    solver: str,
    seed: int,
    **settings: Any,
) -> None:
    """Train a model on a CSV or Parquet table DATA.

    \b
    Examples:
      bcd-implicit fit data.csv --target y --model m.npz
      bcd-implicit fit data.csv --target y1 --target y2 --ignore id --n-hidden 20 --kappa 0.05 --model m.npz
      bcd-implicit fit data.csv --target y --constraint "nonnegative(B)" --constraint "symmetric()" --model m.npz
    """
    inputs, outputs = _columns(data, targets, ignore)
    if not model_path.parent.is_dir():
        raise bi.InvalidInputError("model", f"folder {model_path.parent} does not exist", "Make it first")
    if model_path.is_dir():
        raise bi.InvalidInputError("model", f"{model_path} is a folder", "Give the name of a file")
    _writable(model_path.parent)
    U, Y = (part.T for part in check_arrays(inputs, outputs))
    scales = Standardization.fit(U, Y)
    problem = bi.TrainingProblem(
        *(scales.apply(U, Y) if standardize else (U, Y)),
        **settings,
        constraints=[bi.constraints.from_text(text) for text in constraints],
        input_names=list(inputs.columns),
        output_names=list(outputs.columns),
    )
    with _one_warning():
        result = bi.solve(
            problem,
            method,
            solver,
            max_cycles,
            tol,
            seed,
            progress=True,
        )
    if not result.iterate.B.any():
        _print_warning(
            "B = 0: no input reaches the state, and the model is linear. Choose a smaller --kappa, another --seed, or "
            "weaker constraints.",
            bi.ConvergenceWarning,
        )
    model = scales.raw_model(result.model) if standardize else result.model
    model.save(model_path)
    gap = max(c.relative_gap for c in result.certificates.values())
    _facts(
        f"{data.name}: {len(U)} rows, {_count(U.shape[1], 'input')}, {_count(Y.shape[1], 'target')}",
        {
            "status": f"{_ENDINGS[result.status]} after {_count(result.n_cycles, 'cycle')}, {result.seconds:.1f} s",
            "objective at equilibrium": f"{result.objective:.6g}",
            "largest block gap, relative": f"{gap:.1e}" if np.isfinite(gap) else "unknown",
            "R2 on the training rows": f"{r2_score(Y, model.predict(U), multioutput='variance_weighted'):.4f}",
            "inputs used in B": f"{int(model.B.any(axis=0).sum())} of {U.shape[1]}",
            "||A||_inf": f"{model.norm_inf():.4f}",
        },
    )
    console.print(f"wrote {model_path}", soft_wrap=True)


@main.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The CSV or Parquet file to write.")
def predict(model_path: Path, data: Path, output: Path) -> None:
    """Predict the rows of table DATA with MODEL. Columns are matched by name; others are ignored.

    \b
    Example:
      bcd-implicit predict m.npz new.csv --output predictions.csv
    """
    model = bi.ImplicitModel.load(model_path)
    inputs = check_matrix(data.name, pick_columns(data.name, read_table(data), model.input_names))
    predictions = pd.DataFrame(model.predict(inputs), columns=model.output_names)
    write_table(predictions, output)
    console.print(
        f"wrote {_count(len(predictions), 'prediction')} of {', '.join(model.output_names)} to {output}",
        soft_wrap=True,
    )


@main.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
def check(model_path: Path) -> None:
    """Print a model's norms, margin and Picard bound. The exit status is 1 when it is not well-posed.

    \b
    Example:
      bcd-implicit check m.npz
    """
    model = bi.ImplicitModel.load(model_path)
    norm, radius, well_posed = model.norm_inf(), model.spectral_radius(), model.is_well_posed()
    facts = {
        "hidden features, inputs, outputs": f"{model.n_hidden}, {model.B.shape[1]}, {len(model.C)}",
        "activation": model.activation.name,
        "||A||_inf": f"{norm:.6g}",
        "margin 1 - ||A||_inf": f"{1 - norm:.6g}",
        "spectral radius of |A|": f"{radius:.6g}",
    }
    if well_posed:
        factor = model.contraction()
        facts["Picard: error after a step"] = f"at most {factor:.4g} of the error before" if factor else "none: A = 0"
        facts["Picard: bound on the error"] = f"{factor / (1 - factor):.4g} x last change" if factor else "0"
        facts["Picard: steps for 6 digits"] = str(math.ceil(math.log(1e-6) / math.log(factor))) if factor else "1"
    used = column_norms(model.B) > 0
    facts["inputs used in B"] = f"{int(used.sum())} of {len(used)}"
    facts["well-posed"] = (
        "yes: ||A||_inf < 1"
        if norm < 1
        else "yes, by the Perron-Frobenius test only"
        if well_posed
        else "NO: the spectral radius of |A| is 1 or more, so an equilibrium need not exist"
    )
    _facts(str(model_path), facts)
    sys.exit(0 if well_posed else 1)


_ENDINGS = {
    bi.Status.CONVERGED: "converged",
    bi.Status.MAX_CYCLES: "not converged: stopped",
    bi.Status.STALLED: "not converged: stalled",
    bi.Status.SOLVER_FAILED: "not converged: a solver failed",
    bi.Status.STOPPED: "stopped",
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _facts(title: str, facts: dict[str, str]) -> None:
    console.print(title, soft_wrap=True)
    table = RichTable(show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    console.print(table)


if __name__ == "__main__":
    main()
