"""Feature selection against peers, on data whose inputs that matter are known; no method is told them or their number.

    python benchmarks/selection.py [--families "noise 0.5" ...] [--methods bcd_implicit ...] [--seeds 0 1 2]
                                   [--n-jobs 2] [--results FILE] [--fresh] [--json FILE] [--plot FILE]

Every fit is one line of the results file (JSON lines), written as soon as it is there. Runs skip what is in the file
already, and the table is made from the file: stop and start as you like. ``--fresh`` deletes the file first.
``--plot`` adds two sweeps, over the noise and over the number of samples, and draws them.

Which inputs each method takes:

    bcd_implicit        kappa_path(...).select(), all defaults
    MultiTaskLassoCV    alpha of the smallest error in its own 5-fold cross-validation
    LassoNet            the model of its path with the smallest error on a fifth of the samples, held out of training
    random forest       importance of at least the mean, the default of scikit-learn's SelectFromModel
    sequential          forward steps of ridge regression while they add 0.001 or more to the cross-validated R2
    ..., one-se         the fewest inputs whose error is within a standard error of that method's smallest

Test R2, on 1000 fresh samples without noise, is that of the method's own final predictor: the model refitted by
select(), LassoNet's network as it stands on the path, a forest grown anew on the inputs taken, and for the two linear
methods ridge regression on them, with the penalty by leave-one-out.

Seconds are processor time for the choice and the refit, one thread, imports and data left out. A "one-se" line counts
what it shares with the line above it. Points that are in the plot only have half of the seeds.

LassoNet is optional: pip install -e '.[peers]', for which a CPU build of torch is enough.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import MultiTaskLasso, MultiTaskLassoCV, Ridge, RidgeCV
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

import bcd_implicit as bi
from bcd_implicit.datasets import SyntheticData

N_TEST = 1000
ONE_SE = ", one-se"
N_SEEDS = 20


# --- Families of data ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Data, and what the implicit model alone is told: its guess of n, and whether to have D."""

    data: dict[str, Any] = field(default_factory=dict)
    generator: str = "make_column_sparse"
    n_hidden: int = 10
    pass_through: bool = False

    def draw(self, seed: int) -> SyntheticData:
        return getattr(bi.datasets, self.generator)(random_state=seed, **self.data)


FAMILIES = {
    "noise 0": Case({"noise": 0.0}),
    "noise 0.5": Case({"noise": 0.5}),
    "noise 1": Case({"noise": 1.0}),
    "even": Case({"noise": 0.05}, "make_even"),
    "D sparse": Case({"noise": 0.05, "pass_through": True}, pass_through=True),
    "AR(1) 0.5": Case({"noise": 0.05, "correlation": 0.5}),
    "AR(1) 0.8": Case({"noise": 0.05, "correlation": 0.8}),
    "p = 500, m = 200": Case({"noise": 0.05, "n_samples": 200, "n_features": 500}),
    "n guessed 30, is 20": Case({"noise": 0.05}, n_hidden=30),
    "n guessed 5, is 20": Case({"noise": 0.05}, n_hidden=5),
}
# What grows -> (its axis, {its value: family}). Points that are not in FAMILIES run for the plot only.
SWEEP_NOISE = 0.5
SWEEPS: dict[str, tuple[str, dict[float, str]]] = {
    "noise": ("noise, in standard deviations of each output", {s: f"noise {s:g}" for s in (0, 0.25, 0.5, 1, 1.5, 2)}),
    "samples": (
        f"number of samples (noise {SWEEP_NOISE:g})",
        {50: "50 samples", 100: "100 samples", 200: "200 samples", 400: f"noise {SWEEP_NOISE:g}"},
    ),
}
CASES = (
    FAMILIES
    | {name: Case({"noise": float(s)}) for s, name in SWEEPS["noise"][1].items() if name not in FAMILIES}
    | {
        name: Case({"noise": SWEEP_NOISE, "n_samples": int(m)})
        for m, name in SWEEPS["samples"][1].items()
        if name not in FAMILIES
    }
)


