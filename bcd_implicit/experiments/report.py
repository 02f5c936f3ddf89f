"""What the feature-selection experiment shows: figure, report, tables for the terminal."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table as RichTable
from rich.text import Text

from bcd_implicit import plots
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.experiments.feature_selection_result import FeatureSelection
from bcd_implicit.plots.arguments import norm_label
from bcd_implicit.selection.path import PathResult
from bcd_implicit.support.files import write_atomically
from bcd_implicit.support.json_text import json_text


def figure(run: FeatureSelection) -> Any:
    """Four panels: the two vectors of column norms side by side, the path, the objective's history."""
    from matplotlib.figure import Figure

    synthetic = run.true_norms is not None
    highlight = run.true_norms > 0 if run.true_norms is not None else run.selection.support
    names = None if synthetic else run.selection.input_names
    fig = Figure(figsize=(11, 7), layout="constrained")
    axes = fig.subplots(2, 2)
    fig.suptitle(run.title, parse_math=False)
    if run.true_norms is not None:
        plots.column_norms(run.true_norms, highlight, ax=axes[0, 0]).set_title("generating B (n = 20)")
    else:
        plots.column_norms(run.refit_norms, highlight, names, ax=axes[0, 0]).set_title("after the refit")
    n = run.path.problem.n_hidden
    at = rf"$\kappa$ = {run.selection.kappa:.3g}" + ("" if run.selection.on_path else ", nearest point of the path")
    plots.column_norms(run.learned_norms, highlight, names, ax=axes[0, 1]).set_title(rf"learned B (n = {n}), {at}")
    # Arrays have no units of their own; both are in those of training.
    for ax in axes[0, synthetic:]:
        ax.set_ylabel(norm_label(run.path.problem))
    words = {"highlighted": "used by the generating B", "others": "not used"} if synthetic else {}
    plots.kappa_path(run.path, run.selection, highlight, ax=axes[1, 0], names=names, **words).set_title(
        "path: every column's norm"
    )
    plots.history(run.selection.result, ax=axes[1, 1]).set_title("objective of the refit")
    return fig


def write(run: FeatureSelection, directory: str | Path, stem: str = "") -> list[Path]:
    """Write ``feature_selection.png``, ``report.json`` and ``model.npz`` into a folder; returns their paths."""
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(
            "output", f"{directory} cannot be made ({error.strerror})", "Choose another folder"
        ) from None
    picture, report = figure(run), json_text(run.report, indent=1).encode()

    def draw(file: Any) -> None:
        with warnings.catch_warnings():
            # Names in a script that the font lacks are drawn as boxes; one warning a letter helps nobody.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            picture.savefig(file, format="png", dpi=130)

    run.model.save(directory / f"{stem}model.npz")
    return [
        directory / f"{stem}model.npz",
        write_atomically(directory / f"{stem}report.json", lambda f: f.write(report)),
        write_atomically(directory / f"{stem}feature_selection.png", draw),
    ]


def summary(run: FeatureSelection, most: int = 25) -> RichTable:
    """The terminal's table: the inputs with the largest norms, against the truth where it is known.

    Its title is ``run.title`` and its conclusion :func:`verdict`; as parts of the table they would wrap at its width.
    """
    norms, support = run.learned_norms, run.selection.support
    order = np.argsort(-norms, kind="stable")
    shown = order[: max(most, int(support.sum()))] if run.true_norms is None else _worth_showing(run, order)
    table, synthetic = RichTable(), run.true_norms is not None
    table.add_column("input")
    if synthetic:
        table.add_column("generating norm", justify="right")
    table.add_column(f"norm at kappa {run.path.kappas[run.selection.index]:.3g}", justify="right")
    table.add_column("selected")
    # Where the truth is known it says more than any reason.
    table.add_column("drops out at kappa" if synthetic else "why", justify="right" if synthetic else "left")
    why = {} if synthetic else run.selection.explain().why
    for j in shown:
        name = run.selection.input_names[j]
        row: list[str | Text] = [Text(name)]  # plain: "length [cm]" is no markup
        if run.true_norms is not None:
            row.append(f"{run.true_norms[j]:.3f}")
        row += [f"{norms[j]:.3f}", "yes" if support[j] else "-"]
        row.append(_leaves_at(run.path, _end(run.path, j)) if synthetic else Text(why[name].partition(": ")[2]))
        table.add_row(*row, style="bold" if support[j] else "dim")
    if len(shown) < len(norms):
        rest = np.setdiff1d(order, shown)
        row = [f"the other {len(rest)}", *(["0.000"] if synthetic else [])]
        last = max(_end(run.path, j) for j in rest)
        leaves = _leaves_at(run.path, last) + (" or before" if 0 < last < len(run.path.kappas) else "")
        leaves = leaves if synthetic or not 0 < last < len(run.path.kappas) else f"drop out at kappa {leaves}"
        table.add_row(*row, f"at most {norms[rest].max():.3f}", "-", leaves, style="dim")
    return table


