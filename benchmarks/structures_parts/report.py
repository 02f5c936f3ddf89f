"""The tables, for the terminal and for a page, made from the rows that are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table
from shared.pages import markdown_table

from structures_parts.training import OURS

Rows = list[dict[str, Any]]
# The columns of numbers, and how many digits they have; those that a row does not have stay empty.
DIGITS = {"objective": 4, "R2": 3, "accuracy": 3, "log loss": 3, "seconds": 1}


def mean_and_error(values: list[float], digits: int, sign: str = "") -> str:
    """The mean, and its standard error where there are several values."""
    found, error = np.array(values), ""
    if len(found) > 1:
        error = f" ± {found.std(ddof=1) / np.sqrt(len(found)):.{digits}f}"
    return f"{found.mean():{sign}.{digits}f}{error}"


def compared(rows: Rows, by: str, against: str, differences: tuple[str, ...]) -> list[list[str]]:
    """A line a method: means over seeds, and paired differences to that of one of them."""
    names = list(dict.fromkeys(row[by] for row in rows))
    of = {name: {row["seed"]: row for row in rows if row[by] == name} for name in names}
    lines = []
    for name in names:
        line = [name]
        for column, digits in DIGITS.items():
            values = [row[column] for row in of[name].values() if column in row]
            if not values:
                continue
            line.append(mean_and_error(values, digits))
            if column in differences:
                pairs = [row[column] - of[against][seed][column] for seed, row in of[name].items()]
                line.append("" if name == against else mean_and_error(pairs, digits, "+"))
        lines.append(line)
    return lines


def headings(rows: Rows, first: str, differences: tuple[str, ...]) -> list[str]:
    """Those of :func:`compared`."""
    columns = [first]
    for column in DIGITS:
        if column in rows[0]:
            columns += [column, "difference"] if column in differences else [column]
    return columns


Titled = tuple[str, list[str], list[list[str]]]


def seeds_of(rows: Rows) -> str:
    """How many there are."""
    n = len({row["seed"] for row in rows})
    return f"{n} seed{'s' * (n > 1)}"


def tables(results: dict[str, Any]) -> list[Titled]:
    """Titles, headings and lines."""
    found: list[Titled] = []
    for key, choice in results["choice"].items():
        name, activation = key.split(", ")
        rows = [row for row in results["trained"] if (row["table"], row["activation"]) == (name, activation)]
        differences = ("objective", "R2", "log loss")
        title = f"{key}, ridge {choice['ridge']:g}, {seeds_of(rows)}; differences to “{OURS}”"
        found.append((title, headings(rows, "trained by", differences), compared(rows, "method", OURS, differences)))
    for name in dict.fromkeys(row["table"] for row in results["tuned"]):
        rows = [row for row in results["tuned"] if row["table"] == name]
        head = headings(rows, "started by PyTorch", ("objective",))
        title = f"{name}, fine-tuned, {seeds_of(rows)}; differences to “then blocks”"
        found.append((title, head, compared(rows, "method", "then blocks", ("objective",))))
    for name in dict.fromkeys(row["table"] for row in results["opened"]):
        rows = [row for row in results["opened"] if row["table"] == name]
        lines = compared(rows, "problem", "layers", ())
        more = {"entries above 1 %": entries, "feedforward": feedforward}
        head = headings(rows, "free", ()) + list(more)
        lines = [
            [*line, *(cell([r for r in rows if r["problem"] == line[0]]) for cell in more.values())] for line in lines
        ]
        found.append((f"{name}, zeros freed, {seeds_of(rows)}", head, lines))
        found.append((f"{name}, what drives each layer", *driven(rows)))
    return found


def entries(rows: Rows) -> str:
    """How many entries of A, B and C count, of how many, means over seeds."""
    counts = np.mean([[sum(c) for c in zip(*row["counted"].values(), strict=True)] for row in rows], axis=0)
    return f"{counts[0]:.0f} of {counts[1]:.0f}"


def feedforward(rows: Rows) -> str:
    """The share of A that an order makes feedforward, and that of the entries shuffled."""
    if "feedforward" not in rows[0]:
        return "all"
    own, shuffled = (np.mean([row[key] for row in rows]) for key in ("feedforward", "shuffled"))
    return f"{own:.0%} ({shuffled:.0%} shuffled)"


def driven(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Headings and lines: by where it comes from, the share of what drives a layer."""
    names = list(rows[0]["shares"])
    lines = []
    for problem in dict.fromkeys(row["problem"] for row in rows):
        shares = [row["shares"] for row in rows if row["problem"] == problem]
        lines.append([problem, *(f"{np.mean([s[name] for s in shares]):.0%}" for name in names)])
    return ["free", *names], lines


def console_tables(results: dict[str, Any]) -> list[Table]:
    """For the terminal."""
    made = []
    for title, head, lines in tables(results):
        table = Table(*head, title=title)
        for line in lines:
            table.add_row(*line)
        made.append(table)
    return made


def markdown(results: dict[str, Any]) -> str:
    """For a page."""
    parts = []
    for title, head, lines in tables(results):
        parts.append(f"{title}:\n\n{markdown_table(head, lines)}")
    return "\n".join(parts).replace("%", " %").replace("1  %", "1 %")
