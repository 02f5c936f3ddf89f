"""The tables and the curves, made from the rows that are stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.table import Table
from shared.pages import markdown_table

from contrast_parts.clock import best_by
from contrast_parts.problems import TASKS
from contrast_parts.ways import WAYS

Rows = list[dict[str, Any]]
Titled = tuple[str, list[str], list[list[str]]]
# Where the tables look, in seconds from the start, and at the end: of the cycle in which time was up.
FIRST, EARLY, END = 1.0, 5.0, float("inf")
OURS = ("prox-linear", "prox-linear, restarted", "gradient first")


def data_of(rows: Rows) -> list[str]:
    return [name for name in TASKS if any(row["data"] == name for row in rows)]


def groups(rows: Rows) -> list[tuple[str, str, Rows]]:
    """A way, what its setting was tuned for, and the runs with it, one a seed."""
    found: dict[tuple[str, str], Rows] = {}
    for row in rows:
        found.setdefault((row["way"], " and ".join(row["tuned_for"])), []).append(row)
    order = list(WAYS)
    return [(way, tuned, found[way, tuned]) for way, tuned in sorted(found, key=lambda pair: order.index(pair[0]))]


def told(setting: dict[str, Any]) -> str:
    """A setting in few words."""
    words = [f"rate {setting['learning_rate']:g}"] if "learning_rate" in setting else []
    if "batch_size" in setting:
        words.append("all samples" if setting["batch_size"] is None else f"batches of {setting['batch_size']}")
    if "fenchel_weight" in setting:
        words.append(f"weight {setting['fenchel_weight']:g}")
    return ", ".join(words)


def at(rows: Rows, seconds: float, what: str) -> list[float]:
    """By seed, a column of the best record up to then; NaN where there is none."""
    records = [best_by(row["curve"], seconds) for row in sorted(rows, key=lambda row: row["seed"])]
    return [float("nan") if record is None else record[what] for record in records]


def spread(values: Sequence[float], digits: int) -> str:
    """The mean, and where several seeds differ the least and the largest."""
    mean, ends = np.mean(values), [f"{v:.{digits}f}" for v in (min(values), max(values))]
    return f"{mean:.{digits}f}" + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "")


def table_of(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """A line a way and setting, means over seeds."""
    score = rows[0]["score_name"]
    columns = [f"(T) at {t:g} s" for t in (FIRST, EARLY, rows[0]["seconds"])]
    head = ["method", "setting", "tuned for", *columns, f"test {score}", "zero columns", "close to zero"]
    lines = []
    for way, tuned, own in groups(rows):
        digits = 2 if np.nanmean(at(own, END, "objective")) > 5 else 4
        alone = len(WAYS[way].settings) == 1
        lines.append(
            [
                *(way, told(own[0]["setting"]), "" if alone else tuned),
                *(f"{np.mean(at(own, t, 'objective')):.{digits}f}" for t in (FIRST, EARLY, END)),
                spread(at(own, END, "score"), 3),
                spread(at(own, END, "zero"), 0),
                spread(at(own, END, "small"), 0),
            ]
        )
    return head, lines


def seconds_to_pass(row: dict[str, Any], value: float) -> float:
    """When a run is first below an objective; infinity if it never is."""
    return next((record["seconds"] for record in row["curve"] if record["objective"] < value), float("inf"))


def lowest_of(rows: Rows, seconds: float) -> tuple[float, dict[str, Any]]:
    """The lowest (T) of several runs by then, and whose it is."""
    found = [(at([row], seconds, "objective")[0], row) for row in rows]
    return min(((value, row) for value, row in found if np.isfinite(value)), key=lambda pair: pair[0])


def verdict(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """By data set and seed: (T) of the blocks early, the lowest of all runs by gradients, and who was first."""
    head = ["data", "seed", "blocks", f"(T) at {EARLY:g} s", f"lowest of gradients at {EARLY:g} s"]
    head += [
        f"at {rows[0]['seconds']:g} s",
        "by",
        f"blocks at {EARLY:g} s below it?",
        "runs beaten",
        "time to get below it",
    ]
    lines = []
    for name, seed, way in itertools.product(data_of(rows), sorted({row["seed"] for row in rows}), OURS):
        own = [row for row in rows if (row["data"], row["seed"]) == (name, seed)]
        blocks = [row for row in own if row["way"] == way]
        others = [row for row in own if WAYS[row["way"]].by_gradients and row["curve"]]
        if not blocks or not others:
            continue
        (ours,), (late, row) = at(blocks, EARLY, "objective"), lowest_of(others, END)
        passed, n_below = seconds_to_pass(blocks[0], late), sum(ours < lowest_of([k], END)[0] for k in others)
        lines.append(
            [
                *(name, str(seed), way, f"{ours:.5g}", f"{lowest_of(others, EARLY)[0]:.5g}", f"{late:.5g}"),
                *(f"{row['way']}, {told(row['setting'])}", "yes" if ours < late else "no"),
                *(f"{n_below} of {len(others)}", f"{passed:.2g} s" if np.isfinite(passed) else "never"),
            ]
        )
    return head, lines


def tables(rows: Rows) -> list[Titled]:
    """Titles, headings and lines."""
    found: list[Titled] = []
    for name in data_of(rows):
        own = [row for row in rows if row["data"] == name]
        n_seeds = len({row["seed"] for row in own})
        found.append((f"{name}, {n_seeds} seed{'s' * (n_seeds > 1)}", *table_of(own)))
    return [*found, (f"Blocks at {EARLY:g} s against all gradient runs at their end", *verdict(rows))]


def console_tables(rows: Rows) -> list[Table]:
    """For the terminal."""
    made = []
    for title, head, lines in tables(rows):
        table = Table(*head, title=title)
        for line in lines:
            table.add_row(*line)
        made.append(table)
    return made


def markdown(rows: Rows) -> str:
    """For a page."""
    return "\n".join(f"{title}:\n\n{markdown_table(head, lines)}" for title, head, lines in tables(rows))


# Colour and dashes: one a way.
STYLE: dict[str, tuple[str, str]] = {
    "prox-linear": ("#c44e52", "-"),
    "prox-linear, restarted": ("#c44e52", "--"),
    "gradient first": ("#8172b3", "-"),
    "fenchel": ("#e39a9d", "-"),
    "gradient, exact": ("#4c72b0", "-"),
    "gradient, Jacobian-free": ("#4c72b0", "--"),
    "PyTorch, ImplicitLayer": ("#8c8c8c", "-"),
    "PyTorch, torchdeq": ("#8c8c8c", "--"),
}
# Nearer to the lowest (T) than this, as a share, is drawn at the lower edge.
NEAREST = 1e-3


def mean_curve(rows: Rows, times: np.ndarray, of: Callable[[dict[str, Any], dict[str, Any]], float]) -> np.ndarray:
    """Over seeds, of the best record up to each time; NaN before the last seed has one."""
    found = np.full((len(rows), len(times)), np.nan)
    for i, row in enumerate(rows):
        for j, time in enumerate(times):
            record = best_by(row["curve"], time)
            found[i, j] = np.nan if record is None else of(row, record)
    return found.mean(axis=0)


def plot(rows: Rows, file: str) -> None:
    """Above how far (T) is from the lowest that any run of that seed reaches, below the score; a panel a data set."""
    from matplotlib.figure import Figure

    names = data_of(rows)
    figure = Figure(figsize=(3.4 * len(names) + 1, 6.5), layout="constrained")
    axes = figure.subplots(2, len(names), sharex=True, squeeze=False)
    times = np.geomspace(0.05, max(row["seconds"] for row in rows), 80)
    for (above, below), name in zip(axes.T, names, strict=True):
        own = [row for row in rows if row["data"] == name]
        lowest = {
            seed: min(at([row for row in own if row["seed"] == seed], END, "objective"))
            for seed in {row["seed"] for row in own}
        }

        def excess(row: dict[str, Any], record: dict[str, Any], lowest: dict[int, float] = lowest) -> float:
            return max(record["objective"] / lowest[row["seed"]] - 1, NEAREST)

        for way, tuned, runs in groups(own):
            colour, dashes = STYLE[way]
            line = {"color": colour, "linestyle": dashes, "linewidth": 2 if way in OURS else 1.4, "label": way}
            if "objective" in tuned:
                above.loglog(times, mean_curve(runs, times, excess), **line)
            if "score" in tuned:
                below.semilogx(times, mean_curve(runs, times, lambda _, record: record["score"]), **line)
        above.set_ylim(NEAREST / 1.3, 10)
        # What ends far below the best leaves the panel.
        ends = [value for _, _, runs in groups(own) for value in at(runs, END, "score")]
        below.set_ylim(min(value for value in ends if value > max(ends) - 0.1) - 0.05, max(ends) + 0.01)
        above.set_title(name, fontsize="medium")
        below.set_xlabel("processor seconds")
        below.set_ylabel(f"test {own[0]['score_name']}")
    axes[0, 0].set_ylabel("(T) over the lowest of all runs, less 1")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(STYLE))
    figure.savefig(file, dpi=150)