# --- Methods --------------------------------------------------------------------------------------------------------
# Each gets data, case, seed and settings and yields a choice a rule: what is added to its name, the support, and the
# predictor. The clock stops at each yield.


class Choice(NamedTuple):
    """A support and a predictor that takes all inputs."""

    rule: str
    support: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]


def refit(estimator: Any, data: SyntheticData, support: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The predictor fitted on the inputs of the support; the mean, if there are none."""
    if not support.any():
        mean = DummyRegressor().fit(data.U, data.Y)
        return lambda U: mean.predict(U)
    fitted = estimator.fit(data.U[:, support], data.Y)
    return lambda U: fitted.predict(U[:, support])


def ridge() -> RidgeCV:
    return RidgeCV(np.geomspace(1e-3, 1e3, 13))


def squared_errors(Y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Of every sample, over its outputs."""
    return ((prediction - Y) ** 2).mean(axis=1)


def one_se(errors: Iterable[np.ndarray], sizes: np.ndarray) -> int:
    """The fewest inputs within a standard error of the least; errors of shape (candidates, samples or folds)."""
    table = np.array(list(errors))
    mean, spread = table.mean(axis=1), table.std(axis=1, ddof=1) / np.sqrt(table.shape[1])
    best = int(mean.argmin())
    allowed = np.flatnonzero(mean <= mean[best] + spread[best])
    return int(allowed[np.lexsort((mean[allowed], sizes[allowed]))[0]])


def fit_implicit(data: SyntheticData, case: Case, seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    problem = bi.TrainingProblem(data.U, data.Y, case.n_hidden, pass_through=case.pass_through)
    chosen = bi.kappa_path(problem, random_state=seed).select(random_state=seed)
    yield Choice("", chosen.support, chosen.model.predict)


def fit_lasso(data: SyntheticData, case: Case, seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    lasso = MultiTaskLassoCV(**settings).fit(data.U, data.Y)
    support = lasso.coef_.any(axis=0)
    yield Choice("", support, refit(ridge(), data, support))
    # alphas_ fall, so the place on the grid stands for the number of inputs.
    alpha = lasso.alphas_[one_se(lasso.mse_path_, np.arange(len(lasso.alphas_)))]
    support = MultiTaskLasso(alpha=alpha, max_iter=lasso.max_iter).fit(data.U, data.Y).coef_.any(axis=0)
    yield Choice(ONE_SE, support, refit(ridge(), data, support))


def fit_lassonet(data: SyntheticData, case: Case, seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    # Not imported by name: both are optional.
    lassonet, torch = importlib.import_module("lassonet"), importlib.import_module("torch")
    torch.set_num_threads(1)
    settings = dict(settings)
    optim = [partial(getattr(torch.optim, name), **options) for name, options in settings.pop("optim")]
    U, U_val, Y, Y_val = train_test_split(data.U, data.Y, test_size=settings.pop("held_out"), random_state=seed)
    net = lassonet.LassoNetRegressor(**settings, optim=tuple(optim), verbose=0, torch_seed=seed)
    # The first is the dense start, which has every input by construction. LassoNetRegressorCV leaves it out as well.
    path = net.path(U, Y, X_val=U_val, y_val=Y_val, return_state_dicts=True)[1:]
    errors = [squared_errors(Y_val, net.load(item).predict(U_val)) for item in path]
    sizes = np.array([int(item.selected.sum()) for item in path])
    for rule, place in (("", int(np.mean(errors, axis=1).argmin())), (ONE_SE, one_se(errors, sizes))):
        net.load(path[place])
        yield Choice(rule, path[place].selected.numpy().astype(bool), net.predict)


def fit_forest(data: SyntheticData, case: Case, seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    def forest() -> RandomForestRegressor:
        return RandomForestRegressor(**settings, random_state=seed)

    whole = forest().fit(data.U, data.Y)
    importances = whole.feature_importances_
    support = importances >= importances.mean()
    yield Choice("", support, refit(forest(), data, support))


def fit_sequential(data: SyntheticData, case: Case, seed: int, settings: dict[str, Any]) -> Iterator[Choice]:
    support = SequentialFeatureSelector(Ridge(1.0), **settings).fit(data.U, data.Y).get_support()
    yield Choice("", support, refit(ridge(), data, support))


@dataclass(frozen=True)
class Method:
    """A method and its settings, as far as they are not its package's defaults."""

    fit: Callable[[SyntheticData, Case, int, dict[str, Any]], Iterator[Choice]]
    settings: dict[str, Any] = field(default_factory=dict)
    rules: tuple[str, ...] = ("", ONE_SE)
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


METHODS = {
    "bcd_implicit": Method(fit_implicit, rules=("",)),
    "MultiTaskLassoCV": Method(fit_lasso, {"cv": 5, "max_iter": 5000}),
    "LassoNet": Method(
        fit_lassonet,
        {
            "held_out": 0.2,
            "hidden_dims": (100,),
            "backtrack": True,
            "path_multiplier": 1.05,
            # Its own rate on the path, 1e-3, hardly moves a loss that is a mean over 100 outputs: test R2 was 0.60
            # where it is 0.88 with this, in the same time (noise 0.5, seed 0).
            "optim": [("Adam", {"lr": 1e-3}), ("SGD", {"lr": 5e-2, "momentum": 0.9})],
        },
        needs=("lassonet", "torch"),
    ),
    "random forest": Method(fit_forest, {"n_estimators": 100}, rules=("",)),
    "sequential": Method(
        fit_sequential,
        {"n_features_to_select": "auto", "tol": 1e-3, "cv": 3, "direction": "forward"},
        rules=("",),
    ),
}


# --- Runs -----------------------------------------------------------------------------------------------------------


class Job(NamedTuple):
    """One fit: its family, seed and method."""

    family: str
    seed: int
    method: str

    @property
    def told(self) -> dict[str, Any]:
        """What the case tells this method."""
        case = CASES[self.family]
        return {"n_hidden": case.n_hidden, "pass_through": case.pass_through} if self.method == "bcd_implicit" else {}

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on, but versions. Families with the same data share peers' fits."""
        case, method = CASES[self.family], METHODS[self.method]
        everything = [case.generator, case.data, self.told, self.seed, self.method, method.settings, N_TEST]
        return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:12]


def source_hash() -> str:
    """Of the library's files: its version alone does not tell one working copy from the next."""
    digest = hashlib.sha256()
    for file in sorted(Path(bi.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def run(job: Job, source: str) -> dict[str, Any]:
    """Fit and judge; a failure is handed back as text, for one fit must not end the other thousands."""
    case, method = CASES[job.family], METHODS[job.method]
    for name in method.needs:
        importlib.import_module(name)  # before the clock starts
    data = case.draw(job.seed)
    U_test, Y_test = data.sample(N_TEST, np.random.default_rng([job.seed, 1]))
    choices: list[dict[str, Any]] = []
    row: dict[str, Any] = {**job._asdict(), "key": job.key, "choices": choices}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unconverged points of a path are what a path is made of
        fits = method.fit(data, case, job.seed, method.settings)
        wall = cpu = 0.0
        while True:
            start, cpu_start = time.perf_counter(), time.process_time()
            try:
                choice = next(fits, None)
            except Exception as error:
                return row | {"error": f"{type(error).__name__}: {error}"}
            wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - cpu_start
            if choice is None:
                break
            choices.append({"rule": choice.rule, "seconds": wall, "cpu_seconds": cpu} | judge(choice, data))
            prediction = choice.predict(U_test)
            choices[-1]["test_r2"] = float(r2_score(Y_test, prediction, multioutput="variance_weighted"))
    return row | {
        "data": [case.generator, case.data],
        "settings": method.settings | job.told,
        "versions": {"bcd_implicit": bi.__version__}
        | {name: importlib.metadata.version(name) for name in ("scikit-learn", *method.needs)},
        "source": source,
    }


def judge(choice: Choice, data: SyntheticData) -> dict[str, Any]:
    true, support = data.support, choice.support
    return {
        "exact": bool((support == true).all()),
        "f1": float(f1_score(true, support, zero_division=0.0)),
        "false": int((support & ~true).sum()),
        "missed": int((true & ~support).sum()),
        "support": np.flatnonzero(support).tolist(),
    }


def read(file: Path) -> dict[str, dict[str, Any]]:
    """Key -> its last row. A line that a crash has cut short is not there."""
    rows = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows[row["key"]] = row
    return rows


def run_missing(jobs: list[Job], file: Path, n_jobs: int, console: Console) -> int:
    """Run what the file does not have; returns the number of failures."""
    there = read(file)
    open_jobs = list({job.key: job for job in reversed(jobs) if job.key not in there}.values())[::-1]
    if not open_jobs:
        return 0
    console.print(f"{len(open_jobs)} fits to do, {len(there)} lines in {file}", highlight=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    failures, source = 0, source_hash()
    with file.open("a") as out:
        out.write("\n" if file.stat().st_size else "")  # a line cut short ends here
        side_by_side = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
        for i, row in enumerate(side_by_side(delayed(run)(job, source) for job in open_jobs)):
            word = f"{i + 1} of {len(open_jobs)}: {row['family']}, seed {row['seed']}, {row['method']}"
            if "error" in row:
                failures += 1
                console.print(f"{word} failed: {row['error']}", style="red", highlight=False, markup=False)
                continue
            out.write(json.dumps(row) + "\n")
            out.flush()
            console.print(f"{word}, {row['choices'][-1]['seconds']:.1f} s", highlight=False, markup=False)
    return failures


# --- Table and plot -------------------------------------------------------------------------------------------------


def summarize(rows: dict[str, dict[str, Any]], families: list[str], methods: list[str], seeds: list[int]) -> list[dict]:
    """A row a family, method and rule, over the seeds that are there."""
    summary = []
    for family in families:
        for method in methods:
            keys = [Job(family, seed, method).key for seed in seeds]
            found = [rows[key]["choices"] for key in keys if key in rows]
            for i, rule in enumerate(METHODS[method].rules):
                at: dict[str, Any] = {"family": family, "method": method + rule, "n_seeds": len(found)}
                if found:
                    numbers = {
                        name: np.array([choices[i][name] for choices in found], float)
                        for name in ("exact", "f1", "false", "missed", "test_r2", "seconds", "cpu_seconds")
                    }
                    at |= {name: float(values.mean()) for name, values in numbers.items()}
                    at |= {name: float(np.median(numbers[name])) for name in ("seconds", "cpu_seconds")}
                summary.append(at)
    return summary


def show(summary: list[dict]) -> Table:
    table = Table("family", "method")
    for name in ("exact support", "mean F1", "false", "missed", "test R2", "median CPU s"):
        table.add_column(name, justify="right")
    last = None
    for at in summary:
        if at["family"] != last and last is not None:
            table.add_section()
        cells = [at["family"] if at["family"] != last else "", at["method"]]
        last = at["family"]
        if not at["n_seeds"]:
            missing = METHODS[at["method"].removesuffix(ONE_SE)].missing
            table.add_row(*cells, "not installed" if missing else "not run")
            continue
        table.add_row(
            *cells,
            f"{at['exact'] * at['n_seeds']:.0f} of {at['n_seeds']}",
            *(f"{at[name]:.2f}" for name in ("f1", "false", "missed")),
            f"{at['test_r2']:.3f}",
            f"{at['cpu_seconds']:.1f}",
        )
    return table


STYLE = {  # colour, marker: one a method; a "one-se" line is the method's, hollow and dashed
    "bcd_implicit": ("#c44e52", "o"),
    "MultiTaskLassoCV": ("#2f4b7c", "s"),
    "LassoNet": ("#dd8452", "D"),
    "random forest": ("#55a868", "^"),
    "sequential": ("#8c96a3", "v"),
}


def plot(rows: dict[str, dict[str, Any]], methods: list[str], seeds: list[int], file: str) -> None:
    """Two panels, a sweep each: the rate of exact supports, with the mean F1 thin and dotted."""
    from matplotlib.figure import Figure

    lines = [(method, rule) for method in methods for rule in METHODS[method].rules]
    fig = Figure(figsize=(11, 5.2), layout="constrained")
    axes = fig.subplots(1, len(SWEEPS), sharey=True)
    for ax, (label, points) in zip(axes, SWEEPS.values(), strict=True):
        summary = summarize(rows, list(points.values()), methods, seeds)
        for i, (method, rule) in enumerate(lines):
            found = {at["family"]: at for at in summary if at["method"] == method + rule and at["n_seeds"]}
            x = [place for place, family in enumerate(points.values()) if family in found]
            colour, marker = STYLE[method]
            shift = 0.08 * (i - (len(lines) - 1) / 2)  # several are at 0 or 1 together
            at_x, found_rows = np.array(x) + shift, [found[list(points.values())[place]] for place in x]
            style: dict[str, Any] = {"color": colour, "zorder": 3 - 0.1 * i}  # the first is on top
            ax.plot(at_x, [r["f1"] for r in found_rows], linestyle=":", linewidth=0.9, **style)
            style |= {"linestyle": "--" if rule else "-", "markerfacecolor": "white" if rule else colour}
            ax.plot(at_x, [r["exact"] for r in found_rows], marker=marker, linewidth=1.3, label=method + rule, **style)
        ax.set_xticks(range(len(points)), [f"{value:g}" for value in points])
        ax.set_xlabel(label)
        ax.set_ylim(-0.05, 1.05)
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of seeds with exactly the true inputs\n(dotted: mean F1)")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    fig.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=list(CASES), metavar="FAMILY", help=", ".join(CASES))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(N_SEEDS)), metavar="SEED")
    parser.add_argument("--n-jobs", type=int, default=1, help="fits side by side, each with one thread")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results" / "selection.jsonl")
    parser.add_argument("--fresh", action="store_true", help="delete the results file first")
    parser.add_argument("--table-only", action="store_true", help="run nothing, show what is there")
    parser.add_argument("--json", metavar="FILE", help="the table's numbers")
    parser.add_argument("--plot", metavar="FILE", help="run the sweeps too, and draw them")
    options = parser.parse_args()
    console = Console(width=120)
    families = options.families or list(FAMILIES)
    wanted = list(families)
    if options.plot and not options.families:
        wanted += [name for name in CASES if name not in wanted]
    if options.fresh:
        options.results.unlink(missing_ok=True)
    installed = [name for name in options.methods if not METHODS[name].missing]
    # Seed by seed, so that a run that is stopped has a bit of everything.
    jobs = [
        Job(family, seed, method)
        for i, seed in enumerate(options.seeds)
        for family in wanted
        for method in installed
        if family in FAMILIES or i < math.ceil(len(options.seeds) / 2)
    ]
    failures = 0 if options.table_only else run_missing(jobs, options.results, options.n_jobs, console)
    rows = read(options.results)
    summary = summarize(rows, families, options.methods, options.seeds)
    console.print(show(summary))
    for name in options.methods:
        if METHODS[name].missing:
            console.print(f"{name} needs the extra `peers`: pip install -e '.[peers]'", markup=False)
    sources = {rows[job.key]["source"] for job in jobs if job.method == "bcd_implicit" and job.key in rows}
    if sources - {source_hash()}:
        console.print("bcd_implicit has changed since some of its fits here; --fresh measures again", markup=False)
    if options.json:
        write_results(options.json, summary)
    if options.plot:
        plot(rows, options.methods, options.seeds, options.plot)
    if failures:
        raise SystemExit(f"{failures} fits failed; a rerun tries them again")


if __name__ == "__main__":
    main()
