"""The tables in Markdown and the plot, made from the rows that are stored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from shared.pages import markdown_table

from when_parts.data import SOURCES

Rows = list[dict[str, Any]]
# By name: as it is called on the page, colour and marker.
STYLE = {
    "implicit": ("implicit model, all inputs", "#2f5fb3", "P"),
    "linear": ("linear, all inputs", "#8c96a3", "P"),
    "boosting": ("boosting, all inputs", "#55a868", "P"),
    "perceptron": ("perceptron, all inputs", "#b279a2", "P"),
    "implicit selector": ("ImplicitFeatureSelector", "#2f5fb3", "o"),
    "lasso": ("SelectFromModel(LassoCV)", "#8c96a3", "s"),
    "RFE": ("RFECV", "#c0a96b", "v"),
    "forward": ("SequentialFeatureSelector", "#7d6b57", "^"),
    "mutual information": ("mutual information", "#d65f5f", "X"),
    "random forest": ("forest importance", "#55a868", "D"),
    "LassoNet": ("LassoNet", "#dd8452", "d"),
}
TICKS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500)


def of(rows: Rows, data: str, method: str) -> Rows:
    return sorted((r for r in rows if r["data"] == data and r["method"] == method), key=lambda r: r["seed"])


def of_same_splits(rows: Rows, data: str, method: str) -> Rows:
    """Only the splits that the implicit selector has seen."""
    seeds = {row["seed"] for row in of(rows, data, "implicit selector")}
    return [row for row in of(rows, data, method) if row["seed"] in seeds]


def mean(values: Sequence[float]) -> str:
    """Mean and its standard error."""
    if len(values) < 2:
        return f"{np.mean(values):.3f}" if len(values) else ""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


def jaccard(rows: Rows) -> float:
    """Inputs that two splits share, as a share of those that either keeps; mean over all pairs of splits."""
    supports = [set(row["support"]) for row in rows]
    return float(np.mean([len(a & b) / max(len(a | b), 1) for a, b in combinations(supports, 2)]))


def ratio(rows: Rows, reference: Rows) -> str:
    """Median processor time as a multiple of the reference's."""
    value = np.median([r["seconds"] for r in rows]) / np.median([r["seconds"] for r in reference])
    if value < 0.01:
        return "< 0.01"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def tables_of_models(rows: Rows, models: list[str]) -> str:
    lines, means, times = [], [], []
    for name, source in SOURCES.items():
        found = [of(rows, name, method) for method in models]
        seeds = set.intersection(*({row["seed"] for row in part} for part in found))
        if not seeds:
            continue
        scores = [[row["score"] for row in part if row["seed"] in seeds] for part in found]
        means.append([np.mean(part) for part in scores])
        times.append([ratio(found[0], part) for part in found])
        first = found[0][0]
        size = f"{first['rows']} x {first['inputs']}"
        seconds = np.median([row["seconds"] for row in found[0]])
        lines.append([f"{name} ({source.about})", size, str(len(seeds)), *map(mean, scores), f"{seconds:.1f}"])
    if not lines:
        return ""
    head = ["data", "rows x inputs", "splits", *models, "seconds, implicit"]
    text = markdown_table(head, lines)
    means_of = np.array(means)
    for j, model in enumerate(models[1:], start=1):
        # As the table has them: a difference that three digits do not show is none.
        gains = (means_of[:, 0] - means_of[:, j]).round(3)
        ahead, behind = int((gains > 0).sum()), int((gains < 0).sum())
        # Without a median: that of linear models falls between ridge and logistic regression.
        several = sorted((pair[j] for pair in times), key=float)
        text += (
            f"\nBeside {model}, the implicit model has the higher mean on {ahead} data sets, the lower one on {behind} "
        )
        text += (
            f"and the same on {len(gains) - ahead - behind}. The median difference is {np.median(gains):+.3f}, and a "
        )
        text += f"fit takes {several[0]} to {several[-1]} times as long.\n"
    return text


def table_of_selectors(rows: Rows, models: list[str], selectors: list[str]) -> str:
    lines = []
    names = [n for n in SOURCES if len(of(rows, n, "implicit selector"))]
    for name in names:
        reference = of(rows, name, "implicit selector")
        for method in [*selectors, *models]:
            part = of_same_splits(rows, name, method)
            if not part:
                continue
            selects = method in selectors
            kept = np.mean([len(r["support"]) if selects else r["inputs"] for r in part])
            cells = [name, STYLE[method][0], str(len(part)), f"{kept:.3g}"]
            cells += [f"{jaccard(part):.2f}" if selects and len(part) > 1 else ""]
            cells += [mean([r["score"] for r in part])]
            cells += [mean([r[f"score_{judge}"] for r in part]) if selects else "" for judge in ("linear", "boosting")]
            lines.append([*cells, ratio(part, reference)])
    head = ["data", "method", "splits", "inputs", "Jaccard", "own model", "then linear", "then boosting", "time"]
    return markdown_table(head, lines)


def markdown(rows: Rows, models: list[str], selectors: list[str]) -> str:
    """Both tables."""
    return f"{tables_of_models(rows, models)}\n{table_of_selectors(rows, models, selectors)}"


def plot(rows: Rows, models: list[str], selectors: list[str], file: str) -> None:
    """A panel a data set: the score of each method's own model against the number of inputs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, ScalarFormatter

    names = [n for n in SOURCES if len(of(rows, n, "implicit selector"))]
    fig = Figure(figsize=(10, 3.8 * ((len(names) + 1) // 2)), layout="constrained")
    axes = fig.subplots((len(names) + 1) // 2, 2, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        for method in [*selectors, *models]:
            part = of_same_splits(rows, name, method)
            if not part:
                continue
            label, colour, marker = STYLE[method]
            scores = np.array([r["score"] for r in part])
            x = np.mean([max(len(r["support"]), 0.5) if method in selectors else r["inputs"] for r in part])
            error = scores.std(ddof=1) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
            size = 9 if method.startswith("implicit") else 6.5
            order = 4 if method.startswith("implicit") else 3
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": size, "label": label}
            ax.errorbar(x, scores.mean(), error, linestyle="", elinewidth=1, zorder=order, **style)
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.set_xticks([tick for tick in TICKS if low <= tick <= high])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_title(name)
        ax.set_ylabel("accuracy on held-out rows" if SOURCES[name].classes else "R2 on held-out rows")
        ax.set_xlabel("inputs kept (mean)")
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    found = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    order_of = [STYLE[m][0] for m in [*selectors, *models] if STYLE[m][0] in found]
    handles = [found[label] for label in order_of]
    fig.legend(handles, order_of, loc="outside lower center", ncols=3, frameon=False)
    fig.savefig(file, dpi=130)
