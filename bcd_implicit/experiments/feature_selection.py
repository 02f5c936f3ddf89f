"""The blog's experiment: does the learned B show which inputs the generating model uses?

Data come from a relu model with 20 hidden features and a column-sparse B. A model with the wrong guess of 10 is
trained along a path of growing kappa, kappa is chosen without looking at the truth, and the column norms of the
learned B are put beside those of the generating B. The same runs on a person's table, where no truth is known.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table as RichTable
from rich.text import Text
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import train_test_split

from bcd_implicit import plots
from bcd_implicit.data import Standardization, check_matrix, check_number, write_atomically
from bcd_implicit.datasets import make_column_sparse, make_even
from bcd_implicit.display import names_of
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.parallel import in_parallel
from bcd_implicit.path import PathResult, kappa_path
from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import TrainingProblem
from bcd_implicit.progress import Progress, between, show_progress
from bcd_implicit.selection import DEFAULT_RULE, Selection
from bcd_implicit.solvers import AUTO

FAMILIES: dict[str, Callable[..., Any]] = {"column-sparse": make_column_sparse, "even": make_even}
N_HIDDEN_GUESS = 10
N_TEST = 1000
MIN_TRAIN = 6  # three folds of two rows
VERBS = {"entered": "let in", "left": "left out"}


@dataclass(frozen=True)
class FeatureSelection:
    """One run of the experiment.

    Attributes
    ----------
    title : str
    path : PathResult
    selection : Selection
    model : ImplicitModel
        The refit on the chosen inputs; takes raw inputs.
    true_norms : ndarray of shape (p,) or None
        Column norms of the generating B, where there is one.
    test_r2 : float
        R2 on samples that took no part, averaged over outputs by variance.
    seconds : float
    """

    title: str
    path: PathResult
    selection: Selection
    model: ImplicitModel
    true_norms: np.ndarray | None
    test_r2: float
    seconds: float

    @property
    def learned_norms(self) -> np.ndarray:
        """Column norms of B at the chosen kappa, before the refit."""
        return self.path.column_norms[self.selection.index]

    @property
    def report(self) -> dict[str, Any]:
        """What ``report.json`` holds.

        ``selected`` and ``true`` are indices for generated data and names for tables (``true`` null there);
        ``changed_by_tests`` names what the score tests added to the choice and took from it; ``kappas`` and
        ``n_selected`` run along the path.
        """
        chosen, synthetic = self.selection, self.true_norms is not None
        true = self.true_norms > 0 if self.true_norms is not None else None
        return {
            "selected": np.flatnonzero(chosen.support).tolist() if synthetic else chosen.names,
            "changed_by_tests": chosen.changed_by_tests,
            "true": None if true is None else np.flatnonzero(true).tolist(),
            "exact": None if true is None else bool((chosen.support == true).all()),
            "f1": None if true is None else float(f1_score(true, chosen.support)),
            "kappa": chosen.kappa,
            "kappas": self.path.kappas.tolist(),
            "n_selected": self.path.supports.sum(axis=1).tolist(),
            "test_r2": self.test_r2,
            "seconds": self.seconds,
            "status": chosen.result.status.name,
            "column_norms_learned": self.learned_norms.tolist(),
            "column_norms_true": None if self.true_norms is None else self.true_norms.tolist(),
        }


def run_synthetic(
    family: str = "column-sparse",
    seed: int = 0,
    method: str = "prox-linear",
    solver: str = AUTO,
    *,
    n_hidden: int = N_HIDDEN_GUESS,
    noise: float | None = None,
    n_kappas: int = 20,
    n_jobs: int | None = None,
    progress: bool | Progress = False,
) -> FeatureSelection:
    """Generate data, walk the path, choose kappa, and compare with the generating model.

    Parameters
    ----------
    family : {"column-sparse", "even"}
    seed : int
        Of the data, the start and the folds.
    method, solver : str
        As in :func:`bcd_implicit.solve`.
    n_hidden : int
        The guess; the generating model has 20.
    noise : float, optional
        Instead of the family's own level (0 and 0.05).
    n_kappas : int
    n_jobs : int, optional
        As in joblib.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.
    """
    check_choice("data", family, FAMILIES, "family")
    start = time.perf_counter()
    data = FAMILIES[family](random_state=seed, **({} if noise is None else {"noise": noise}))
    problem = TrainingProblem(data.U, data.Y, n_hidden, pass_through=False)
    path, selection = _walk_and_choose(
        f"{family} data", progress, problem, seed, method, solver, n_kappas, n_jobs=n_jobs
    )
    U_test, Y_test = data.sample(N_TEST, [seed, 1])
    return FeatureSelection(
        title=f"{family} data, seed {seed}, {method}",
        path=path,
        selection=selection,
        model=selection.model,
        true_norms=column_norms(data.model.B),
        test_r2=float(r2_score(Y_test, selection.model.predict(U_test), multioutput="variance_weighted")),
        seconds=time.perf_counter() - start,
    )


def run_seeds(
    family: str,
    seeds: Iterable[int],
    method: str = "prox-linear",
    solver: str = AUTO,
    *,
    n_jobs: int | None = None,
    progress: bool | Progress = False,
    **options: Any,
) -> pd.DataFrame:
    """The experiment for several seeds: a row each of seed, exact, f1, missed, false, test_r2, kappa and seconds.

    Parameters
    ----------
    family, method, solver : str
    seeds : iterable of int
    n_jobs : int, optional
        As in joblib: processes, a seed each.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.
    **options
        Of :func:`run_synthetic`.
    """
    jobs = [(family, seed, method, solver, options) for seed in seeds]
    with show_progress(progress, f"{family} data") as tell:
        return pd.DataFrame(list(in_parallel(_run_seed, jobs, n_jobs, tell)))


def _run_seed(family: str, seed: int, method: str, solver: str, options: dict[str, Any]) -> dict[str, Any]:
    report = run_synthetic(family, seed, method, solver, **options).report
    selected, true = set(report["selected"]), set(report["true"])
    counts = {"missed": len(true - selected), "false": len(selected - true)}
    return {"seed": seed, "exact": report["exact"], "f1": report["f1"], **counts} | {
        name: report[name] for name in ("test_r2", "kappa", "seconds")
    }


def seeds_table(table: pd.DataFrame) -> RichTable:
    """The terminal's table of :func:`run_seeds`."""
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


