"""Selection on the tables on which neural selectors are judged, against peers; the protocol of LassoNet's Table 1.

    python benchmarks/field.py --data FOLDER [--tables mice madelon ...] [--methods bcd_implicit ...] [--seeds 0 1 ...]
                               [--workers 2] [--limit 900] [--again] [--out FOLDER] [--plot FILE] [--page FILE]

A fifth of each class is held out, anew for each seed. On the rest a method chooses k inputs. Extremely randomised
trees and a network with one hidden layer of 100 are trained on these, and their accuracy on the fifth is the score.
Inputs are standardised, and gaps filled with the mean, by what is not held out.

FOLDER holds the tables. They are published for research, and not a part of this package:

    mice_protein.csv    Mice Protein Expression, UCI: https://archive.ics.uci.edu/dataset/342; as CSV, with the columns
                        of the original, it is examples/Data_Cortex_Nuclear.csv of github.com/lasso-net/lassonet
    madelon.mat         https://jundongl.github.io/scikit-feature/datasets.html; so are the others
    Isolet.mat
    COIL20.mat
    TOX-171.mat         there TOX_171.mat

How the methods choose:

    bcd_implicit            kappa_path(...) on class indicators with each of six settings, three under the squared loss
                            and three under cross-entropy: the k inputs that stay longest on the path from whose inputs
                            trees predict best, in cross-validation on the rows to train on; cross-entropy's only where
                            they are ahead of the squared loss's by more than two standard errors
    bcd_implicit, squared loss
                            the same with the three settings under the squared loss
    bcd_implicit, without k kappa_path(...).select() with the first of these settings, without k
    LassoNet                the first model of its path with at most k inputs
    random forest           the k largest importances
    MultiTaskLasso          on class indicators: of the alphas with at most k inputs the one with the most
    mutual information      the k inputs with the most, each by itself
    all inputs              no choice

Each fit is one line of field.jsonl in the folder --out, written as soon as it is there. Runs skip what the file has,
and field.md and the plot are made from the file: stop and start as you like. ``--again`` measures anew what the other
options name. Besides its own k, every table is judged at 5, 10, 20, 30 and 50 inputs, for the plot.

Seconds are processor time for the choice alone, one thread. A choice that needs more than --limit of them is ended, and
the file says so; a rerun with a larger limit tries again.

LassoNet is optional: pip install -e '.[peers]', for which a CPU build of torch is enough.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import json
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from field_parts.judges import JUDGES, judge
from field_parts.methods import METHODS
from field_parts.report import markdown, plot, summarize
from field_parts.tables import HELD_OUT, TABLES, split
from rich.console import Console
from selection import read, source_hash
from shared.pages import put_on_page
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

import bcd_implicit as bi

N_SEEDS = 5
KS = (5, 10, 20, 30, 50)


class Job(NamedTuple):
    """One fit: its table, seed and method."""

    table: str
    seed: int
    method: str

    @property
    def ks(self) -> list[int]:
        """How many inputs are to be chosen."""
        return sorted({*KS, TABLES[self.table].k})

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on, but versions."""
        judges = {name: settings for name, (_, settings) in JUDGES.items()}
        everything = [*self, self.ks, METHODS[self.method].settings, judges, HELD_OUT]
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


