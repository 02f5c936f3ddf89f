"""The map x -> phi(Ax + c) of a batch of samples: how far it contracts, when to stop, and how large the error is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.rounding import EPS, near_one, rounded_up, summation_error
from bcd_implicit.terms.function import ElementwiseFunction


def missed_by(phi: ElementwiseFunction, Z: np.ndarray, off: np.ndarray, X: np.ndarray) -> np.ndarray:
    """How far X may be, entry by entry, from phi at preactivations that are Z, give or take ``off``."""
    # Where relu is 0 on all of what lies between, nothing is lost. phi itself is taken to be right to four units in
    # the last place.
    least, largest = phi.image(Z - off, Z + off)
    return np.maximum(largest - X, X - least) + 2 * EPS * np.abs(X)


def units_or_none(v: np.ndarray) -> np.ndarray | None:
    """The units v as :class:`StateMap` has them: None where those of the states will do."""
    return v if np.any(v != 1) else None


@dataclass(frozen=True)
class StateMap:
    """x -> phi(Ax + drive), with all that its solvers share.

    If only the matrix measure of A proves it well-posed, as entries on its diagonal are negative
    (:mod:`~bcd_implicit.model.well_posedness`), steps are damped, state by state with ``alpha_i = 1 / (1 + L_i
    |A_ii|)``: they go to ``phi((1 - alpha) x + alpha (Ax + drive))`` where phi is a projection, which is
    forward-backward splitting (Winston and Kolter, arXiv 2006.08591), and else to ``(1 - alpha) x + alpha phi(Ax +
    drive)`` (Jafarpour et al., arXiv 2106.03194). In units v, with G the gains, both contract by the largest
    ``1 - alpha_i (1 - max((G v)_i / v_i, 0))``.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    drive : ndarray of shape (n, m)
        BU + b, one sample per column.
    activation : ElementwiseFunction
    weights : ndarray of shape (n,) or None
        Positive v: changes are measured in ``max_i |x_i| / v_i``. None stands for ones.
    tol : float
        Largest error accepted for that a step still changes, relative to the largest state.
    damped : bool
        Whether to damp steps that would contract without.

    Attributes
    ----------
    gains : ndarray of shape (n, n)
        ``L |A|``, L the diagonal matrix of the functions' largest slopes; where steps are damped L A_ii on the
        diagonal, if that is negative.
    damping : ndarray of shape (n, 1) or None
        The alpha_i.
    factor : float
        By how much a step contracts, rounded up.
    nu : float
        States that miss their equations by s are off by ``s / (1 - nu)``, in the units v. Without damping it is the
        factor.

    Raises
    ------
    NotWellPosedError
        The contraction factor is 1 or more.
    """

    A: np.ndarray
    drive: np.ndarray
    activation: ElementwiseFunction
    weights: np.ndarray | None
    tol: float
    damped: bool = False
    gains: np.ndarray = field(init=False, repr=False)
    damping: np.ndarray | None = field(init=False, default=None)
    factor: float = field(init=False)
    nu: float = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.A)
        v = np.ones(n) if self.weights is None else self.weights
        gains, damping = well_posedness.gains_of(self.A, self.activation.slopes(n)), None
        factor = nu = rounded_up(well_posedness.contraction(gains, v), n)
        # Not ``factor >= 1``: NaN, from numbers that overflow, is refused too.
        if (self.damped or not factor < 1) and well_posedness.held_back(self.A, self.activation).any():
            gains = well_posedness.signed(gains, self.A, self.activation)
            nu, damping = well_posedness.nu(gains, v, n), well_posedness.damping(gains)[:, None]
            # It is nu that proves convergence, and that counts rounding.
            factor = max(well_posedness.contraction(gains, v), nu)
        if not factor < 1:
            raise NotWellPosedError(
                f"A: contraction factor {near_one(factor)} is not below 1, so Picard need not converge. "
                f"{well_posedness.REMEDY}."
            )
        for name, value in {"gains": gains, "damping": damping, "factor": factor, "nu": nu}.items():
            object.__setattr__(self, name, value)

    def take(self, samples: np.ndarray | slice) -> StateMap:
        """The map of some of the samples."""
        return replace(self, drive=self.drive[:, samples])

    @property
    def stepping(self) -> str:
        """The name of the solver that does nothing but step."""
        return "picard" if self.damping is None else "forward-backward"

    @property
    def widest(self) -> float:
        """The largest unit: in the states' own units an error is up to so many times as large."""
        return 1.0 if self.weights is None else float(self.weights.max())

    @property
    def gain(self) -> float:
        """What times the last change bounds the error, in the states' own units: ``nu / (1 - nu)``.

        If steps are damped, 1 / (1 - nu), times the change over alpha: of the state i with the largest ``|e_i| /
        v_i = E``, ``E <= |change_i| / v_i + (1 - alpha_i (1 - nu)) E``.
        """
        return (self.nu if self.damping is None else 1.0) / (1 - self.nu) * self.widest * (1 + 8 * EPS)

    def error_left(self, X: np.ndarray, new: np.ndarray) -> np.ndarray:
        """What more steps could take off the error after one from X to new, at most: (m,)."""
        change = new - X if self.damping is None else (new - X) / self.damping
        return self.gain * self.in_units(change).max(axis=0)

    @property
    def stagnation(self) -> float:
        """Changes do not fall below this share of the states.

        Rounding alone moves the states by so much: a difference that shrinks by less than its last digit stays.
        """
        return min(2 * EPS * (4 + 1 / (1 - self.factor)), 1e-10)

    def preactivation(self, X: np.ndarray) -> np.ndarray:
        """AX + drive."""
        Z = self.A @ X
        Z += self.drive
        return Z

    def step(self, X: np.ndarray) -> np.ndarray:
        """phi(AX + drive), or damped."""
        Z = self.preactivation(X)
        # Where phi is a projection a damped step does without the value at Z.
        return self.damped_to(X, Z, Z) if self._by_projection else self.damped_to(X, Z, self.activation(Z))

    @property
    def _by_projection(self) -> bool:
        return self.damping is not None and self.activation.projection

    def damped_to(self, X: np.ndarray, Z: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The step from X where Z are the preactivations and phi(Z) is the target."""
        if self.damping is None:
            return target
        if self._by_projection:
            return self.activation(X + self.damping * (Z - X))
        return X + self.damping * (target - X)

    def in_units(self, change: np.ndarray) -> np.ndarray:
        """``|change_i| / v_i``, entry by entry."""
        size = np.abs(change)
        if self.weights is not None:
            size /= self.weights[:, None]
        return size

    def settled(self, X: np.ndarray, new: np.ndarray, size: float | np.ndarray) -> np.ndarray:
        """Whether another step, from X to new, shows the error to be in ``tol * size`` or lost in rounding: (m,)."""
        left = self.error_left(X, new)
        settled = left <= self.tol * size
        if not settled.all():
            rounding = summation_error(len(X)) * (np.abs(self.A) @ np.abs(X) + np.abs(self.drive))
            settled |= left <= self.gain * self.in_units(rounding).max(axis=0)
        return settled

    def error_bound(self, X: np.ndarray, new: np.ndarray, drive_error: np.ndarray | None = None) -> np.ndarray:
        """For each sample a bound on ``max_i |new_i - x*_i|``, where a step goes from X to about new.

        In exact arithmetic it would be ``nu/(1-nu) max_i |new - X|_i`` (El Ghaoui et al., arXiv 1908.06315,
        section 2). With ``|new - phi(AX + drive)| <= r`` it is ``(nu |new - X| + r) / (1-nu)``: the r found here holds
        whatever the rounding, barring underflow. If steps are damped, r is found at X = new.

        Parameters
        ----------
        X, new : ndarray of shape (n, m)
        drive_error : ndarray of shape (n, m), optional
            How far off the drive itself may be.

        Returns
        -------
        ndarray of shape (m,)
        """
        if self.damping is not None:
            X = new
        change = np.abs(new - X)
        off = summation_error(len(X)) * (np.abs(self.A) @ np.abs(X) + np.abs(self.drive))
        if drive_error is not None:
            off += drive_error
        missed = missed_by(self.activation, self.preactivation(X), off, new)
        largest = [self.in_units(part).max(axis=0) for part in (change, missed)]
        bound = (self.nu * largest[0] + largest[1]) / (1 - self.nu) * (1 + 8 * EPS)
        if self.weights is None:
            return bound
        # In units that are far apart the norm says little of small states. The error of each state is at most
        # missed + L |A| (change + error), L the largest slopes: applied to the bound itself until that no longer pays.
        errors, gains = bound * self.weights[:, None], np.maximum(self.gains, 0.0)
        for _ in range(len(X)):
            better = (missed + gains @ (change + errors)) * (1 + 2 * summation_error(len(X)))
            better = np.minimum(better, errors)
            pays = better.max() < 0.9 * errors.max()
            errors = better
            if not pays:
                break
        return errors.max(axis=0)


@dataclass(frozen=True)
class Reached:
    """Where a solver ended: the last step went from X to ``new``.

    Attributes
    ----------
    X, new : ndarray of shape (n, m)
    n_iter : int
        Steps or rounds taken.
    settled : bool
        False where the most iterations were reached first.
    solver : str
        Whose answer it is.
    """

    X: np.ndarray
    new: np.ndarray
    n_iter: int
    settled: bool
    solver: str