def run_table(
    inputs: pd.DataFrame,
    targets: pd.DataFrame,
    name: str = "table",
    *,
    seed: int = 0,
    method: str = "prox-linear",
    solver: str = AUTO,
    n_kappas: int = 20,
    rule: str = DEFAULT_RULE,
    n_features: int | None = None,
    n_jobs: int | None = None,
    test_share: float = 0.25,
    standardize: bool = True,
    progress: bool | Progress = False,
    **problem_options: Any,
) -> FeatureSelection:
    """The same on a person's table: a share of the rows is set aside to test the final model.

    Parameters
    ----------
    inputs, targets : DataFrame
        Numbers only; the same rows.
    name : str
        For titles and messages.
    seed : int
        Of the split, the start and the folds.
    rule, n_features, n_jobs
        As in :meth:`~bcd_implicit.PathResult.select`.
    test_share : float
        Share of the rows set aside.
    standardize : bool
        Train on standardised columns and map the weights back, so that the model takes raw inputs.
    **problem_options
        Of :class:`~bcd_implicit.TrainingProblem`: n_hidden, norm_bound, ridge, ...
    """
    start = time.perf_counter()
    U, Y = check_matrix(name, inputs, min_rows=8), check_matrix(name, targets, min_rows=8)
    test_share = check_number("test_share", test_share, 0, 1, boundaries="neither", remedy="A share of the rows")
    n_test = math.ceil(test_share * len(U))
    if n_test < 2 or len(U) - n_test < MIN_TRAIN:
        raise InvalidInputError(
            "test_share",
            f"{test_share:g} of {len(U)} rows leaves {len(U) - n_test} to train on and {n_test} to test on",
            f"At least {MIN_TRAIN} and 2 are needed",
        )
    U_train, U_test, Y_train, Y_test = train_test_split(U, Y, test_size=n_test, random_state=seed)
    scales = Standardization.fit(U_train, Y_train)
    pair = scales.apply(U_train, Y_train) if standardize else (U_train, Y_train)
    problem = TrainingProblem(
        *pair,
        **{"n_hidden": N_HIDDEN_GUESS, "pass_through": False} | problem_options,
        input_names=list(inputs.columns),
        output_names=list(targets.columns),
    )
    path, selection = _walk_and_choose(
        name, progress, problem, seed, method, solver, n_kappas, rule=rule, n_features=n_features, n_jobs=n_jobs
    )
    model = scales.raw_model(selection.model) if standardize else selection.model
    return FeatureSelection(
        title=f"{name}, {method}",
        path=path,
        selection=selection,
        model=model,
        true_norms=None,
        test_r2=float(r2_score(Y_test, model.predict(U_test), multioutput="variance_weighted")),
        seconds=time.perf_counter() - start,
    )


