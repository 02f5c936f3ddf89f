# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit demo``: the feature-selection experiment."""

from __future__ import annotations

from pathlib import Path

import click

import bcd_implicit as bi
from bcd_implicit.cli.console import check_writable, console, one_warning, present
from bcd_implicit.cli.options import folder_option, jobs_option, method_options, time_option
from bcd_implicit.support import choices
from bcd_implicit.support.importing import importing


@click.command()
@folder_option("demo-output", "Folder for the figures and reports.")
@click.option(
    "--data",
    "family",
    type=click.Choice(choices.FAMILIES),
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
    "--n-hidden", type=int, default=choices.N_HIDDEN_GUESS, show_default=True, help="The guess; the truth is 20."
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
@time_option(
    "Stop each experiment after so many seconds with what is reached by then; several seeds have no part answer."
)
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
    max_seconds: float | None,
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
        console.print(f"{family} data, {n_seeds} seeds, {method}", soft_wrap=True)
        console.print(report.seeds_table(runs))
        console.print(report.seeds_verdict(runs), soft_wrap=True)
        return
    check_writable(output)
    with one_warning():
        run = experiment.run_synthetic(
            family, seed, method, solver, n_hidden=n_hidden, noise=noise, n_kappas=n_kappas, n_jobs=n_jobs,
            progress=True, max_seconds=max_seconds,
        )  # fmt: skip
    present(run, output)
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
        console.print()
        present(run, output, "diabetes_")
