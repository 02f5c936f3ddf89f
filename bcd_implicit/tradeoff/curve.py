"""The trade-off between accuracy and robustness: models along falling bounds on the gain of their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.constraints import margin_gain_bound, output_gain_bound, state_gain_bound
from bcd_implicit.errors import InvalidInputError, NotWellPosedError, shown
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import targets_in_order
from bcd_implicit.model.robustness.bounds import check_options
from bcd_implicit.problem.training_problem import TrainingProblem, check_problem
from bcd_implicit.support.checks import check_flag, check_list, check_number
from bcd_implicit.support.display import quoted
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.tradeoff.measures import measured
from bcd_implicit.tradeoff.scaling import scaled_to_gain
from bcd_implicit.training import BcdResult, solve
from bcd_implicit.training.start import given_start

# What the table calls the model without bounds.
PLAIN = "plain"


@dataclass(frozen=True, eq=False)
class RobustPoint:
    """One model of a curve.

    Attributes
    ----------
    name : str
        "plain", the bound, or a baseline's name.
    bound : float
        On the gain of each output, or of each margin; infinite where there is none.
    model : ImplicitModel
    result : BcdResult or None
        Of its training; None of a baseline.
    """

    name: str
    bound: float
    model: ImplicitModel
    result: BcdResult | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class RobustnessCurve:
    """Models along decreasing bounds, with their accuracy and robustness on test samples.

    Attributes
    ----------
    points : tuple of RobustPoint
        The plain model, then the models along the bounds, from loose to tight, then the baselines.
    radius : float or ndarray
        How far each input may move, for the table.
    classes : bool
        Whether the targets of the test samples are classes.
    margins : bool
        Whether the bounds are on differences of outputs.
    """

    points: tuple[RobustPoint, ...]
    radius: ArrayLike
    classes: bool
    _test: tuple[Any, Any] = field(repr=False)
    _n_cuts: int = field(repr=False)
    margins: bool = False

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each model, by name: the bound, the model's gain, and the columns of :meth:`at`."""
        return self.at(self.radius)

    def at(self, radius: ArrayLike) -> pd.DataFrame:
        """The table for another radius.

        Returns
        -------
        DataFrame
            With the columns "bound", "gain", if bounds are on margins "gain of margins", and those of
            :func:`~bcd_implicit.tradeoff.measures.measured`: for classes "accuracy", "attacked" and "certified",
            otherwise "R2", "attacked width" and "certified width".

        Raises
        ------
        InvalidInputError
            A radius that does not fit.
        """
        rows = [
            {"bound": point.bound, **_measured(point, self._test, radius, self.classes, self.margins, self._n_cuts)}
            for point in self.points
        ]
        return pd.DataFrame(rows, index=[point.name for point in self.points])

    def __getitem__(self, name: str | float) -> RobustPoint:
        """The point of that name, or of that bound.

        Raises
        ------
        InvalidInputError
            There is none.
        """
        if isinstance(name, (str, int, float, np.number)):
            for point in self.points:
                if point.name == name or (np.isfinite(point.bound) and point.bound == name):
                    return point
        known = quoted(point.name for point in self.points)
        raise InvalidInputError("name", f"there is no {shown(name)}", f"Choose from {known}, or give a bound")

    def __repr__(self) -> str:
        return f"RobustnessCurve({', '.join(point.name for point in self.points)})"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(float_format="{:.4g}".format))


def robustness_curve(
    problem: TrainingProblem,
    bounds: Sequence[float],
    U_test: ArrayLike,
    y_test: ArrayLike,
    radius: ArrayLike,
    *,
    margins: bool = False,
    states: float = 1.0,
    start: BcdResult | None = None,
    baselines: Mapping[str, ImplicitModel] | None = None,
    max_cycles: int = 50,
    tol: float = 1e-3,
    n_cuts: int = 0,
    random_state: int | None = 0,
    progress: bool | Progress = False,
) -> RobustnessCurve:
    """Train models with a bound on how far their outputs move per unit of the largest change of an input.

    The first model has no bound. The next ones have :func:`~bcd_implicit.constraints.state_gain_bound` and
    :func:`~bcd_implicit.constraints.output_gain_bound` added, from the loosest bound to the tightest, each starting
    from the model before. These replace constraints of the same names in the problem. Their blocks go through CVXPY.
    Choose ``norm_bound`` near 1, since the bound on the states already makes the model well-posed.

    Parameters
    ----------
    problem : TrainingProblem
    bounds : list of float > 0
        Bounds on each output's gain. Like all constraints, they are in the units of training: standard deviations with
        ``standardize=True``. The gains in the table are those of the models in the data's units.
    U_test : array-like of shape (m, p)
    y_test : array-like of shape (m,) or (m, q)
        Classes, by number or name, if the loss is one for classes, or if the problem has several outputs and this has
        one column. Otherwise targets; the columns of a data frame are matched by name.
    radius : float, or array-like of shape (p,) or (m, p)
        How far each input may move, for the table.
    margins : bool
        Bound each difference of two outputs instead, by :func:`~bcd_implicit.constraints.margin_gain_bound`.
    states : float > 0
        The bound on the states' gain. With relu it only sets their unit.
    start : BcdResult, optional
        The result of training without the bounds; trained here by default. Its weights, penalties and data may differ.
    baselines : mapping of str to ImplicitModel, optional
        Further models for the table.
    max_cycles, tol
        For each training, as in :func:`~bcd_implicit.solve`.
    n_cuts : int
        For the bounds in the table, as in :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds`.
    random_state : int or None
        Seed of the plain training.
    progress : bool, int or callable
        As in :func:`~bcd_implicit.solve`.

    Returns
    -------
    RobustnessCurve

    Raises
    ------
    InvalidInputError
        Bounds that are not positive, a start or baselines that do not fit, a duplicate name, margins of one output, or
        samples, a radius or ``n_cuts`` that do not fit. All are checked before training.
    ConstraintError
        Groups of columns of (B; D): C and D are then not in the same block.
    BlockSolveError
        As :func:`~bcd_implicit.solve`.

    Warns
    -----
    ConvergenceWarning
        Training did not converge within ``max_cycles``.
    """
    check_problem(problem)
    if start is not None:
        _check_start(start, problem)
    if check_flag("margins", margins) and problem.n_outputs == 1:
        raise InvalidInputError("margins", "there is one output, so there are no pairs", "Omit it, to bound the output")
    check_options("backward", 0, n_cuts)
    names = _names(bounds)
    others = _baselines(baselines, [PLAIN, *names])
    problems = {name: _bounded(problem, bound, margins, states) for name, bound in names.items()}
    classes = problem.loss.link in ("softmax", "logit") or (problem.n_outputs > 1 and np.ndim(y_test) == 1)
    if not classes:
        # Baselines whose outputs have no names go by the order of the problem's.
        y_test = targets_in_order("y_test", y_test, problem.output_names)
    test = (U_test, y_test)
    # Before the long part: what does not fit is found here.
    untrained = problem.model(problem.initial()) if start is None else start.model
    for point in (RobustPoint(PLAIN, np.inf, untrained), *others):
        _measured(point, test, radius, classes, margins)
    options: dict[str, Any] = {"max_cycles": max_cycles, "tol": tol}
    n = len(problems) + 1
    with show_progress(progress, "robustness") as tell:
        told = [between(tell, k / n, (k + 1) / n, f"{name}:") for k, name in enumerate([PLAIN, *problems])]
        found = start
        if found is None:
            found = solve(problem, random_state=random_state, progress=told[0], **options)
        points = [RobustPoint(PLAIN, np.inf, found.model, found)]
        it = scaled_to_gain(problem, given_start(problem, found), states)
        for (name, bounded), tell_of_it in zip(problems.items(), told[1:], strict=True):
            found = solve(bounded, start=it, progress=tell_of_it, **options)
            points.append(RobustPoint(name, names[name], found.model, found))
            it = found.iterate
    return RobustnessCurve(tuple(points + others), radius, classes, test, n_cuts, margins)


