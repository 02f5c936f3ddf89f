# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit fit``: train a model on a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import bcd_implicit as bi
from bcd_implicit.cli.columns import ColumnChoice, Columns, about, predicted_classes, read_columns
from bcd_implicit.cli.console import (
    check_apart,
    check_writable,
    console,
    count,
    one_warning,
    print_facts,
    print_warning,
    to_the_end,
)
from bcd_implicit.cli.losses import LossChoice, loss_options
from bcd_implicit.cli.options import limit_options, method_options, problem_options, table_options
from bcd_implicit.experiments.scores import Scores
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.support.checks import check_arrays
from bcd_implicit.support.delimited import TextFormat
from bcd_implicit.support.files import check_is_file
from bcd_implicit.terms.penalties import GROUP_FORMS

NONE_HELD_OUT = "no rows were held out: see --test-share"
_ENDINGS = {
    bi.Status.CONVERGED: "converged",
    bi.Status.MAX_CYCLES: "not converged: stopped",
    bi.Status.STALLED: "not converged: stalled",
    bi.Status.SOLVER_FAILED: "not converged: a solver failed",
    bi.Status.STOPPED: "stopped",
    bi.Status.INTERRUPTED: "interrupted",
    bi.Status.TIME_LIMIT: "stopped at --max-seconds",
}


@click.command()
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
@click.option(
    "--test-share",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    show_default=True,
    help="Share of the rows set aside to test the model.",
)
@loss_options
@limit_options
@table_options
@problem_options
@method_options
def fit(
    data: Path,
    model_path: Path,
    constraints: tuple[str, ...],
    max_cycles: int,
    tol: float,
    test_share: float,
    max_seconds: float | None,
    checkpoint: Path | None,
    loss_choice: LossChoice,
    choice: ColumnChoice,
    form: TextFormat,
    standardize: bool,
    method: str,
    solver: str,
    seed: int,
    **settings: Any,
) -> None:
    """Train a model on the table in the file DATA: CSV, Parquet, JSON or Excel.

    A target of text is classified: the model has an output for each class, the logarithm of its probability up to a
    constant. Other losses serve counts (poisson), medians (absolute), quantiles, and targets with outliers (huber).

    \b
    Examples:
      bcd-implicit fit data.csv --target y --model m.npz --test-share 0.25
      bcd-implicit fit data.csv --target y1 --target y2 --ignore id --n-hidden 20 --kappa 0.05 --model m.npz
      bcd-implicit fit data.csv --target y --constraint "nonnegative(B)" --constraint "symmetric()" --model m.npz
      bcd-implicit fit data.csv --target species --categorical colour --drop-missing --model m.npz
      bcd-implicit fit data.csv --target delay --loss quantile --quantile 0.9 --model m.npz
    """
    loss, columns = loss_choice.suiting(read_columns(data, choice, form), data)
    if not model_path.parent.is_dir():
        raise bi.InvalidInputError("model", f"folder {model_path.parent} does not exist", "Make it first")
    if model_path.exists():
        check_is_file(model_path)
    check_writable(model_path.parent)
    check_apart(data=data, model=model_path, checkpoint=checkpoint)
    train, test = _divided(columns, test_share, seed)
    with about(data):
        U, Y = (part.T for part in check_arrays(columns.inputs.loc[train], columns.outputs.loc[train]))
    scales = Standardization.fit(U, Y, loss=loss)
    problem = bi.TrainingProblem(
        *(scales.apply(U, Y) if standardize else (U, Y)),
        **settings,
        loss=loss,
        constraints=[bi.constraints.from_text(text) for text in constraints],
        groups=columns.groups or None,
        input_names=list(columns.inputs.columns),
        output_names=list(columns.outputs.columns),
        # Standardised above, where its way back is kept too, or not, as asked.
        standardize=False,
    )
    with one_warning():
        result = bi.solve(
            problem,
            method,
            solver,
            max_cycles,
            tol,
            seed,
            progress=True,
            max_seconds=max_seconds,
            checkpoint=checkpoint,
        )
    if not result.iterate.B.any():
        print_warning(
            "B = 0: no input reaches the state, and the model is linear. Choose a smaller --kappa, another --seed, or "
            "weaker constraints.",
            bi.ConvergenceWarning,
        )
    with to_the_end(result.status):
        model = scales.raw_model(result.model) if standardize else result.model
        model.save(model_path)
        gap = max((c.relative_gap for c in result.certificates.values()), default=np.inf)
        # A run that is cut short ends without looking at the others.
        alone = " (output block; no other was certified)" if [*result.certificates] == ["output"] else ""
        print_facts(
            f"{data.name}: {count(len(columns.inputs), 'row')}, {count(U.shape[1], 'input')}, {_described(columns)}",
            {
                "status": f"{_ENDINGS[result.status]} after {count(result.n_cycles, 'cycle')}, {result.seconds:.1f} s",
                "objective at equilibrium": f"{result.objective:.6g}",
                "largest block gap, relative": f"{gap:.1e}{alone}" if np.isfinite(gap) else "unknown",
                **_scores(model, loss, columns, train, test),
                "inputs used in B": f"{int(model.B.any(axis=0).sum())} of {U.shape[1]}",
                problem.row_set.symbol: f"{problem.row_set.everywhere.size(result.iterate.A):.4f}",
            },
        )
        console.print(f"wrote {model_path}", soft_wrap=True)


