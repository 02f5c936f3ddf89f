# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit network``: what a well-known network looks like as an implicit model."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from bcd_implicit.cli.console import check_writable, for_programs, print_facts, say
from bcd_implicit.cli.options import command, folder_option, json_option, seed_option
from bcd_implicit.support.choices import NETWORKS
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.importing import importing


@command
@cloup.argument("name", metavar="NAME", type=click.Choice(list(NETWORKS)), help=f"One of {', '.join(NETWORKS)}.")
@cloup.option_group(
    "Output", folder_option("network-output", "Folder for the picture and the model."), json_option, seed_option
)
def network(name: str, output: Path, seed: int) -> None:
    """Write a known network as a model.

    The network is written as an implicit model, and its matrices are drawn. Its weights are random. Writes NAME.npz, a
    model for predict and check, and NAME.png, the matrix (A B; C D) with lines between the layers.

    \b
    Examples:
      bcd-implicit network lenet5
      bcd-implicit network lstm --output pictures
    """
    check_writable(output)
    with importing():
        from matplotlib.figure import Figure

        from bcd_implicit import plots
        from bcd_implicit.networks.known import known

    model = known(name, seed)
    structure = model.structure()
    figure = Figure(figsize=(8, 7), layout="constrained")
    plots.matrix(model, figure.subplots(), parts="all")
    write_atomically(output / f"{name}.png", lambda file: figure.savefig(file, dpi=150, format="png"))
    model.save(output / f"{name}.npz")
    files = [output / f"{name}.png", output / f"{name}.npz"]
    n_entries = sum(int((abs(getattr(model, letter)) > 0).sum()) for letter in "ABCD")
    facts = {
        "states": f"{model.n_hidden}, {model.activation.name}",
        "inputs, outputs": f"{model.B.shape[1]}, {model.C.shape[0]}",
        "entries that are not zero": f"{n_entries:,}",
        "density of A": f"{100 * structure.density:.3g} %",
        "stages": f"{structure.depth}",
        "verdict": structure.reason,
    }
    print_facts(name, facts)
    for_programs(
        {
            "n_hidden": model.n_hidden,
            "n_inputs": model.B.shape[1],
            "n_outputs": model.C.shape[0],
            "n_nonzero": n_entries,
            "density_of_A": structure.density,
            "n_stages": structure.depth,
            "why": structure.reason,
            "files": [str(path) for path in files],
        }
    )
    say(*(f"wrote {path}" for path in files))
