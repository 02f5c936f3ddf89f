# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit fit``: train a model on a table."""

from __future__ import annotations

import math
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloup import option, option_group

import bcd_implicit as bi
from bcd_implicit.cli.column_choice import ColumnChoice
from bcd_implicit.cli.console import (
    check_apart,
    check_writable,
    count,
    for_programs,
    one_warning,
    print_facts,
    print_warning,
    say,
    to_the_end,
)
from bcd_implicit.cli.data_file import check_data, name_of, title_of
from bcd_implicit.cli.losses import LossChoice
from bcd_implicit.cli.options import (
    NamedPath,
    Range,
    command,
    data_argument,
    data_options,
    gathered,
    json_option,
    model_options,
    number,
    one_of,
    training_options,
)
from bcd_implicit.support import choices
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.importing import importing
from bcd_implicit.support.text_format import TextFormat

if TYPE_CHECKING:
    import pandas as pd

    from bcd_implicit.cli.columns import Columns

NONE_HELD_OUT = "No rows were held out, so new rows may be predicted worse: see --test-share."
_ENDINGS = {
    "CONVERGED": "converged",
    "MAX_CYCLES": "not converged: stopped",
    "STALLED": "not converged: stalled",
    "SOLVER_FAILED": "not converged: a solver failed",
    "STOPPED": "stopped",
    "INTERRUPTED": "interrupted",
    "TIME_LIMIT": "stopped at --max-seconds",
}