def _divided(columns: Columns, test_share: float, seed: int) -> tuple[pd.Index, pd.Index]:
    """The rows to train on and those to test on."""
    rows = columns.inputs.index
    if test_share == 0:
        return rows, rows[:0]
    n_test = math.ceil(test_share * len(rows))
    if n_test < 2 or len(rows) - n_test < 2:
        cause = f"{test_share:g} of {len(rows)} rows leaves {len(rows) - n_test} to train on and {n_test} to test on"
        raise bi.InvalidInputError("test_share", cause, "At least 2 and 2 are needed")
    train, test = train_test_split(rows, test_size=n_test, random_state=seed)
    return train, test


def _described(columns: Columns) -> str:
    n_outputs = columns.outputs.shape[1]
    return f"{n_outputs} classes of {columns.classes!r}" if columns.classes else count(n_outputs, "target")


def _scores(
    model: bi.ImplicitModel, loss: bi.Loss, columns: Columns, train: pd.Index, test: pd.Index
) -> dict[str, str]:
    """How well the model fits the rows that it was trained on, and those that were set aside."""
    here, there = (_shown(model, loss, columns, rows) if len(rows) else {} for rows in (train, test))
    baselines = _of_no_inputs(loss, columns, train, test) if columns.classes and len(test) else {}
    scores = {}
    for name, score in here.items():
        scores[f"{name} on the training rows"] = f"{score:.4f}"
        held_out = f"{there[name]:.4f}, {count(len(test), 'row')}" if there else NONE_HELD_OUT
        scores[f"{name} on rows held out"] = held_out + baselines.get(name, "")
    return scores


def _shown(model: bi.ImplicitModel, loss: bi.Loss, columns: Columns, rows: pd.Index) -> dict[str, float]:
    """The scores of some rows that suit the loss."""
    inputs, outputs = columns.inputs.loc[rows], columns.outputs.loc[rows].to_numpy()
    scores = Scores.of(loss, model.predict(inputs), outputs, columns.classes is not None)
    if scores.accuracy is not None:
        return {"accuracy": scores.accuracy} | ({} if scores.log_loss is None else {"log loss": scores.log_loss})
    return {"R2": scores.r2} if scores.d2 is None else {"D2": scores.d2}


def _of_no_inputs(loss: bi.Loss, columns: Columns, train: pd.Index, test: pd.Index) -> dict[str, str]:
    """What scores of classes are without a model: always the commonest class, and the classes' shares."""
    here, there = columns.outputs.loc[train], columns.outputs.loc[test]
    most = predicted_classes(here).mode()[0]
    share = (predicted_classes(there) == most).mean()
    constant = loss.best_constant(here.to_numpy().T, np.full(len(here), 1 / len(here)))
    by_shares = loss.value(np.broadcast_to(constant[:, None], there.T.shape), there.to_numpy().T).mean()
    return {"accuracy": f" ({share:.4f} if all were {most})", "log loss": f" ({by_shares:.4f} without inputs)"}