def _worth_showing(run: FeatureSelection, order: np.ndarray) -> np.ndarray:
    """True and selected inputs, and the first few of the others."""
    assert run.true_norms is not None
    matter = (run.true_norms[order] > 0) | run.selection.support[order]
    return np.concatenate([order[matter], order[~matter][:3]])


def _end(path: PathResult, j: int) -> int:
    """The place on the path from which input j is out for good."""
    present = np.flatnonzero(path.supports[:, j])
    return int(present[-1]) + 1 if len(present) else 0


def _leaves_at(path: PathResult, end: int) -> str:
    if end == 0:
        return "never in"
    return "stays" if end == len(path.kappas) else f"{path.kappas[end]:.3g}"


def scores(run: FeatureSelection) -> RichTable:
    """The terminal's table of test scores: the model on the chosen inputs, and what one has without selection."""
    support, table = run.selection.support, RichTable()
    shown = {"inputs": (str(support.sum()), str(len(support)))}
    for name, ours, ridges in (
        ("test R2", run.test_r2, run.ridge_r2),
        ("test D2", run.test_d2, None),
        ("accuracy", run.test_accuracy, run.ridge_accuracy),
        ("log loss", run.test_log_loss, None),
    ):
        if ours is not None:
            shown[name] = (f"{ours:.3f}", "-" if ridges is None else f"{ridges:.3f}")
    table.add_column("model")
    for name in shown:
        table.add_column(name, justify="right")
    for i, model in enumerate(("implicit, selected inputs", "ridge, all columns")):
        table.add_row(model, *(cells[i] for cells in shown.values()))
    return table


def verdict(run: FeatureSelection) -> str:
    """How many inputs, whether they are the true ones, R2 or D2, and in words what was chosen where."""
    report, p = run.report, len(run.selection.support)
    words = [f"{len(report['selected'])} of {p} inputs selected"]
    if report["exact"] is not None:
        words.append("exactly the true ones" if report["exact"] else f"not the true set (F1 {report['f1']:.2f})")
    words.append(f"test R2 {run.test_r2:.3f}" if run.test_d2 is None else f"test D2 {run.test_d2:.3f}")
    words.append(f"{run.seconds:.0f} s")
    return f"{', '.join(words)}. {report['how']}"


def seeds_table(table: pd.DataFrame) -> RichTable:
    """The terminal's table of :func:`~bcd_implicit.experiments.feature_selection.run_seeds`."""
    shown = RichTable()
    for name in table.columns:
        shown.add_column(name.replace("_", " "), justify="right")
    for row in table.itertuples(index=False):
        cells = [str(row.seed), "yes" if row.exact else "no", f"{row.f1:.2f}", str(row.missed), str(row.false)]
        shown.add_row(*cells, f"{row.test_r2:.3f}", f"{row.kappa:.3g}", f"{row.seconds:.1f}")
    return shown


def seeds_verdict(table: pd.DataFrame) -> str:
    """One line: how often exact, and the means."""
    exact, seconds = f"exactly the true inputs in {table.exact.sum()} of {len(table)}", table.seconds.median()
    return f"{exact}, mean F1 {table.f1.mean():.3f}, mean test R2 {table.test_r2.mean():.3f}, median {seconds:.1f} s"
