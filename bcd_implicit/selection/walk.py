"""From small to large kappa with warm starts.

The direction matters: from a cold start a large kappa collapses to B = 0, X = 0, which is stationary. Going up,
each problem starts from a model that fits. So the first kappa has to be small enough:
:func:`~bcd_implicit.selection.grid.walk_automatic_grid` starts again, ten times lower, where it is not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, see
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.progress import Progress, between, silent
from bcd_implicit.training.bcd import Callback, solve
from bcd_implicit.training.result import BcdResult

# ``bcd_implicit.solve``, or what stands for it.
Run = Callable[..., BcdResult]
# If more inputs than wanted are in, the model only serves as the start for the next kappa: this many cycles are enough.
PASSING_CYCLES = 3
# Solves that look for the wanted number of inputs between two kappas of the grid.
MOST_BISECTIONS = 5


@dataclass(frozen=True)
class Wanted:
    """How many inputs are wanted: the arguments of :func:`~bcd_implicit.kappa_path`.

    Attributes
    ----------
    n_features : int or None
        The walk ends at the first kappa that keeps no more.
    max_features : int or None
        Kappas that keep more are passed with few cycles.
    """

    n_features: int | None = None
    max_features: int | None = None

    @classmethod
    def check(cls, problem: TrainingProblem, n_features: Any, max_features: Any) -> Wanted:
        """The numbers that a person asks for, or an error that names the bad one.

        Raises
        ------
        InvalidInputError
            As said.
        """
        p, remedy = problem.n_inputs, "Give a number from 1 to the number of inputs"
        if n_features is not None:
            n_features = check_number("n_features", n_features, 1, p, integer=True, remedy=remedy)
        if max_features is not None:
            max_features = check_number("max_features", max_features, 1, integer=True, remedy="Give 1 or more")
            if n_features is not None and max_features < n_features:
                raise InvalidInputError(
                    "max_features", f"{max_features} is less than n_features={n_features}", "Give as many or more"
                )
        return cls(n_features, max_features)

    def reached(self, n_selected: int) -> bool:
        """Whether no more inputs are in than asked for."""
        return self.n_features is not None and n_selected <= self.n_features

    def near(self, n_selected: int) -> bool:
        """Whether as many are in as asked for, or up to a tenth fewer."""
        return self.n_features is not None and 0 <= self.n_features - n_selected <= self.n_features // 10

    def passing(self, problem: TrainingProblem) -> Callback | None:
        """Stops a solve after few cycles while too many inputs are in."""
        most = self.max_features
        if most is None:
            return None
        return lambda cycle, _, it: cycle >= PASSING_CYCLES and int(problem.selected(it).sum()) > most


#: Any number of inputs will do.
ANY = Wanted()


def walk(
    problem: TrainingProblem,
    grid: Sequence[float] | np.ndarray,
    it: Iterate,
    options: dict[str, Any],
    tell: Progress = silent,
    wanted: Wanted = ANY,
    n_more: int = 0,
    run: Run = solve,
) -> tuple[BcdResult, ...]:
    """Solve the problem for every kappa of a grid, each from the solution before.

    It ends early where B = 0, where no more inputs are in than wanted, and where Ctrl-C or a time limit ends a solve:
    that solve's result is left out, unless it is the first.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa plays no part.
    grid : sequence of float
        Weights upwards, radii downwards.
    it : Iterate
        Where the first solve starts.
    options : dict
        Of :func:`bcd_implicit.solve`. The first solve, which has the longest way to go, may take twice the cycles.
    tell : callable
        Gets the share done and a text.
    wanted : Wanted
        If the grid jumps from more inputs than ``n_features`` to fewer, kappas in between are tried.
    n_more : int
        The grid is extended by at most this many kappas, at its last ratio, while more inputs are in than
        ``n_features``.
    run : callable
        Solves.
    """
    kappas, results = [float(kappa) for kappa in grid], list[BcdResult]()

    def step(kappa: float, start: Iterate, share: float, next_share: float) -> BcdResult:
        at_kappa = problem.replace(kappa=kappa)
        # The first solve has the longest way to go.
        cycles = options["max_cycles"] if results else 2 * options["max_cycles"]
        told = between(tell, share, next_share, f"kappa {kappa:.3g}:")
        callback = wanted.passing(at_kappa)
        result = run(at_kappa, start=start, callback=callback, progress=told, **options | {"max_cycles": cycles})
        told(1.0, f"{n_selected(result)} of {problem.n_inputs} inputs")
        return result

    while len(results) < len(kappas):
        # The end is where the grid ends: how many kappas follow it is not known.
        before, share = (min((len(results) + i) / len(grid), 1.0) for i in (0, 1))
        result = step(kappas[len(results)], it, before, share)
        if result.status.cut_short:
            return tuple(results or [result])
        results.append(result)
        it = result.iterate
        n = n_selected(results[-1])
        # B = 0 is stationary for all that follow, which weigh it more or bound it closer.
        if n == 0 or wanted.reached(n):
            break
        if wanted.n_features is not None and len(grid) <= len(results) == len(kappas) < len(grid) + n_more:
            kappas.append(kappas[-1] * kappas[-1] / kappas[-2])
    if len(results) > 1 and wanted.reached(n):
        # How many solves this takes is not known either: the share done stays.
        results[-2:] = _between(results[-2], results[-1], wanted, lambda kappa, at: step(kappa, at, share, share))
    return tuple(results)


def _between(
    denser: BcdResult, sparser: BcdResult, wanted: Wanted, step: Callable[[float, Iterate], BcdResult]
) -> list[BcdResult]:
    """Results of increasing kappa, of which the last keeps nearly as many inputs as wanted, and the others more.

    By bisection of log kappa, each solve from the denser of the two models around it.
    """
    passed = [denser]
    for _ in range(MOST_BISECTIONS):
        if wanted.near(n_selected(sparser)):
            break
        low, high = sorted((passed[-1].problem.kappa, sparser.problem.kappa))
        # A kappa of 0, or a radius of 0, has no logarithm.
        result = step(float(np.sqrt(max(low, high / 100) * high)), passed[-1].iterate)
        if result.status.cut_short:
            break
        if wanted.reached(n_selected(result)):
            sparser = result
        else:
            passed.append(result)
    return [*passed, sparser]


def n_selected(result: BcdResult) -> int:
    """The number of inputs that are in."""
    return int(result.problem.selected(result.iterate).sum())


def is_collapsed(results: Sequence[BcdResult]) -> bool:
    """Whether no input is in from the first kappa on, but for those of weight 0, which always are."""
    first = results[0].problem
    groups = first.group_lasso.groups
    return not (first.selected(results[0].iterate) & groups.spread(groups.weights > 0)).any()


def warn_if_collapsed(results: Sequence[BcdResult]) -> None:
    """Say so where the path says nothing about the inputs.

    Warns
    -----
    UserWarning
        No input is in, even at the first kappa.
    """
    if not is_collapsed(results):
        return
    problem = results[0].problem
    penalty = problem.group_form == "penalty"
    word, better, factor = ("kappa", "smaller", 1e-3) if penalty else ("radius", "larger", 1e3)
    warnings.warn(
        f"kappa_path: no input is in even at the first {word} ({problem.kappa:.3g}), so the path says nothing about "
        f"the inputs. Give {better} kappas, such as kappas=[{problem.kappa * factor:.1g}, ...]; if none keeps any, "
        "check that the targets vary and depend on the inputs, or try another random_state or more hidden features. "
        f"{see('nothing-is-selected')}",
        UserWarning,
        stacklevel=4,
    )


def warn_if_too_many(results: Sequence[BcdResult], wanted: Wanted) -> None:
    """Say so where a path to a number of inputs ends with more.

    Warns
    -----
    UserWarning
        With the number that is in at the end.
    """
    last, n = results[-1].problem, n_selected(results[-1])
    if wanted.n_features is None or wanted.reached(n):
        return
    word, better = ("kappa", "larger") if last.group_form == "penalty" else ("radius", "smaller")
    free = int(last.group_lasso.groups.spread(last.group_lasso.groups.weights == 0).sum())
    remedy = (
        f"{free} inputs have weight 0 and are never dropped: ask for more than these"
        if free > wanted.n_features
        else f"give {better} kappas"
    )
    warnings.warn(
        f"kappa_path: at the last {word} ({last.kappa:.3g}) {n} inputs are in, more than n_features="
        f"{wanted.n_features}; {remedy}. {see('everything-is-selected')}",
        UserWarning,
        stacklevel=4,
    )