@command
@data_argument
@data_options()
@option_group(
    "Output",
    option("--model", "model_path", type=NamedPath(), metavar="FILE", required=True, help="Model file to write, .npz."),
    json_option,
)
@model_options(
    number(
        "--kappa",
        "WEIGHT",
        "Weight of the group lasso, a penalty on the length of each column of B. A larger one drops more inputs.",
        0.01,
    ),
    one_of(
        "--group-form",
        choices.GROUP_FORMS,
        "Whether --kappa is a weight on the lengths of the columns of B or a bound on their sum",
        default="penalty",
        show_default=True,
    ),
    option(
        "--pass-through/--no-pass-through",
        default=True,
        show_default=True,
        help="Let inputs reach the outputs directly, through D.",
    ),
    option(
        "--constraint",
        "constraints",
        multiple=True,
        metavar="CALL",
        help='Constraint such as "nonnegative(B)" or "box(C, lower=0, upper=1)", on the matrices as trained. '
        "May be repeated.",
    ),
)
@training_options(
    number("--test-share", "SHARE", "Share of the rows to hold out and test on.", 0.0, Range(0, 0.9)),
    number("--max-cycles", "N", "Maximum number of cycles. A cycle solves each block once.", 100, int),
    number("--tol", "SHARE", "Stop when a cycle lowers the objective by less than this share.", 1e-4),
)
@gathered("choice", ColumnChoice)
@gathered("form", TextFormat)
@gathered("loss_choice", LossChoice)
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
    """Train a model on the rows of DATA.

    DATA is a file with named columns: CSV, Parquet, JSON or Excel. All columns are inputs, except the target
    and ignored columns. If the target is text, a classifier is trained. Hold out rows with --test-share to see how well
    the model predicts new rows.

    \b
    Examples:
      bcd-implicit fit data.csv --target y --model m.npz --test-share 0.25
      bcd-implicit fit data.csv --target y1 --target y2 --ignore id --model m.npz
      bcd-implicit fit data.csv --target y --constraint "nonnegative(B)" \\
        --model m.npz
      bcd-implicit fit data.csv --target species --categorical colour \\
        --drop-missing --model m.npz
      bcd-implicit fit data.csv --target delay --loss quantile --quantile 0.9 \\
        --model m.npz
      zcat data.csv.gz | bcd-implicit fit - --target y --model m.npz --json
    """
    check_data(data)
    with importing():
        from bcd_implicit.cli.columns import about, read_columns

    loss, columns = loss_choice.suiting(read_columns(data, choice, form), data)
    if not model_path.parent.is_dir():
        raise bi.InvalidInputError("model", f"folder {model_path.parent} does not exist", "Make it first")
    if model_path.exists():
        check_is_file(model_path)
    check_writable(model_path.parent)
    check_apart(data=data, model=model_path, checkpoint=checkpoint)
    with importing():
        from bcd_implicit.cli.fit_scores import FitScores
        from bcd_implicit.support.checks import check_arrays

    train, test = _divided(columns, test_share, seed)
    with about(data):
        U, Y = (part.T for part in check_arrays(columns.inputs.loc[train], columns.outputs.loc[train]))
        problem = bi.TrainingProblem(
            U,
            Y,
            **settings,
            loss=loss,
            constraints=[bi.constraints.from_text(text) for text in constraints],
            groups=columns.groups or None,
            input_names=list(columns.inputs.columns),
            output_names=list(columns.outputs.columns),
            standardize=standardize,
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
    if not result.iterate.B.any() and (Y[:1] != Y).any():
        print_warning(
            "B = 0: no input reaches the state, and the model is linear. Choose a smaller --kappa, another --seed, or "
            "weaker constraints.",
            bi.ConvergenceWarning,
        )
    ending = f"{_ENDINGS[result.status.name]} after {count(result.n_cycles, 'cycle')}, {result.seconds:.1f} s"
    with to_the_end(result.status):
        model = result.model
        model.save(model_path)
        gap = max((c.relative_gap for c in result.certificates.values()), default=math.inf)
        # A run that is cut short ends without looking at the others.
        alone = " (output block; no other was certified)" if [*result.certificates] == ["output"] else ""
        scores = FitScores.of(model, loss, columns, train, test)
        used, size = model.B.any(axis=0), problem.row_set.everywhere.size(result.iterate.A)
        for_programs(
            {
                "data": name_of(data),
                "n_train": len(train),
                "n_test": len(test),
                "inputs": problem.input_names,
                "targets": [columns.classes] if columns.classes else problem.output_names,
                "loss": loss.name,
                "status": result.status.name,
                "n_cycles": result.n_cycles,
                "seconds": result.seconds,
                "objective": result.objective,
                "largest_relative_gap": gap,
                **scores.values,
                "inputs_in_B": list(compress(problem.input_names, used)),
                "norm": size,
                "files": [str(model_path)],
            }
        )
        print_facts(
            f"{title_of(data)}: {_rows(train, test)}, {count(U.shape[1], 'input')}, {_described(columns)}",
            {
                "status": ending,
                "objective at equilibrium": f"{result.objective:.6g}",
                "largest block gap, relative": f"{gap:.1e}{alone}" if math.isfinite(gap) else "unknown",
                "inputs used in B": f"{int(used.sum())} of {U.shape[1]}",
                problem.row_set.symbol: f"{size:.4f}",
            },
        )
        say(scores.table())
        if not len(test):
            say(NONE_HELD_OUT)
        if len(train) <= U.shape[1] + 1:
            say(f"A linear model can fit {count(len(train), 'row')} exactly, so the training scores mean little.")
        say(f"wrote {model_path}")


def _divided(columns: Columns, test_share: float, seed: int) -> tuple[pd.Index, pd.Index]:
    """The rows to train on and those to test on."""
    from sklearn.model_selection import train_test_split

    rows = columns.inputs.index
    if test_share == 0:
        return rows, rows[:0]
    n_test = math.ceil(test_share * len(rows))
    if n_test < 2 or len(rows) - n_test < 2:
        cause = f"{test_share:g} of {len(rows)} rows leaves {len(rows) - n_test} to train on and {n_test} to test on"
        raise bi.InvalidInputError("test_share", cause, "At least 2 and 2 are needed")
    train, test = train_test_split(rows, test_size=n_test, random_state=seed)
    return train, test


def _rows(train: pd.Index, test: pd.Index) -> str:
    held_out = f" ({len(train)} for training, {len(test)} held out)" if len(test) else ""
    return count(len(train) + len(test), "row") + held_out


def _described(columns: Columns) -> str:
    n_outputs = columns.outputs.shape[1]
    return f"{n_outputs} classes of {columns.classes!r}" if columns.classes else count(n_outputs, "target")
