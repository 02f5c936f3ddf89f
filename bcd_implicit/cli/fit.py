# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit fit``: train a model on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit.cli.console import (
    check_writable,
    console,
    count,
    end_if_interrupted,
    one_warning,
    print_facts,
    print_warning,
)
from bcd_implicit.cli.options import limit_options, method_options, problem_options, read_columns, table_options
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.support.checks import check_arrays
from bcd_implicit.terms.penalties import GROUP_FORMS

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
    max_seconds: float | None,
    checkpoint: Path | None,
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
    inputs, outputs = read_columns(data, targets, ignore)
    if not model_path.parent.is_dir():
        raise bi.InvalidInputError("model", f"folder {model_path.parent} does not exist", "Make it first")
    if model_path.is_dir():
        raise bi.InvalidInputError("model", f"{model_path} is a folder", "Give the name of a file")
    check_writable(model_path.parent)
    U, Y = (part.T for part in check_arrays(inputs, outputs))
    scales = Standardization.fit(U, Y)
    problem = bi.TrainingProblem(
        *(scales.apply(U, Y) if standardize else (U, Y)),
        **settings,
        constraints=[bi.constraints.from_text(text) for text in constraints],
        input_names=list(inputs.columns),
        output_names=list(outputs.columns),
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
    model = scales.raw_model(result.model) if standardize else result.model
    model.save(model_path)
    gap = max((c.relative_gap for c in result.certificates.values()), default=np.inf)
    print_facts(
        f"{data.name}: {len(U)} rows, {count(U.shape[1], 'input')}, {count(Y.shape[1], 'target')}",
        {
            "status": f"{_ENDINGS[result.status]} after {count(result.n_cycles, 'cycle')}, {result.seconds:.1f} s",
            "objective at equilibrium": f"{result.objective:.6g}",
            "largest block gap, relative": f"{gap:.1e}" if np.isfinite(gap) else "unknown",
            "R2 on the training rows": f"{r2_score(Y, model.predict(U), multioutput='variance_weighted'):.4f}",
            "inputs used in B": f"{int(model.B.any(axis=0).sum())} of {U.shape[1]}",
            "||A||_inf": f"{model.norm_inf():.4f}",
        },
    )
    console.print(f"wrote {model_path}", soft_wrap=True)
    end_if_interrupted(result.status)
