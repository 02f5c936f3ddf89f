# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit select``: the inputs that matter in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from bcd_implicit.cli.column_choice import ColumnChoice
from bcd_implicit.cli.console import check_apart, check_writable, one_warning, present
from bcd_implicit.cli.losses import LossChoice, loss_options
from bcd_implicit.cli.options import (
    folder_option,
    jobs_option,
    limit_options,
    method_options,
    problem_options,
    table_options,
)
from bcd_implicit.support import choices
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.importing import importing
from bcd_implicit.support.text_format import TextFormat


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@folder_option("selection", "Folder for the figure, the report and the model.")
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
    type=click.Choice(choices.RULES),
    default=None,
    help="How a support is chosen from the path; score tests follow; not with --n-features.  "
    f"[default: {choices.DEFAULT_RULE}]",
)
@click.option(
    "--n-features",
    type=click.IntRange(min=1),
    default=None,
    help="Choose so many inputs, by the path's ranking, instead of a rule; the path ends there.",
)
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    help="Level of the score tests, for all inputs together; not with --n-features.  "
    f"[default: {choices.DEFAULT_LEVEL}]",
)
@click.option(
    "--sample-groups",
    metavar="COLUMN",
    default=None,
    help="Rows that are equal in this column belong together; it is no input.",
)
@loss_options
@jobs_option
@limit_options
@table_options
@problem_options
@method_options
def select(
    data: Path,
    output: Path,
    n_kappas: int,
    rule: str | None,
    n_features: int | None,
    level: float | None,
    sample_groups: str | None,
    n_jobs: int,
    max_seconds: float | None,
    checkpoint: Path | None,
    test_share: float,
    loss_choice: LossChoice,
    choice: ColumnChoice,
    form: TextFormat,
    standardize: bool,
    method: str,
    solver: str,
    seed: int,
    **problem: Any,
) -> None:
    """Choose the inputs that matter in the table in the file DATA: CSV, Parquet, JSON or Excel.

    Walks the path of growing kappa, chooses inputs by cross-validation and score tests, refits on them and tests on
    rows that took no part. Writes feature_selection.png, report.json and model.npz.

    \b
    Examples:
      bcd-implicit select data.csv --target y
      bcd-implicit select data.parquet --target y1 --target y2 --n-hidden 10 --output DIR
      bcd-implicit select data.csv --target y --n-features 5
      bcd-implicit select data.csv --target y --sample-groups person
    """
    # Before the imports, which take longer than the check.
    check_is_file(data)
    with importing():
        from bcd_implicit.cli.columns import about, read_columns
        from bcd_implicit.experiments import feature_selection as experiment
        from bcd_implicit.selection.rules import check_rule
        from bcd_implicit.support.checks import check_number
        from bcd_implicit.support.parallel import check_jobs

    # No level is the default one here: there is no option for no test.
    tested: float | Literal["auto"] = choices.AUTO_LEVEL if level is None else level
    check_rule(rule, tested, n_features)
    loss, columns = loss_choice.suiting(read_columns(data, choice, form, sample_groups), data)
    # Before the folder is made and the path walked.
    check_jobs(n_jobs)
    if n_features is not None:
        p, remedy = columns.inputs.shape[1], "Between 1 and all inputs"
        check_number("n_features", n_features, 1, p, integer=True, remedy=remedy)
    check_writable(output)
    check_apart(data=data, checkpoint=checkpoint)
    with one_warning(), about(data):
        run = experiment.run_table(
            columns.inputs,
            columns.outputs,
            data.name,
            loss=loss,
            seed=seed,
            method=method,
            solver=solver,
            n_kappas=n_kappas,
            rule=rule,
            n_features=n_features,
            level=tested,
            n_jobs=n_jobs,
            test_share=test_share,
            standardize=standardize,
            sample_groups=columns.labels,
            progress=True,
            groups=columns.groups or None,
            max_seconds=max_seconds,
            checkpoint=checkpoint,
            **problem,
        )
    present(run, output)