@contextmanager
def processor_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError within the block once it has taken so much processor time."""

    def stop(signum: int, frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run(job: Job, folder: Path, limit: float, source: str) -> dict[str, Any]:
    """Choose and judge; a failure is handed back as text, for one fit must not end the others."""
    table, method = TABLES[job.table], METHODS[job.method]
    for name in method.needs:
        importlib.import_module(name)  # before the clock starts
    parts = split(*table.read(folder / table.file), job.seed)
    choices: list[dict[str, Any]] = []
    row: dict[str, Any] = {
        **job._asdict(),
        "key": job.key,
        "choices": choices,
        "settings": method.settings,
        "limit": limit,
        "versions": {"bcd_implicit": bi.__version__}
        | {name: importlib.metadata.version(name) for name in ("scikit-learn", *method.needs)},
        "source": source,
    }
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unconverged points of a path are what a path is made of
        chosen = method.fit(parts, [k for k in job.ks if k <= parts.U.shape[1]], job.seed, method.settings)
        wall = cpu = 0.0
        while True:
            start, cpu_start = time.perf_counter(), time.process_time()
            try:
                with processor_limit(max(limit - cpu, 1e-3)):
                    choice = next(chosen, None)
            except TimeoutError:
                return row | {"choices": [], "unfinished": f"not finished in {limit:g} s"}
            except Exception as error:
                return row | {"error": f"{type(error).__name__}: {error}"}
            wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - cpu_start
            if choice is None:
                return row
            choices.append({"seconds": wall, "cpu_seconds": cpu} | judge(choice, parts, table.true, job.seed))


def is_there(job: Job, rows: dict[str, dict[str, Any]], limit: float) -> bool:
    """A fit that a smaller limit has ended is to be tried again."""
    row = rows.get(job.key)
    return row is not None and ("unfinished" not in row or row["limit"] >= limit)


def run_missing(jobs: list[Job], file: Path, options: argparse.Namespace, console: Console) -> int:
    """Run what the file does not have; returns the number of failures."""
    there = {} if options.again else read(file)
    open_jobs = [job for job in jobs if not is_there(job, there, options.limit)]
    if not open_jobs:
        return 0
    console.print(f"{len(open_jobs)} fits to do, {len(read(file))} in {file}", highlight=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    failures, source = 0, source_hash()
    with file.open("a") as out:
        # A line that a crash has cut short ends here.
        out.write("" if file.stat().st_size == 0 or file.read_bytes().endswith(b"\n") else "\n")
        side_by_side = Parallel(n_jobs=options.workers, return_as="generator_unordered")
        results = side_by_side(delayed(run)(job, options.data, options.limit, source) for job in open_jobs)
        for i, row in enumerate(results):
            word = f"{i + 1} of {len(open_jobs)}: {row['table']}, seed {row['seed']}, {row['method']}"
            if "error" in row:
                failures += 1
                console.print(f"{word} failed: {row['error']}", style="red", highlight=False, markup=False)
                continue
            out.write(json.dumps(row) + "\n")
            out.flush()
            end = row.get("unfinished") or f"{row['choices'][-1]['cpu_seconds']:.1f} s"
            console.print(f"{word}: {end}", highlight=False, markup=False)
    return failures


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with the tables; without it nothing is run")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES), metavar="TABLE")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(N_SEEDS)), metavar="SEED")
    parser.add_argument("--workers", type=int, default=1, help="fits side by side, each with one thread")
    parser.add_argument("--limit", type=float, default=900, help="processor seconds that a choice may take")
    parser.add_argument("--again", action="store_true", help="measure anew what is there already")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--plot", metavar="FILE", help="draw the accuracy against the number of inputs")
    parser.add_argument("--page", type=Path, metavar="FILE", help="put the table on this page, between its two marks")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options, console = parse(arguments), Console(width=120)
    file = options.out / "field.jsonl"
    failures = 0
    if options.data:
        installed = [name for name in options.methods if not METHODS[name].missing]
        # Seed by seed, so that a run that is stopped has a bit of everything.
        jobs = [Job(t, seed, m) for seed in options.seeds for t in options.tables for m in installed]
        failures = run_missing(jobs, file, options, console)
    # The report is of all that is there, whatever was run just now.
    rows = read(file)
    found = {
        (t, m): [rows[key] for seed in range(N_SEEDS) if (key := Job(t, seed, m).key) in rows]
        for t in TABLES
        for m in METHODS
    }
    text = markdown(summarize(found))
    (options.out / "field.md").write_text(text)
    print(text)
    for name in options.methods:
        if METHODS[name].missing:
            console.print(f"{name} needs the extra `peers`: pip install -e '.[peers]'", markup=False)
    sources = {row["source"] for (_, m), those in found.items() if m.startswith("bcd_implicit") for row in those}
    if sources - {source_hash()}:
        console.print("bcd_implicit has changed since some of its fits here; --again measures anew", markup=False)
    if options.page:
        put_on_page(text, options.page, Path(__file__).name)
    if options.plot:
        plot(found, options.plot)
    if failures:
        raise SystemExit(f"{failures} fits failed; a rerun tries them again")


if __name__ == "__main__":
    main()