def _check_start(start: Any, problem: TrainingProblem) -> None:
    """Raise an error unless it is the result of a problem of the same sizes and functions."""
    remedy = "Pass what bi.solve(problem) returns"
    if not isinstance(start, BcdResult):
        raise InvalidInputError("start", f"is {shown(start)}", remedy)
    own, its = (
        {
            **{size: getattr(of, size) for size in ("n_hidden", "n_inputs", "n_outputs", "n_samples")},
            "activation": of.activation.name,
            "link": of.loss.link,
        }
        for of in (problem, start.problem)
    )
    for fact, value in own.items():
        if its[fact] != value:
            cause = f"is of a problem with {fact} {shown(its[fact])}, and this has {shown(value)}"
            raise InvalidInputError("start", cause, remedy)


def _names(bounds: Sequence[float]) -> dict[str, float]:
    """The bounds by name, the loosest first."""
    remedy = "Give positive numbers such as [10, 5, 2], each once"
    given = check_list("bounds", bounds, "positive numbers", remedy)
    numbers = sorted(check_number("bounds", bound, 0, boundaries="neither", remedy=remedy) for bound in given)[::-1]
    names = [f"{bound:g}" for bound in numbers]
    if not names:
        raise InvalidInputError("bounds", "is empty", remedy)
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInputError("bounds", f"has {twice[0]} twice, to six digits", remedy)
    return dict(zip(names, numbers, strict=True))


def _bounded(problem: TrainingProblem, bound: float, margins: bool, states: float) -> TrainingProblem:
    # First this one, which calls the states' gain by its name here.
    of_outputs = (margin_gain_bound if margins else output_gain_bound)(bound, states)
    of_states = state_gain_bound(states, problem.activation.max_slope)
    added = {made.name: made for made in (of_states, of_outputs)}
    return problem.replace(constraints={**problem.constraints, **added})


def _measured(
    point: RobustPoint, test: tuple[Any, Any], radius: ArrayLike, classes: bool, margins: bool, n_cuts: int = 0
) -> dict[str, float]:
    """Its row of the table, or an error that says which model does not fit."""
    try:
        return measured(point.model, *test, radius, classes=classes, margins=margins, n_cuts=n_cuts)
    except NotWellPosedError as error:
        raise NotWellPosedError(f"{point.name!r} of the curve: {error}") from error
    except InvalidInputError as error:
        argument, cause = {"U": "U_test", "y": "y_test"}.get(error.argument, error.argument), error.cause
        if point.result is None and point.name != PLAIN:
            argument, cause = "baselines", f"{point.name!r} does not fit: {argument} {cause}"
        raise InvalidInputError(argument, cause, error.remedy) from error


def _baselines(baselines: Mapping[str, ImplicitModel] | None, taken: list[str]) -> list[RobustPoint]:
    if baselines is not None and not isinstance(baselines, Mapping):
        raise InvalidInputError("baselines", f"is {shown(baselines)}", "Pass a mapping {name: model}")
    for name, model in (baselines or {}).items():
        if not isinstance(model, ImplicitModel):
            raise InvalidInputError("baselines", f"{name!r} is {shown(model)}", "Pass an ImplicitModel")
        taken.append(str(name))
    if twice := [name for name in taken if taken.count(name) > 1]:
        raise InvalidInputError(
            "baselines", f"has {twice[0]!r}, and another model is called so", "Give every model a name of its own"
        )
    return [RobustPoint(str(name), np.inf, model) for name, model in (baselines or {}).items()]
