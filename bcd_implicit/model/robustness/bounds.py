"""Bounds on predictions for boxes of inputs, and their certificates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.robustness.backward import DualCertificate, backward, by_intervals
from bcd_implicit.model.robustness.box import Box, Rows, Tasks
from bcd_implicit.model.robustness.dual import dual
from bcd_implicit.model.robustness.perron_frobenius import GainCertificate, perron_frobenius
from bcd_implicit.model.robustness.programs import ATTAINED, AttainedCertificate, exact, linear, proves_attained
from bcd_implicit.model.robustness.semidefinite import QuadraticCertificate, proves_quadratic, semidefinite
from bcd_implicit.model.robustness.system import BoundedSystem
from bcd_implicit.model.robustness.verify import proves_duals, proves_gains
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.display import facts_table
from bcd_implicit.support.notices import warn_convergence

#: This many cuts make 1,024 cases.
MOST_CUTS = 10
# A prediction that is farther out than its states may be off, and than this share of what it sums, breaks its bounds.
CLOSE = 1e-9
#: The default number of cuts, for models of at most this many states.
CUTS, FEW_STATES = 3, 50
#: Methods that have cuts, and those that have balls.
WITH_CUTS, WITH_BALLS = ("backward", "dual"), ("backward", "interval", "perron-frobenius")
#: What finds the largest values of tasks and what proves them, by name. To add a method, write such a function.
METHODS: dict[str, Callable[[BoundedSystem, Box, Tasks, Mapping[str, Any]], tuple[np.ndarray, Any]]] = {
    "backward": lambda system, box, tasks, options: backward(
        system, box, tasks, options["rounds"], n_cuts_of(system, options)
    ),
    "dual": lambda system, box, tasks, options: dual(system, box, tasks, options["rounds"], n_cuts_of(system, options)),
    "perron-frobenius": lambda system, box, tasks, options: perron_frobenius(system, box, tasks),
    "interval": lambda system, box, tasks, options: by_intervals(system, box, tasks),
    "lp": lambda system, box, tasks, options: linear(system, box, tasks, options["rounds"]),
    "sdp": lambda system, box, tasks, options: semidefinite(system, box, tasks, options["rounds"]),
    "exact": lambda system, box, tasks, options: exact(system, box, tasks, options["rounds"], options["max_seconds"]),
}


def _either(methods: Sequence[str]) -> str:
    *first, last = map(repr, methods)
    return f"{', '.join(first)} or {last}" if first else last


def n_cuts_of(system: BoundedSystem, options: Mapping[str, Any]) -> int:
    """The cuts that were asked for; by default those that cost little."""
    n_cuts, n = options["n_cuts"], len(system.b)
    return min(n, n_cuts if n_cuts is not None else CUTS if n <= FEW_STATES else 0)


def check_options(
    method: str, rounds: int, n_cuts: int | None = None, max_seconds: float | None = None, euclidean: bool = False
) -> dict[str, Any]:
    """The options of methods by name, each as it is to be.

    Raises
    ------
    InvalidInputError
        Another method; another number of rounds, cuts or seconds, or cuts, seconds or balls of a method that has none.
    """
    check_choice("method", method, METHODS)
    for name, owners, given in (("n_cuts", WITH_CUTS, n_cuts), ("max_seconds", ("exact",), max_seconds)):
        if given and method not in owners:
            known = _either(owners)
            cause = f"applies only to method={known}, but method is {method!r}"
            raise InvalidInputError(name, cause, f"Omit it, or choose method={known}")
    if euclidean and method not in WITH_BALLS:
        remedy = f"Use method={_either(WITH_BALLS)}, or bound the box around the ball"
        raise InvalidInputError("norm", f"is 2, and method={method!r} bounds only boxes", remedy)
    if max_seconds is not None:
        max_seconds = check_number("max_seconds", max_seconds, 0, remedy="Give seconds, or None")
    return {
        "rounds": check_number("rounds", rounds, 0, integer=True, remedy="Give 0 or more"),
        "n_cuts": None
        if n_cuts is None
        else check_number("n_cuts", n_cuts, 0, MOST_CUTS, integer=True, remedy=f"Give 0 to {MOST_CUTS} cuts"),
        "max_seconds": max_seconds,
    }


def largest(
    system: BoundedSystem, box: Box, tasks: Tasks, method: str, options: Mapping[str, Any]
) -> tuple[np.ndarray, Any]:
    """The largest values of tasks, (K,), by one of :data:`METHODS`, and what proves them.

    Raises
    ------
    InvalidInputError
        A model that the method cannot bound.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    system.structure.check()
    return METHODS[method](system, box, tasks, options)


