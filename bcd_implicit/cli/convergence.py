# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit convergence``: the theorem of global convergence with implicit layers."""

from __future__ import annotations

from pathlib import Path

import click

from bcd_implicit.cli.console import check_writable, console
from bcd_implicit.cli.options import folder_option
from bcd_implicit.support.choices import CONVERGENCE_LOSSES
from bcd_implicit.support.importing import importing


@click.command()
@folder_option("convergence-output", "Folder for the figure and the report.")
@click.option("--n-hidden", type=int, default=8, show_default=True, help="Width n: states, and features of an input.")
@click.option("--n-outputs", type=int, default=20, show_default=True, help="Outputs q, or classes.")
@click.option("--n-samples", type=int, default=30, show_default=True, help="Samples m.")
@click.option("--gamma", type=float, default=0.9, show_default=True, help="Weight of the feedback, below 1.")
@click.option(
    "--loss", type=click.Choice(CONVERGENCE_LOSSES), default="squared", show_default=True, help="Of the samples."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of data, features and start.")
@click.option("--horizon", type=float, help="The time at which the flow ends.  [default: when its slope is settled]")
@click.option("--n-steps", type=int, default=1000, show_default=True, help="Of gradient descent, at most.")
def convergence(
    output: Path,
    n_hidden: int,
    n_outputs: int,
    n_samples: int,
    gamma: float,
    loss: str,
    seed: int,
    horizon: float | None,
    n_steps: int,
) -> None:
    """Reproduce the theorem: gradients reach the global optimum at a linear rate, of any width.

    The model is f(u) = B (I - gamma sigma(A))^-1 psi(u), with the softmax sigma of each column and random features psi.
    Draws the loss above the optimum beside the bounds that are proved of it, and other ways to the same optimum. Writes
    convergence.png and report.json.

    \b
    Examples:
      bcd-implicit convergence
      bcd-implicit convergence --n-hidden 4 --n-outputs 40 --n-samples 100
      bcd-implicit convergence --loss cross-entropy --n-outputs 3 --n-samples 100
    """
    check_writable(output)
    with importing():
        from bcd_implicit.experiments import convergence as experiment
        from bcd_implicit.experiments import convergence_report as report

    run = experiment(
        n_hidden,
        n_outputs,
        n_samples,
        gamma=gamma,
        loss=loss,
        random_state=seed,
        horizon=horizon,
        n_steps=n_steps,
    )
    console.print(f"{run.title}, seed {seed}", soft_wrap=True)
    console.print(report.rates_table(run))
    console.print(report.solves_table(run))
    console.print(report.verdict(run), soft_wrap=True)
    for path in report.write(run, output):
        console.print(f"wrote {path}", soft_wrap=True)
