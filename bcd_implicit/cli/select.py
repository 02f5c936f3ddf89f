# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit select``: the inputs that matter in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
from cloup import option_group

from bcd_implicit.cli.column_choice import ColumnChoice
from bcd_implicit.cli.console import check_apart, check_writable, one_warning, present
from bcd_implicit.cli.data_file import check_data, title_of
from bcd_implicit.cli.losses import LossChoice
from bcd_implicit.cli.options import (
    Range,
    column_option,
    command,
    data_argument,
    data_options,
    folder_option,
    gathered,
    jobs_option,
    json_option,
    model_options,
    number,
    one_of,
    training_options,
)
from bcd_implicit.support import choices
from bcd_implicit.support.importing import importing
from bcd_implicit.support.text_format import TextFormat


@command
@data_argument
@data_options(
    column_option(
        "--sample-groups",
        "Column that labels rows that belong together, such as rows of one person. Such rows are never split between "
        "training and test. The column is not an input.",
    )
)
@option_group(
    "Output",
    folder_option("selection", "Folder for the figure, the report and the model."),
    json_option,
)
@option_group(
    "Selection",
    number(
        "--n-features",
        "N",
        "Select exactly this many inputs: those that stay longest on the path.",
        None,
        click.IntRange(1),
    ),
    one_of(
        "--rule",
        choices.RULES,
        f"Rule that chooses inputs from the path (not with --n-features)  [default: {choices.DEFAULT_RULE}]",
    ),
    number(
        "--level",
        "LEVEL",
        "Family-wise level of the score tests that follow (not with --n-features).  "
        f"[default: {choices.DEFAULT_LEVEL}]",
        None,
        Range(0, 1, min_open=True, max_open=True),
    ),
    number(
        "--n-kappas",
        "N",
        "Number of models on the path. Each has a larger kappa than the one before.",
        15,
        int,
    ),
)
@model_options()
@training_options(
    number(
        "--test-share",
        "SHARE",
        "Share of the rows to hold out and test the final model on.",
        0.25,
        Range(0, 0.9, min_open=True),
    ),
    jobs_option,
)
@gathered("choice", ColumnChoice)
@gathered("form", TextFormat)
@gathered("loss_choice", LossChoice)
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
    """Select the inputs of DATA that matter.

    DATA is a file with named columns: CSV, Parquet, JSON or Excel. A path of models is trained with growing weight
    kappa of the group lasso, so that they keep fewer and fewer inputs. Cross-validation and score tests choose the
    inputs. A model of these is trained and tested on held-out rows. Writes feature_selection.png, report.json and
    model.npz.

    \b
    Examples:
      bcd-implicit select data.csv --target y
      bcd-implicit select data.parquet --target y1 --target y2 --output results
      bcd-implicit select data.csv --target y --n-features 5
      bcd-implicit select data.csv --target y --sample-groups person
      bcd-implicit select - --target y --json < data.csv | jq .selected
    """
    check_data(data)
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
    # Before the folder is made and the path computed.
    check_jobs(n_jobs)
    if n_features is not None:
        p, remedy = columns.inputs.shape[1], "Give a number from 1 to the number of inputs"
        check_number("n_features", n_features, 1, p, integer=True, remedy=remedy)
    check_writable(output)
    check_apart(data=data, checkpoint=checkpoint)
    with one_warning(), about(data):
        run = experiment.run_table(
            columns.inputs,
            columns.outputs,
            title_of(data),
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