def _walk_and_choose(
    title: str,
    progress: bool | Progress,
    problem: TrainingProblem,
    seed: int,
    method: str,
    solver: str,
    n_kappas: int,
    **choice: Any,
) -> tuple[PathResult, Selection]:
    with show_progress(progress, title) as tell:
        path = kappa_path(
            problem, n_kappas, random_state=seed, method=method, solver=solver, progress=between(tell, 0.0, 0.5)
        )
        return path, path.select(random_state=seed, progress=between(tell, 0.5, 1.0), **choice)


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
        plots.column_norms(run.selection, highlight, ax=axes[0, 0]).set_title("after the refit")
    n = run.path.problem.n_hidden
    plots.column_norms(run.learned_norms, highlight, names, ax=axes[0, 1]).set_title(
        rf"learned B (n = {n}) at the chosen $\kappa$"
    )
    words = {"highlighted": "used by the generating B", "others": "not used"} if synthetic else {}
    plots.kappa_path(run.path, run.selection.kappa, highlight, ax=axes[1, 0], names=names, **words).set_title(
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
    picture, report = figure(run), json.dumps(run.report, indent=1).encode()

    def draw(file: Any) -> None:
        with warnings.catch_warnings():
            # Names in a script that the font lacks are drawn as boxes; one warning a letter helps nobody.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            picture.savefig(file, format="png", dpi=130)

    written = [
        write_atomically(directory / f"{stem}feature_selection.png", draw),
        write_atomically(directory / f"{stem}report.json", lambda f: f.write(report)),
    ]
    run.model.save(directory / f"{stem}model.npz")
    return [*written, directory / f"{stem}model.npz"]


def summary(run: FeatureSelection, most: int = 25) -> RichTable:
    """The terminal's table: the inputs with the largest norms, against the truth where it is known.

    Its title is ``run.title`` and its conclusion :func:`verdict`; as parts of the table they would wrap at its width.
    """
    norms, support = run.learned_norms, run.selection.support
    order = np.argsort(-norms, kind="stable")
    shown = order[: max(most, int(support.sum()))] if run.true_norms is None else _worth_showing(run, order)
    table = RichTable()
    table.add_column("input")
    if run.true_norms is not None:
        table.add_column("generating norm", justify="right")
    table.add_column("learned norm", justify="right")
    table.add_column("leaves at kappa", justify="right")
    table.add_column("selected")
    for j in shown:
        row: list[str | Text] = [Text(run.selection.input_names[j])]  # plain: "length [cm]" is no markup
        if run.true_norms is not None:
            row.append(f"{run.true_norms[j]:.3f}")
        row += [f"{norms[j]:.3f}", _leaves_at(run.path, _end(run.path, j)), "yes" if support[j] else "-"]
        table.add_row(*row, style="bold" if support[j] else "dim")
    if len(shown) < len(norms):
        rest = np.setdiff1d(order, shown)
        row = [f"the other {len(rest)}", *(["0.000"] if run.true_norms is not None else [])]
        last = max(_end(run.path, j) for j in rest)
        leaves = _leaves_at(run.path, last) + (" or before" if 0 < last < len(run.path.kappas) else "")
        table.add_row(*row, f"at most {norms[rest].max():.3f}", leaves, "-", style="dim")
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


def verdict(run: FeatureSelection) -> str:
    """One line: kappa, how many inputs, whether they are the true ones, test R2, and what the score tests changed."""
    report, p = run.report, len(run.selection.support)
    words = [f"kappa {report['kappa']:.3g}: {len(report['selected'])} of {p} inputs selected"]
    if report["exact"] is not None:
        words.append("exactly the true ones" if report["exact"] else f"not the true set (F1 {report['f1']:.2f})")
    words.append(f"test R2 {run.test_r2:.3f}")
    words.append(f"{run.seconds:.0f} s")
    changed = report["changed_by_tests"]
    tests = [f"; score tests {verb} {names_of(changed[how])}" for how, verb in VERBS.items() if changed[how]]
    return ", ".join(words) + "".join(tests)
