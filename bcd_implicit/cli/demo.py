# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit demo``: the feature-selection experiment."""

from __future__ import annotations

from pathlib import Path

import click
from cloup import option, option_group

import bcd_implicit as bi
from bcd_implicit.cli.console import check_writable, for_programs, one_warning, present, say
from bcd_implicit.cli.options import (
    command,
    folder_option,
    jobs_option,
    json_option,
    method_options,
    number,
    one_of,
    seed_option,
    time_option,
)
from bcd_implicit.support import choices
from bcd_implicit.support.importing import importing


@command
@option_group(
    "Output",
    folder_option("demo-output", "Folder for the figures, reports and models."),
    json_option,
)
@option_group(
    "Data",
    one_of("--data family", choices.FAMILIES, "Generated data", default="column-sparse", show_default=True),
    number(
        "--noise",
        "SIZE",
        "Noise, in standard deviations of each output.  [default: 0 for column-sparse, 0.05 for even]",
        None,
    ),
    option(
        "--real-table/--no-real-table",
        default=True,
        show_default=True,
        help="Repeat the experiment on the diabetes data.",
    ),
    number(
        "--n-seeds",
        "N",
        "Number of data sets. With 2 or more, the command prints one line for each and writes no files.",
        1,
        click.IntRange(min=1),
    ),
)
@option_group(
    "Model",
    number(
        "--n-hidden",
        "N",
        "Number of hidden features of the model. The data have 20.",
        choices.N_HIDDEN_GUESS,
        int,
    ),
    number("--n-kappas", "N", "Number of models on the path.", 15, int),
)
@option_group(
    "Training",
    jobs_option,
    time_option(
        "Stop each experiment after this many seconds and keep the best result so far. With several seeds nothing is "
        "kept."
    ),
    seed_option,
    *method_options,
)
def demo(
    output: Path,
    family: str,
    noise: float | None,
    n_hidden: int,
    n_kappas: int,
    real_table: bool,
    n_seeds: int,
    n_jobs: int,
    max_seconds: float | None,
    method: str,
    solver: str,
    seed: int,
) -> None:
    """Run the feature-selection experiment.

    Does the learned B show which inputs matter? The data come from a known model with 20 hidden features, whose B has
    few nonzero columns. A smaller model is trained with growing weights kappa of the group lasso. Cross-validation
    picks kappa without knowing the truth. Then the columns of the learned B are compared with the true ones. Writes
    feature_selection.png, report.json and model.npz, and the same for the diabetes data.

    \b
    Examples:
      bcd-implicit demo
      bcd-implicit demo --data even --seed 3 --output even
      bcd-implicit demo --method fenchel
      bcd-implicit demo --noise 1 --n-seeds 20 --n-jobs -1
    """
    with importing():
        from bcd_implicit.experiments import feature_selection as experiment
        from bcd_implicit.experiments import report
        from bcd_implicit.support.parallel import check_jobs

    check_jobs(n_jobs)
    if n_seeds > 1:
        seeds = range(seed, seed + n_seeds)
        with one_warning():
            runs = experiment.run_seeds(
                family, seeds, method, solver, n_hidden=n_hidden, noise=noise, n_kappas=n_kappas, n_jobs=n_jobs,
                progress=True, max_seconds=max_seconds,
            )  # fmt: skip
        for_programs({"seeds": runs.to_dict("records")})
        say(f"{family} data, {n_seeds} seeds, {method}", report.seeds_table(runs), report.seeds_verdict(runs))
        return
    check_writable(output)
    with one_warning():
        run = experiment.run_synthetic(
            family, seed, method, solver, n_hidden=n_hidden, noise=noise, n_kappas=n_kappas, n_jobs=n_jobs,
            progress=True, max_seconds=max_seconds,
        )  # fmt: skip
    present(run, output, key=family)
    if real_table:
        table = bi.datasets.load_diabetes()
        with one_warning():
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
                max_seconds=max_seconds,
            )
        say("")
        present(run, output, "diabetes_", key="diabetes")
