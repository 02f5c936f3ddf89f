"""What the convergence experiment shows: figure, report, tables for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table as RichTable

from bcd_implicit import plots
from bcd_implicit.experiments.convergence_curves import draw
from bcd_implicit.experiments.convergence_run import Convergence
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.json_text import json_text

RATES = {
    "theorem": "bound: theorem, 2k / (n (1 + gamma)^2)",
    "computed": "bound: computed, 2k inf lambda_min(D_t)",
    "measured": "measured, from start to end",
    "end": "measured, over the last e^-4 of the gap",
    "end_predicted": "the same of the flow made linear at its end",
    "linearised": "slowest part of the linear flow",
}


def figure(run: Convergence) -> Any:
    """Three panels: gradient flow, gradient descent, and what each way to the optimum leaves in its time."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(13, 4.8), layout="constrained")
    axes = fig.subplots(1, 3)
    fig.suptitle(run.title)
    draw(run.flow, run.rates["linearised"], axes[0], legend=False).set_title("gradient flow")
    draw(run.descent, ax=axes[1], legend=False).set_title(f"gradient descent, {len(run.descent) - 1} steps")
    axes[1].set_xlabel("sum of the step sizes")
    # The lines of the other panel are among those of the first.
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize="small")
    names, seconds, ax = list(run.solves.index), run.solves["seconds"], axes[2]
    colours = [plots.UNUSED if name.startswith("gradient") else plots.USED for name in names]
    bars = ax.barh(names, seconds, color=colours, height=0.5)
    ax.bar_label(bars, [f"gap {gap:.0e}" for gap in run.solves["gap"]], padding=4, fontsize="small")
    ax.set_xscale("log")
    # Room for the labels.
    ax.set_xlim(seconds.min() / 3, seconds.max() * 30)
    ax.invert_yaxis()
    ax.set_xlabel("seconds")
    ax.set_title("ways to the same optimum")
    return fig


def write(run: Convergence, directory: Path) -> list[Path]:
    """Write ``convergence.png`` and ``report.json`` into a folder that exists; returns their paths."""
    picture, text = figure(run), json_text(run.report, indent=1).encode()
    return [
        write_atomically(directory / "convergence.png", lambda file: picture.savefig(file, format="png", dpi=130)),
        write_atomically(directory / "report.json", lambda file: file.write(text)),
    ]


def rates_table(run: Convergence) -> RichTable:
    """The terminal's table of exponents."""
    table = RichTable()
    table.add_column("exponent of the gap")
    table.add_column("a unit of time", justify="right")
    for name, meaning in RATES.items():
        rate = run.rates[name]
        table.add_row(meaning, f"{rate:.4g}" if np.isfinite(rate) else "-")
    return table


def solves_table(run: Convergence) -> RichTable:
    """The terminal's table of ways to the optimum."""
    table = RichTable()
    for name in ("way to the optimum", "seconds", "gap"):
        table.add_column(name, justify="left" if name.startswith("way") else "right")
    for row in run.solves.itertuples():
        table.add_row(str(row.Index), f"{row.seconds:.2g}", f"{row.gap:.1e}")
    return table


def verdict(run: Convergence) -> str:
    """One line: whether the bounds hold, where the optimum is, and how near the Newton step is."""
    broken, steps = run.broken(), len(run.flow) + len(run.descent)
    if len(broken):
        bounds = f"A bound is broken at {len(broken)} of {steps} points, first at time {broken['time'].min():.3g}"
    else:
        bounds = f"No bound is broken at any of {steps} points"
    where = "" if np.isinf(run.best.radius) else f", of the ball of radius {run.best.radius:.3g} (no W has the least)"
    newton = f"off a trust-region Newton step by {run.newton_error:.0e}"
    return f"{bounds}; optimal loss {run.best.loss:.6g}{where}; the flow is {newton}, relatively."
