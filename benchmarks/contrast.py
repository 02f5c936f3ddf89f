"""Blocks against gradients: the objective (T) and the test score against seconds, on four data sets.

    python benchmarks/contrast.py [--data blog ...] [--ways prox-linear ...] [--seeds 3] [--seconds 15] [--tuning 3]
                                  [--quick] [--json FILE] [--page FILE] [--plot FILE]

Ways to train, all on one objective and from one start:

    prox-linear, fenchel       bi.solve, by blocks; the Fenchel weight is tuned
    prox-linear, restarted     from one random start after the other, until time is up
    gradient first             twenty epochs of the package's Adam with its defaults, then prox-linear from there
    gradient, exact            bi.solve(method="gradient"): Adam, proximal, with its scale step and halving rate
    gradient, Jacobian-free    the same with gradients that take no notice of the cycle
    PyTorch, ImplicitLayer     bi.torch.ImplicitLayer, Adam with a cosine schedule, the penalty as a term of the loss
    PyTorch, torchdeq          the same with torchdeq's layer, as it comes

Learning rate and batch size are tuned for each way and data set: six rates and two sizes, 64 and all samples, each for
``--tuning`` seconds on a drawing that serves for nothing else, three quarters of its training samples fitted and the
others judged. The setting of the lowest objective and that of the best score are then run with every seed, for
``--seconds``, all ways in turn in one process. Seconds are processor time on one thread, of the training alone: now and
then the clock stands still, and (T) is computed at the equilibrium, solved anew, whoever trained.

Each run is one line of the JSON file, written when it is there; what the file has is not measured anew, so that runs
can be stopped, go on, and be done by several processes, one for each data set. A way that needs a package which is not
there is left out: pip install -e '.[peers]' brings PyTorch and torchdeq.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from contrast_parts.problems import CHOOSING_SEED, TASKS
from contrast_parts.report import console_tables, markdown, plot
from contrast_parts.ways import WAYS, chosen, curve
from rich.console import Console
from selection import read, source_hash
from shared.pages import put_on_page

import bcd_implicit as bi
from bcd_implicit.support.threads import one_blas_thread

# With --quick: one seed, two settings, few samples and little time.
QUICK: dict[str, Any] = {"seconds": 0.3, "tuning": 0.1, "seeds": 1}
QUICK_SIZES, QUICK_SETTINGS = {"m": 120, "m_new": 100}, slice(4, 6)
# A run of this many seconds comes before those that count.
WARM = 0.02

Row = dict[str, Any]


class Results:
    """The rows that are there, by key, and the file to which each is written as soon as it is.

    Parameters
    ----------
    file : Path or None
    """

    def __init__(self, file: Path | None) -> None:
        self.file, self.source = file, source_hash()
        self.rows: dict[str, Row] = read(file) if file else {}

    def of(self, stage: str, data: str, way: str) -> list[Row]:
        """The rows of one stage, on one data set, of one way."""
        return [row for row in self.rows.values() if (row["stage"], row["data"], row["way"]) == (stage, data, way)]

    def measure(self, task: Any, **about: Any) -> None:
        """One run, unless it is there."""
        key = json.dumps(about, sort_keys=True)
        if key in self.rows:
            return
        found = curve(task, *(about[name] for name in ("way", "setting", "seed", "seconds")))
        self.rows[key] = {"key": key, **about, **found, "score_name": task.score_name, "source": self.source}
        if self.file:
            with self.file.open("a") as out:
                # In one write: others append to the same file.
                out.write(json.dumps(self.rows[key]) + "\n")


def tried(way: str, quick: bool) -> Sequence[Row]:
    """The settings that tuning tries; none where there is but one."""
    settings = WAYS[way].settings
    if quick and WAYS[way].by_gradients:
        return settings[QUICK_SETTINGS]
    return settings if len(settings) > 1 else ()


def settings_to_run(results: Results, data: str, way: str) -> list[Row]:
    """What tuning chose, each setting once, with what it was chosen for; of a way with one setting that."""
    if len(WAYS[way].settings) == 1:
        return [{"setting": WAYS[way].settings[0], "tuned_for": ["objective", "score"]}]
    found: list[Row] = []
    for criterion, setting in chosen(results.of("tuning", data, way)):
        same = next((row for row in found if row["setting"] == setting), None)
        if same:
            same["tuned_for"].append(criterion)
        else:
            found.append({"setting": setting, "tuned_for": [criterion]})
    return found


def runs(data: Sequence[str], ways: Sequence[str], options: argparse.Namespace, results: Results) -> Iterator[str]:
    """Tune, then run every seed; says what is under way."""
    for name in data:
        draw: Any = partial(TASKS[name], **QUICK_SIZES) if options.quick else TASKS[name]
        task = draw(CHOOSING_SEED).held_out()
        for way in ways:
            # What is imported when it is first asked for is no part of the training.
            curve(task, way, WAYS[way].settings[0], CHOOSING_SEED, WARM)
            settings = WAYS[way].settings[
                QUICK_SETTINGS if options.quick and len(WAYS[way].settings) > 4 else slice(None)
            ]
            for setting in settings if len(settings) > 1 else ():
                yield f"{name}, {way}, tuning: {setting}"
                about = {"stage": "tuning", "data": name, "way": way, "setting": setting}
                results.measure(task, **about, seed=CHOOSING_SEED, seconds=options.tuning)
        for seed, way in itertools.product(range(options.seeds), ways):
            for about in settings_to_run(results, name, way):
                yield f"{name}, seed {seed}, {way}: {about['setting']}"
                about = {"stage": "run", "data": name, "way": way, **about}
                results.measure(draw(seed), **about, seed=seed, seconds=options.seconds)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=list(TASKS), default=list(TASKS), help="of them only these")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="of them only these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each run")
    parser.add_argument("--tuning", type=float, default=3.0, help="seconds for each setting that is tried")
    parser.add_argument("--quick", action="store_true", help="one seed, few settings and samples, little time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a line a run; what it has is not measured anew")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the tables on this page, between its two marks")
    parser.add_argument("--plot", metavar="FILE", help="draw (T) and the scores against seconds")
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    # Runs that end because their time is up are what is wanted.
    warnings.simplefilter("ignore", bi.ConvergenceWarning)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    console = Console(width=170)
    missing = {WAYS[way].needs for way in options.ways if not WAYS[way].is_there}
    if missing:
        console.print(f"Left out, for want of {', '.join(sorted(missing))}: pip install -e '.[peers]'", highlight=False)
    results = Results(options.json)
    with one_blas_thread():
        for doing in runs(options.data, [way for way in options.ways if WAYS[way].is_there], options, results):
            console.print(doing, highlight=False)
    rows = [row for row in results.rows.values() if row["stage"] == "run" and row["data"] in options.data]
    for table in console_tables(rows):
        console.print(table)
    if options.page:
        put_on_page(markdown(rows), options.page, Path(__file__).name)
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
