"""What it costs to start: imports and the command line's quick answers, in processes of their own.

    python benchmarks/startup.py [--repeats 11] [--before FOLDER] [--json FILE]

A row is CPU seconds (user and system) and seconds by the clock, medians of repeats that take turns, and the ratio of
the CPU seconds to those of the reference in the same run: ``import sklearn.linear_model, pandas``. ``--before`` names a
checkout of another version of this package, which is measured in the same turns. BLAS has one thread.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from shared.results import write_results

REFERENCE = "import sklearn.linear_model, pandas"
USE = "import bcd_implicit as bi; bi.solve; bi.TrainingProblem"
PROGRAM = "from bcd_implicit.cli import main; main({})"
TASKS = {
    REFERENCE: REFERENCE,
    "import bcd_implicit": "import bcd_implicit",
    "solve, TrainingProblem": USE,
    "solve, TrainingProblem, kappa_path, ImplicitRegressor": f"{USE}; bi.kappa_path; bi.ImplicitRegressor",
    "bcd-implicit --version": PROGRAM.format(["--version"]),
    "bcd-implicit fit --help": PROGRAM.format(["fit", "--help"]),
    "bcd-implicit fit, no such file": PROGRAM.format(["fit", "gone.csv", "--target", "y", "--model", "m.npz"]),
    "bcd-implicit fit, no such column": PROGRAM.format(["fit", "{data}", "--target", "z", "--model", "m.npz"]),
}
DATA = "x,y\n1,2\n2,3\n3,5\n"


def seconds_of(code: str, checkout: Path) -> tuple[float, float]:
    """CPU seconds and seconds by the clock of a fresh process that runs the code."""
    # Python looks for modules in the current folder first.
    environment = os.environ | {"PYTHONPATH": "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment, capture_output=True, check=False)
    clock, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, clock


def measure(checkouts: dict[str, Path], repeats: int) -> list[dict[str, str | float]]:
    """A row for each task of each checkout; the first turn, which compiles modules, does not count."""
    data = Path("startup.csv").resolve()
    data.write_text(DATA)
    tasks = [(name, task) for task in TASKS for name in checkouts if task != REFERENCE or name == "now"]
    times: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in tasks}
    try:
        for turn in range(repeats + 1):
            for name, task in tasks:
                found = seconds_of(TASKS[task].replace("{data}", str(data)), checkouts[name])
                if turn:
                    times[name, task].append(found)
    finally:
        data.unlink()
    rows: list[dict[str, str | float]] = []
    reference = median(cpu for cpu, _ in times["now", REFERENCE])
    for (name, task), found in times.items():
        cpu, clock = (median(values) for values in zip(*found, strict=True))
        rows.append({"version": name, "task": task, "cpu": cpu, "clock": clock, "ratio": cpu / reference})
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11, help="processes a row")
    parser.add_argument("--before", type=Path, help="a checkout of another version")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    given = parser.parse_args()
    here = Path(__file__).resolve().parents[1]
    rows = measure({"now": here} | ({"before": given.before.resolve()} if given.before else {}), given.repeats)
    table = Table("version", "task", "CPU s", "clock s", "ratio")
    for row in rows:
        numbers = (f"{row[key]:.2f}" for key in ("cpu", "clock", "ratio"))
        table.add_row(str(row["version"]), str(row["task"]), *numbers)
    Console().print(table)
    if given.json:
        write_results(given.json, rows)


if __name__ == "__main__":
    main()
