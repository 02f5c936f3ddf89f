# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit convergence``: the theorem of global convergence with implicit layers."""

from __future__ import annotations

from pathlib import Path

from cloup import option_group

from bcd_implicit.cli.console import check_writable, for_programs, say
from bcd_implicit.cli.options import command, folder_option, json_option, number, one_of, seed_option
from bcd_implicit.support.choices import CONVERGENCE_LOSSES
from bcd_implicit.support.importing import importing


@command
@option_group(
    "Output",
    folder_option("convergence-output", "Folder for the figure and the report."),
    json_option,
)
@option_group(
    "Model and data",
    number("--n-hidden", "N", "Width n: the number of states and of random features.", 8, int),
    number("--n-outputs", "N", "Number q of outputs or classes.", 20, int),
    number("--n-samples", "N", "Number m of samples.", 30, int),
    number("--gamma", "SHARE", "Weight of the feedback, below 1.", 0.9),
    one_of("--loss", CONVERGENCE_LOSSES, "Loss", default="squared", show_default=True),
)
@option_group(
    "Training",
    number(
        "--horizon", "TIME", "Time at which the gradient flow ends.  [default: when its slope no longer changes]", None
    ),
    number("--n-steps", "N", "Maximum number of steps of gradient descent.", 1000, int),
    seed_option,
)
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
    """Show that gradients reach the optimum.

    On this model gradients reach the global optimum at a linear rate, whatever its width. The model is f(u) = B (I -
    gamma sigma(A))^-1 psi(u), where sigma is the softmax of each column and psi are random features. Draws the distance
    of the loss from its optimum, the proved bounds on it, and other methods that reach the same optimum. Writes
    convergence.png and report.json.

    \b
    Examples:
      bcd-implicit convergence
      bcd-implicit convergence --n-hidden 4 --n-outputs 40 --n-samples 100
      bcd-implicit convergence --loss cross-entropy --n-outputs 3
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
    files = report.write(run, output)
    for_programs(run.report | {"files": [str(path) for path in files]})
    say(f"{run.title}, seed {seed}", report.rates_table(run), report.solves_table(run), report.verdict(run))
    say(*(f"wrote {path}" for path in files))
