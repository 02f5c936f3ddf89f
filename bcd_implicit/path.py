"""The kappa path, from small to large with warm starts.

The direction matters: from a cold start a large kappa collapses to B = 0, X = 0, which is stationary. Going up,
each problem starts from a model that fits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.bcd import METHODS, solve
from bcd_implicit.data import check_number, random_generator
from bcd_implicit.display import facts_table
from bcd_implicit.errors import ConvergenceWarning, InvalidInputError
from bcd_implicit.parallel import in_parallel
from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.progress import Progress, show_progress
from bcd_implicit.refits import mean_model, run_refit, without_group_lasso
from bcd_implicit.result import BcdResult
from bcd_implicit.selection import (
    DEFAULT_RULE,
    RULES,
    Choice,
    Evidence,
    Selection,
    Settings,
    check_rule,
    grow,
    polish,
)
from bcd_implicit.solvers import AUTO

# The ridges of a refit, in units of the problem's own.
RIDGE_FACTORS = (1, 30, 1000)
# What the norm of a group counts for at least in reweighting, relative to the largest.
LEAST_NORM = 1e-3


@dataclass(frozen=True)
class PathResult:
    """Models along increasing kappa.

    Attributes
    ----------
    problem : TrainingProblem
    results : tuple of BcdResult
        One for each kappa, warm-started from the one before.
    solve_options : dict
        What every solve of the path was called with; ``select`` refits with the same.
    """

    problem: TrainingProblem
    results: tuple[BcdResult, ...]
    solve_options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = self.supports.sum(axis=1)
        return (
            f"PathResult(n_kappas={len(self.results)}, kappa {self.kappas[0]:.3g} to {self.kappas[-1]:.3g}, "
            f"{sizes[0]} to {sizes[-1]} of {self.problem.n_inputs} inputs)"
        )

    def _repr_html_(self) -> str:
        problem = self.problem
        facts = {
            "method": f"{self.results[0].method}, solver {self.results[0].solver}",
            "samples, inputs, outputs": f"{problem.n_samples}, {problem.n_inputs}, {problem.n_outputs}",
            "hidden features": f"{problem.n_hidden}, {problem.activation.name}",
        }
        return facts_table("PathResult", facts) + self.table.to_html(index=False, float_format="{:.4g}".format)

    @property
    def kappas(self) -> np.ndarray:
        """Shape (n_kappas,), increasing (decreasing radii in constraint form)."""
        return np.array([r.problem.kappa for r in self.results])

    @property
    def column_norms(self) -> np.ndarray:
        """||B e_j||_2 along the path, or that of (B; D) e_j where these are grouped; shape (n_kappas, p)."""
        return np.array([column_norms(r.problem.grouped(r.iterate)) for r in self.results])

    @property
    def supports(self) -> np.ndarray:
        """Nonzero columns of B, or of (B; D), along the path: bool, shape (n_kappas, p)."""
        return np.array([r.problem.selected(r.iterate) for r in self.results])

    @property
    def leaves_at(self) -> np.ndarray:
        """The kappa of the path from which on an input stays out. Shape (p,).

        Where it is in to the end ``inf``, or 0 in constraint form, in which the radius falls.
        """
        return np.append(self.kappas, self._beyond)[self._last + 1]

    @property
    def _last(self) -> np.ndarray:
        """The last place on the path at which an input is in; -1 where it never is. Shape (p,)."""
        supports = self.supports
        return np.where(supports.any(axis=0), len(supports) - 1 - supports[::-1].argmax(axis=0), -1)

    @property
    def _beyond(self) -> float:
        """Beyond the end of every path: a weight or a radius for which B = 0."""
        return np.inf if self.problem.group_form == "penalty" else 0.0

    def ranking(
        self,
        n_subsamples: int = 0,
        random_state: int | None = 0,
        *,
        kappa: float | None = None,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
    ) -> pd.DataFrame:
        """The inputs, the most important first.

        Parameters
        ----------
        n_subsamples : int
            With subsamples, the table has their frequencies too; each walks the path again on half of the samples.
        random_state : int or None
            Of the subsamples and their starts.
        kappa : float, optional
            Where frequencies are taken: the path's nearest kappa. By default the one at which half of the inputs
            that are ever in have left.
        n_jobs : int, optional
            As in joblib: processes for the subsamples.
        progress : bool or callable
            Of the subsamples; as in :func:`bcd_implicit.solve`.

        Returns
        -------
        DataFrame
            A row an input: input (its name), leaves_at (the kappa from which on it stays out), norm (of its column at
            the last kappa before that, which decides between inputs that leave together) and, with subsamples,
            frequency (the share of them in which it is in).
        """
        if kappa is not None:
            kappa = check_number("kappa", kappa, 0)
        order, norms = self._order()
        table = pd.DataFrame(
            {"input": [self.problem.input_names[j] for j in order], "leaves_at": self.leaves_at[order],
             "norm": norms[order]}
        )  # fmt: skip
        if n_subsamples:
            frequencies = self.frequencies(n_subsamples, random_state, n_jobs=n_jobs, progress=progress)
            sizes = self.supports.sum(axis=1)
            place = int(np.abs(sizes - sizes.max() / 2).argmin())
            if kappa is not None:
                place = int(np.abs(self.kappas - kappa).argmin())
            table["frequency"] = frequencies[place][order]
        return table

    def reweighted(
        self, n_kappas: int = 20, random_state: int | None = 0, *, progress: bool | Progress = False
    ) -> PathResult:
        """A second path on which groups that are small at the first kappa of this one weigh more.

        Their weights are divided by their norms there, so that little is taken from what is large (the adaptive lasso
        of Zou 2006, for groups Wang and Leng 2008). It helps where there are few outputs: with friedman1, whose path
        seldom holds exactly the true inputs, the second path mostly does (``benchmarks/adaptive.py``).

        Parameters
        ----------
        n_kappas, random_state, progress
            As of :func:`kappa_path`.
        """
        first = self.results[0]
        lasso = first.problem.group_lasso
        norms = lasso.norm.of(first.problem.grouped(first.iterate), lasso.groups)
        largest = norms.max() or 1.0
        weights = lasso.groups.weights * largest / np.maximum(norms, LEAST_NORM * largest)
        problem = self.problem.replace(group_weights=weights)
        return kappa_path(problem, n_kappas, random_state, progress=progress, **self.solve_options)

    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, those that stay longest first, and their norms at the last kappa at which they are in."""
        last, norms = self._last, self.column_norms
        last_norms = np.where(last >= 0, norms[last, np.arange(norms.shape[1])], 0.0)
        return np.lexsort((-last_norms, -last)), last_norms

    def frequencies(
        self,
        n_subsamples: int = 20,
        random_state: int | None = 0,
        *,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
    ) -> np.ndarray:
        """In which share of random halves of the samples an input is in, at each kappa of the path.

        The halves come in complementary pairs (Shah and Samworth 2013), each with a start of its own.

        Returns
        -------
        ndarray of shape (n_kappas, p)
        """
        n_subsamples = check_number("n_subsamples", n_subsamples, 2, integer=True, remedy="Give 2 or more")
        m = self.problem.n_samples
        if m < 4:
            raise InvalidInputError("n_subsamples", f"{m} samples cannot be halved", "At least 4 are needed")
        rng = random_generator(random_state)
        halves: list[np.ndarray] = []
        while len(halves) < n_subsamples:
            order = rng.permutation(m)
            halves += [np.sort(order[: m // 2]), np.sort(order[m // 2 : 2 * (m // 2)])]
        seeds = rng.integers(2**31, size=n_subsamples)
        jobs = [
            (self.problem, half, self.kappas, int(seed), self.solve_options)
            for half, seed in zip(halves[:n_subsamples], seeds, strict=True)
        ]
        with show_progress(progress, "subsamples") as tell:
            return np.mean(list(in_parallel(_supports_on, jobs, n_jobs, tell)), axis=0)

    @property
    def table(self) -> pd.DataFrame:
        """A row a kappa: kappa, n_selected, objective, mean loss, cycles, status."""
        return pd.DataFrame(
            {
                "kappa": self.kappas,
                "n_selected": self.supports.sum(axis=1),
                "objective": [r.objective for r in self.results],
                "loss": [r.problem.mean_loss(r.iterate) for r in self.results],
                "n_cycles": [r.n_cycles for r in self.results],
                "status": [r.status.name for r in self.results],
            }
        )

    def select(
        self,
        rule: str = DEFAULT_RULE,
        n_features: int | None = None,
        *,
        n_folds: int = 3,
        max_features: int | None = None,
        level: float | None = 0.05,
        grow_hidden: bool = True,
        n_subsamples: int = 20,
        random_state: int | None = 0,
        method: str = "prox-linear",
        max_cycles: int = 100,
        tol: float = 5e-2,
        ridges: Sequence[float] | None = None,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
    ) -> Selection:
        """Choose a support without knowing the truth, and refit on it.

        The candidates are the supports of the path. (They have seen all samples; what is fitted to judge them in
        cross-validation has not seen the samples that it is judged on.)

        Parameters
        ----------
        rule : str
            "min": the support with the smallest error in cross-validation, after a refit without group lasso.
            "paired-one-se": the sparsest one whose error exceeds that by less than one standard error of their
            difference; "one-se": by less than one standard error of the smallest error itself.
            "bic", "ebic": information criteria of refits on all samples. "plateau": the support that stays longest.
            "gap": the widest gap between the kappas at which inputs leave. "stability": what most subsamples keep.
            ``docs/selection.md`` compares them.
        n_features : int, optional
            So many inputs instead of a rule, by :meth:`ranking`: those that stay longest. Groups stay whole, so that it
            may be fewer.
        n_folds : int
        max_features : int, optional
            Larger supports are no candidates. By default half of the samples that a fold trains on, but at least 10:
            a refit on more inputs costs much and says little.
        level : float or None
            The level of a score test, for all inputs together, by which inputs then enter and leave; None for none.
            Not with ``n_features``.
        grow_hidden : bool
            Let the final refit have twice, four or eight times the hidden features if cross-validation favours that.
        n_subsamples : int
            Of the rule "stability".
        random_state : int or None
            Shuffles the folds and starts the fits.
        method : str
            The loop of the refits. The prox-linear loop by default, whatever walked the path: it fits better.
        max_cycles, tol
            Of each fit in cross-validation; those of score tests and of growing go to a fifth of tol. The final refit
            goes to a twentieth, in up to six times the cycles.
        ridges : sequence of float, optional
            Values of ``ridge_hidden`` for the refits, of which cross-validation chooses one: noisy data want more
            than the path needs. By default the problem's own, and 30 and 1000 times that.
        n_jobs : int, optional
            As in joblib: processes for folds, refits and subsamples. The answer does not depend on it.
        progress : bool or callable
            As in :func:`bcd_implicit.solve`.

        Returns
        -------
        Selection

        Raises
        ------
        InvalidInputError
            An unknown rule, fewer samples than folds need, or more features than inputs.
        """
        rule, level = check_rule(rule, level)
        generator = random_generator(random_state)
        if isinstance(random_state, np.random.Generator):
            random_state = int(generator.integers(2**31))  # scikit-learn's folds take a seed
        n_folds = check_number(
            "n_folds", n_folds, 2, self.problem.n_samples // 2, integer=True, remedy="Each fold needs 2 samples or more"
        )
        options = self.solve_options | {"method": method, "max_cycles": max_cycles, "tol": tol}
        if ridges is None:
            own = self.problem.ridge_hidden
            ridges = [factor * own for factor in RIDGE_FACTORS] if own > 0 else [0.0]
        if np.ndim(ridges) != 1 or len(ridges) == 0:
            raise InvalidInputError("ridges", f"must be a list of numbers, got {ridges!r}", "Pass [ridge] for one")
        ridges = [check_number("ridges", ridge, 0) for ridge in ridges]
        tol = check_number("tol", tol, 0, remedy="Choose a small positive number")
        if max_features is None:
            max_features = max(10, self.problem.n_samples * (n_folds - 1) // n_folds // 2)
        max_features = check_number("max_features", max_features, 1, integer=True)
        with show_progress(progress, "select") as tell:
            settings = Settings(n_folds, max_features, n_subsamples, random_state, n_jobs, ridges, options, tell)
            evidence = Evidence(self, settings)
            if n_features is not None:
                rule, choice = "n_features", Choice(self.longest(n_features))
            else:
                choice = RULES[rule](evidence)
            support = choice.support
            if level is not None and n_features is None:
                support = polish(evidence, support, level)
            final, grown = grow(evidence, support) if grow_hidden else (evidence.refit_on(support), None)

            tell(0.9, "refitting on the chosen inputs")
            index = self.nearest(support)
            options |= {"max_cycles": 6 * max_cycles, "tol": tol / 20}
            start = self.results[index].iterate if grown is None else grown
            result = run_refit(self.problem, final, start, random_state, options) or mean_model(self.results[index])
            tell(1.0, "chosen")
        names = np.array(self.problem.input_names, dtype=object)
        table = pd.DataFrame(
            {"kappa": np.append(self.kappas, self._beyond)[evidence.candidates], "n_selected": evidence.sizes}
            | choice.columns
            | {
                "chosen": (evidence.supports == choice.support).all(axis=1),
                "inputs": [list(names[s]) for s in evidence.supports],
            }
        )
        return Selection(support, float(self.kappas[index]), index, result, table, rule, list(self.problem.input_names))

    def nearest(self, support: np.ndarray) -> int:
        """The place on the path with this support, or with the one that differs least from it."""
        return int((self.supports != support).sum(axis=1).argmin())

    def longest(self, n_features: int) -> np.ndarray:
        """The inputs that stay longest, groups whole: bool, shape (p,).

        Raises
        ------
        InvalidInputError
            Not between 1 and p, or fewer than the first group has.
        """
        p, groups = self.problem.n_inputs, self.problem.group_lasso.groups
        n_features = check_number("n_features", n_features, 1, p, integer=True, remedy="Between 1 and all inputs")
        support = groups.spread(groups.weights == 0)
        for j in self._order()[0]:
            members = groups.members[groups.labels[j]]
            if support[j]:
                continue
            if support.sum() + len(members) > n_features:
                break
            support[members] = True
        if not support.any():
            first = groups.names[groups.labels[self._order()[0][0]]]
            raise InvalidInputError("n_features", f"{n_features} is less than group {first!r} has", "Give more")
        return support


def _supports_on(
    problem: TrainingProblem, samples: np.ndarray, kappas: np.ndarray, seed: int, options: dict[str, Any]
) -> np.ndarray:
    """The supports of the path on some samples: bool, (n_kappas, p)."""
    path = kappa_path(problem.subset(samples), random_state=seed, kappas=list(kappas), **options)
    supports = np.zeros((len(kappas), problem.n_inputs), dtype=bool)
    supports[: len(path.results)] = path.supports
    return supports


def kappa_path(
    problem: TrainingProblem,
    n_kappas: int = 20,
    random_state: int | None = 0,
    *,
    kappas: Sequence[float] | None = None,
    method: str = "prox-linear",
    solver: str = AUTO,
    max_cycles: int = 30,
    tol: float = 5e-3,
    block_tol: float = 1e-6,
    solver_options: dict[str, Any] | None = None,
    progress: bool | Progress = False,
) -> PathResult:
    """Solve the problem for a growing kappa, each from the solution before.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa plays no part.
    n_kappas : int
        The length of the automatic grid: geometric, from 1/100 to 3 times :func:`~bcd_implicit.path.reference_kappa`,
        or from 1/10 with more inputs than half the samples.
        The path ends early where B = 0.
    random_state : int or None
        Seed of the first start.
    kappas : sequence of float, optional
        The grid, instead of the automatic one. Sorted here: weights upwards, radii downwards.
    method, solver, max_cycles, tol, block_tol, solver_options
        As in :func:`bcd_implicit.solve`, for each kappa. The tolerance is looser than there: a path needs
        supports, and its choice is refitted.
    progress : bool or callable
        As in :func:`bcd_implicit.solve`.

    Returns
    -------
    PathResult
    """
    options: dict[str, Any] = {
        "method": method,
        "solver": solver,
        "block_tol": block_tol,
        "solver_options": solver_options,
    }
    constraint_form = problem.group_form == "constraint"
    if kappas is None:
        n_kappas = check_number("n_kappas", n_kappas, 2, integer=True, remedy="A path has 2 kappas or more")
    else:
        if np.ndim(kappas) != 1:
            raise InvalidInputError("kappas", f"must be a list of numbers, got {kappas!r}", "Pass [kappa] for one")
        grid = np.array(sorted((check_number("kappas", k, 0) for k in kappas), reverse=constraint_form))
        if len(grid) == 0:
            raise InvalidInputError("kappas", "is empty", "Give at least one value")
    results: list[BcdResult] = []
    it = problem.initial(random_state)
    with show_progress(progress, "kappa path") as tell:
        if kappas is None:
            tell(0.0, "looking for the scale of kappa")
            grid = _automatic_grid(problem, n_kappas, random_state, options)
        for i, kappa in enumerate(grid):
            at_kappa = problem.replace(kappa=float(kappa))
            result = solve(at_kappa, start=it, max_cycles=max_cycles if i else 2 * max_cycles, tol=tol, **options)
            results.append(result)
            it = result.iterate
            n_selected = int(at_kappa.selected(it).sum())
            tell(
                (i + 1) / len(grid) if n_selected else 1.0,
                f"kappa {kappa:.3g}: {n_selected} of {problem.n_inputs} inputs",
            )
            if n_selected == 0:
                break
    return PathResult(problem, tuple(results), options | {"max_cycles": max_cycles, "tol": tol})


def reference_kappa(
    problem: TrainingProblem, method: str = "prox-linear", random_state: int | None = 0, **options: Any
) -> float:
    """The size of kappa at which columns of B leave, to within a small factor.

    After two cycles without group lasso: the largest column norm of the gradient with respect to B, at B = 0, of
    the smooth part of the method's own (A, B, b) block, which would have B = 0 from there on if nothing else moved.
    """
    it = _two_cycles(problem, method, random_state, options)
    block = METHODS[method].matrices_block(without_group_lasso(problem), it)
    gradient = block.gradient_of_groups(problem.with_grouped(it, np.zeros_like(problem.grouped(it))))
    return problem.group_lasso.steepest(gradient)


def _two_cycles(problem: TrainingProblem, method: str, random_state: int | None, options: dict[str, Any]) -> Iterate:
    """A quick fit without group lasso, only to see the scale of things: that it stops early is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(
            without_group_lasso(problem),
            max_cycles=2,
            tol=0.0,
            random_state=random_state,
            **options | {"method": method},
        ).iterate


def _automatic_grid(
    problem: TrainingProblem, n_kappas: int, random_state: int | None, options: dict[str, Any]
) -> np.ndarray:
    if problem.group_form == "constraint":
        largest = problem.group_lasso.sum_of_norms(
            problem.grouped(_two_cycles(problem, options["method"], random_state, options))
        )
        return largest * np.geomspace(1, 1 / 100, n_kappas)
    # Targets without variation give no scale: any positive kappa empties B.
    reference = reference_kappa(problem, random_state=random_state, **options) or 1.0
    # Small kappas keep most inputs: with many of them that takes long, and no rule considers such supports.
    start = 1 / 100 if problem.n_inputs <= problem.n_samples / 2 else 1 / 10
    return reference * np.geomspace(start, 3, n_kappas)
