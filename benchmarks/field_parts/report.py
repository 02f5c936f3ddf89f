"""The table in Markdown and the plot, made from the rows that are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from shared.pages import markdown_table

from field_parts.judges import JUDGES
from field_parts.tables import TABLES

# Key: table and method. Its rows: one a seed.
Found = dict[tuple[str, str], list[dict[str, Any]]]


def at_k(row: dict[str, Any], k: int | None) -> dict[str, Any] | None:
    """The choice of k inputs; of a method that is not told k, its only one."""
    return next((choice for choice in row["choices"] if choice["k"] in (k, None)), None)


def summarize(found: Found) -> list[dict[str, Any]]:
    """A row a table and method that has been run, at the table's own k, over the seeds that are there."""
    summary = []
    for (table, method), rows in found.items():
        if not rows:
            continue
        choices = [choice for row in rows if (choice := at_k(row, TABLES[table].k))]
        at: dict[str, Any] = {"table": table, "method": method, "n_seeds": len(rows), "n_finished": len(choices)}
        at["unfinished"] = next((row["unfinished"] for row in rows if "unfinished" in row), None)
        for name in ("n_inputs", "true", "false", *JUDGES, "cpu_seconds"):
            values = np.array([choice[name] for choice in choices if name in choice], float)
            if len(values):
                at[name] = float(np.median(values) if name == "cpu_seconds" else values.mean())
                at[f"{name}_error"] = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        summary.append(at)
    return summary


def number(value: float) -> str:
    """Without decimals where it has none."""
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


def cells_of(at: dict[str, Any]) -> list[str]:
    """Seeds, inputs, accuracies and seconds of a row of the summary."""
    seeds = str(at["n_seeds"])
    if at["n_finished"] < at["n_seeds"]:
        seeds = f"{at['n_finished']} of {seeds}"
    if not at["n_finished"]:
        return [seeds, "", *("" for _ in JUDGES), at["unfinished"]]
    inputs = number(at["n_inputs"])
    if "true" in at:
        inputs += f": {number(at['true'])} true, {number(at['false'])} false"
    errors = {name: at[f"{name}_error"] for name in JUDGES}
    scores = [f"{at[name]:.3f}" + ("" if (e := errors[name]) is None else f" ± {e:.3f}") for name in JUDGES]
    seconds = "" if at["method"] == "all inputs" else f"{at['cpu_seconds']:.1f}"
    return [seeds, inputs, *scores, seconds + (f"; else {at['unfinished']}" if at["unfinished"] else "")]


def markdown(summary: list[dict[str, Any]]) -> str:
    """The table, a line a row of the summary."""
    lines = [[f"{at['table']}, {TABLES[at['table']].k}", at["method"], *cells_of(at)] for at in summary]
    return markdown_table(["data, k", "method", "seeds", "inputs", *JUDGES, "seconds"], lines)


STYLE = {  # colour and marker: one a method
    "bcd_implicit": ("#c44e52", "o"),
    "bcd_implicit, squared loss": ("#e39a9d", "o"),
    "bcd_implicit, without k": ("#c44e52", "*"),
    "LassoNet": ("#dd8452", "D"),
    "random forest": ("#55a868", "^"),
    "MultiTaskLasso": ("#2f4b7c", "s"),
    "mutual information": ("#8c96a3", "v"),
    "all inputs": ("#000000", ""),
}


def plot(found: Found, file: str) -> None:
    """A panel a table: the accuracy of the trees, mean over the seeds, against the number of inputs chosen."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(11, 6.5), layout="constrained")
    axes = fig.subplots(2, 3).ravel()
    handles = {}
    for ax, table in zip(axes, TABLES, strict=False):
        for method, (colour, marker) in STYLE.items():
            rows = [row for row in found[table, method] if row["choices"]]
            if not rows:
                continue
            # Asked for k, methods may choose fewer: the place is what they chose.
            choices = np.array([[(c["n_inputs"], c["trees"]) for c in row["choices"]] for row in rows])
            x, y = choices.mean(axis=0).T
            if method == "all inputs":
                handles[method] = ax.axhline(y[0], color=colour, linestyle=":", linewidth=1)
                continue
            (handles[method],) = ax.plot(x, y, marker=marker, color=colour, linewidth=1.3, label=method)
        ax.set_title(f"{table}: k = {TABLES[table].k} in the table", fontsize=9)
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlabel("inputs chosen")
    for ax in axes[::3]:
        ax.set_ylabel("accuracy of trees on these inputs")
    axes[-1].axis("off")
    axes[-1].legend(handles.values(), handles.keys(), loc="center", frameon=False)
    fig.savefig(file, dpi=150)