def prediction_within(
    system: BoundedSystem, box: Box, rows: Rows, lower: np.ndarray, upper: np.ndarray, method: str
) -> np.ndarray:
    """The rows in the middle of each box, (m, k), clipped to their bounds of that shape.

    Raises
    ------
    InvalidInputError
        Bounds exclude one another, or the prediction, by more than it is off.

    Warns
    -----
    ConvergenceWarning
        Those of "exact" do: its solver has tolerances that do not suit the model's numbers.
    """
    point = system.point(box.center)
    found = (rows.x @ point.X + rows.u @ box.center + rows.c[:, None]).T
    sizes = (np.abs(rows.x) @ np.abs(point.X) + np.abs(rows.u) @ box.sizes + np.abs(rows.c)[:, None]).T
    slack = ATTAINED * (1e-3 + sizes) if method == "exact" else CLOSE * sizes
    off = slack + (np.abs(rows.x) @ np.broadcast_to(point.error_bound, point.X.shape)).T
    crossed, missed = lower - upper > slack, np.maximum(lower - found, found - upper) > off
    if method == "exact" and missed.any():
        told = f'{missed.sum()} of {missed.size} bounds of method="exact" exclude the prediction, as its solver has'
        warn_convergence(f"{told} tolerances of about 1e-6. Choose units in which inputs and states are about 1.")
        return np.where(missed, found, np.clip(found, lower, upper))
    if crossed.any() or missed.any():
        cause = f"{system.activation.name} has {'lower bounds above upper ones' if crossed.any() else 'false bounds'}"
        remedy = "One of its properties is wrong: check image, nondecreasing, max_slope and its pieces"
        raise InvalidInputError("activation", cause, remedy)
    # What is known better than to rounding is not left to it.
    return np.clip(found, lower, upper)


@dataclass(frozen=True, repr=False)
class Bounds:
    """What a model may predict for inputs in boxes or balls, rounding included.

    Attributes
    ----------
    lower, upper : ndarray of shape (m, k)
        For each sample and output that was asked for.
    prediction : ndarray of shape (m, k)
        In the middle of each box.
    method : str
        How they were found.
    seconds : float
        How long that took.
    certificate : DualCertificate, GainCertificate, QuadraticCertificate or AttainedCertificate
        What proves them: :meth:`check` recomputes the bounds from it.
    output_names : list of str
    """

    lower: np.ndarray
    upper: np.ndarray
    prediction: np.ndarray
    method: str
    seconds: float
    certificate: Any
    output_names: Sequence[str]
    _system: BoundedSystem
    _box: Box

    def check(self) -> bool:
        """Whether the certificate proves the bounds, by plain NumPy and other code than found them.

        No solver is asked. A dual vector may be any vector: the bound that it proves follows from it by one formula
        (:mod:`~bcd_implicit.model.robustness.verify`), which charges its own rounding.
        """
        found = np.concatenate([self.upper.T.ravel(), -self.lower.T.ravel()])
        prove: Callable[..., bool] = PROOFS[type(self.certificate)]
        return prove(self._system, self._box, self.certificate, found)

    @property
    def width(self) -> np.ndarray:
        """How far the bounds are apart, shape (m, k)."""
        return self.upper - self.lower

    @property
    def table(self) -> pd.DataFrame:
        """A row for each sample and output: lower, prediction, upper."""
        index = pd.MultiIndex.from_product([range(len(self.lower)), self.output_names], names=["sample", "output"])
        columns = {"lower": self.lower, "prediction": self.prediction, "upper": self.upper}
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)

    def __repr__(self) -> str:
        m, k = self.lower.shape
        return f"Bounds({self.method!r}, n_samples={m}, n_outputs={k}, median width={np.median(self.width):.4g})"

    def _repr_html_(self) -> str:
        facts = {
            "method": self.method,
            "samples": f"{len(self.lower)}",
            "median width": f"{np.median(self.width):.4g}",
            "largest width": f"{self.width.max():.4g}",
            "seconds": f"{self.seconds:.3g}",
        }
        return f"{facts_table('Bounds', facts)}\n{self.table.head(10).to_html()}"


#: What checks a certificate of each kind.
PROOFS: dict[type, Callable[..., bool]] = {
    DualCertificate: proves_duals,
    GainCertificate: proves_gains,
    AttainedCertificate: proves_attained,
    QuadraticCertificate: proves_quadratic,
}
