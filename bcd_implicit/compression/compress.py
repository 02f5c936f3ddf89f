"""Make a model smaller: :func:`compress`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from bcd_implicit.compression.matching import Task, loss_of, matched
from bcd_implicit.compression.result import Compression, SmallModel
from bcd_implicit.compression.units import without_units
from bcd_implicit.errors import InvalidInputError, check_choice, shown
from bcd_implicit.model import well_posedness
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import PASS_A_MODEL, inputs_of, targets_in_order
from bcd_implicit.model.matrices import Matrix, check_part, dense, n_nonzero
from bcd_implicit.model.structure import Structure
from bcd_implicit.support.checks import check_flag, check_list, check_matrix, check_number
from bcd_implicit.support.notices import told_once, warn_convergence
from bcd_implicit.terms.activation import Activation

MATCHINGS = ("fenchel", "least-squares")
REMOVALS = ("entries", "units")
CONNECTIONS = ("model", "forward", "any")
# Up to so many entries that it would let in, "forward" is the default where there is no cycle.
MOST_FORWARD = 1_000_000
# Rows of states that may be in a cycle are bounded by this, or by what the model has itself if that is more.
NORM_BOUND = 0.95
# The search for a target: alphas between these, so often, until so large a share of the target is in use.
LEAST_ALPHA, MOST_ALPHA, SEARCHES, ENOUGH = 1e-4, 4.0, 10, 0.98


@told_once()
def compress(
    model: ImplicitModel,
    U: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    target: float | None = None,
    alpha: float | ArrayLike | None = None,
    remove: str = "entries",
    matching: str = "fenchel",
    connections: str | Mapping[str, ArrayLike] | None = None,
    reweight: int = 2,
    refit: bool = True,
    norm_bound: float | None = None,
    tol: float = 1e-6,
) -> Compression:
    """Find a model with fewer entries or states whose predictions match those of this one at the samples U.

    The states at U are known, so every row of (A, B, b) is a separate convex problem::

        min over rows t, c    1/m sum_k F_phi(x_k, t'w_k + c)
                              + alpha sum_j weight_j |t_j|,     w = (x, u)

    F_phi(x, z) = g(x) + g*(z) - x z is the Fenchel divergence: zero exactly if x = phi(z), so that a relu that is zero
    allows any negative z. Then the rows of (C, D, d) are fitted, by the squared error of the predictions. Every row has
    a duality gap. Rows are fitted stage by stage, on the earlier states of the smaller model. An entry's weight is the
    product of the standard deviations of the two variables that it connects, times 0.3 in C and D. So alpha has no
    units, and from 4 on the model is constant.

    Parameters
    ----------
    model : ImplicitModel
        Trained, converted or composed.
    U : array-like of shape (m, p)
    Y : array-like of shape (m, q), optional
        Targets for the outputs instead of the model's own predictions, with the loss of the model's ``link``: squared,
        logistic, cross-entropy or Poisson. Columns of a data frame are matched by name.
    target : float, optional
        The largest share of the model's nonzero entries of A, B, C and D to keep; alpha is searched for it.
    alpha : float or sequence of float, optional
        One weight, or a path of weights. With a target, these are searched; without, the largest is chosen.
    remove : {"entries", "units"}
        What to remove: single entries, or whole states with all their connections. With "units" the other entries are
        kept, including those that ``connections`` adds. Call it again with the smaller model to remove entries of that.
    matching : {"fenchel", "least-squares"}
        Match by the Fenchel divergence, or by the squared error of AX + BU + b (Tsai, El Ghaoui et al., *State-driven
        Implicit Modeling*, arXiv 2209.09389), which works with any functions of states.
    connections : {"model", "forward", "any"} or mapping of str to mask, optional
        Which entries may be nonzero (except self-loops). "model": those of the model. "forward": also those from
        earlier stages to later ones, from all inputs and to all outputs. "any": all. A mapping has masks of some of A,
        B, C and D, dense or sparse; the others are as in the model. The default is "forward" if no state depends on
        itself and this gives at most a million entries. Otherwise, and for units, it is "model".
    reweight : int
        Number of further rounds, in which weights are multiplied by 1 / (size / mean size + 0.3), with the sizes from
        the round before.
    refit : bool
        Whether to fit the remaining entries again without the penalty.
    norm_bound : float, optional
        A number below 1. It bounds the rows of A, times the slope, over the states on cycles, so that the smaller model
        is well-posed. The default is 0.95, or the model's own value if that is larger. Self-loops do not change, and
        there are no new ones, because a state explains itself best. If only the matrix measure proves the model
        well-posed, negative self-loops increase the bound of their row.
    tol : float
        Relative duality gap of each row.

    Returns
    -------
    Compression
        The path, the chosen ``model``, a table, and a bound on the change of every prediction.

    Raises
    ------
    InvalidInputError
        Arguments that do not fit; neither target nor alpha; Fenchel matching of functions that have no Fenchel pair.
    NotWellPosedError
        The model is not well-posed.

    Warns
    -----
    ConvergenceWarning
        A row's gap stayed above ``tol``, or no model meets the target.
    """
    if not isinstance(model, ImplicitModel):
        raise InvalidInputError("model", f"must be an ImplicitModel, got {shown(model)}", PASS_A_MODEL)
    if target is None and alpha is None:
        raise InvalidInputError("target", "is missing, and so is alpha", "Give one, such as target=0.2")
    if target is not None:
        target = check_number("target", target, 0, 1, remedy="Give the share of entries to keep, such as 0.2")
    alphas = None if alpha is None else _alphas(alpha)
    check_choice("matching", matching, MATCHINGS)
    check_choice("remove", remove, REMOVALS)
    if connections is None and remove == "units":
        connections = "model"
    task = Task(
        **_data(model, U, Y),
        remove=remove,
        matching=matching,
        **_structure(model, connections, norm_bound),
        reweight=check_number("reweight", reweight, 0, integer=True, remedy="Give 0 or more rounds"),
        refit=check_flag("refit", refit),
        tol=check_number("tol", tol, 0, boundaries="neither", remedy="Give a small positive number, such as 1e-6"),
    )
    if matching == "fenchel":
        _check_pairs(model)
    points = [_point(task, a) for a in alphas] if alphas is not None else _searched(task, target or 0.0)
    points.sort(key=lambda point: point.alpha)
    chosen = len(points) - 1
    if target is not None:
        small_enough = [k for k, point in enumerate(points) if point.share <= target]
        # Of those that are small enough the largest, and else the smallest of all.
        smallest = min(range(len(points)), key=lambda k: points[k].n_nonzero)
        chosen = max(small_enough, key=lambda k: points[k].n_nonzero, default=smallest)
        if not small_enough:
            _warn_of_missed(target, points[chosen], given=alphas is not None)
    return Compression(model, tuple(points), chosen, task)


def _warn_of_missed(target: float, smallest: SmallModel, *, given: bool) -> None:
    kept = ", ".join(f"{count} of {letter}" for letter, count in smallest.nonzeros.items() if count)
    if given:
        remedy = "Give larger alphas (from 4 on, the model is constant), or omit them"
    elif smallest._task.remove == "units":
        remedy = 'To remove more, compress the smaller model with remove="entries"'
    else:
        remedy = "There is no smaller one: raise the target"
    warn_convergence(
        f"target={target:.3g} is not met: the smallest model (alpha={smallest.alpha:.3g}) keeps a share of "
        f"{smallest.share:.3g} ({kept}). {remedy}."
    )


def _point(task: Task, alpha: float) -> SmallModel:
    units = None
    if task.remove == "units":
        left, units = without_units(task, alpha)
        small, hidden, output = matched(left, 0.0)
    else:
        small, hidden, output = matched(task, alpha)
    found = SmallModel(task, alpha, small, hidden, output, units)
    worst = found.gap
    if worst > task.tol:
        warn_convergence(
            f"alpha={alpha:.3g}: the largest relative gap of a row is {worst:.1e}, above tol={task.tol:.1e}. Its "
            "entries are near the optimum, but not within tol. Raise tol or alpha."
        )
    return found


def _searched(task: Task, target: float) -> list[SmallModel]:
    """Alphas whose shares enclose the target, in logarithms, until most of it is in use."""
    if target == 1:
        return [_point(task, 0.0)]
    low, high, points = LEAST_ALPHA, MOST_ALPHA, [_point(task, MOST_ALPHA)]
    if points[0].share > target:
        return points
    # Of the ends, as far as they are known and not nothing.
    shares: dict[float, float] = {}
    flat = False
    for _ in range(SEARCHES):
        step = 0.5
        if low in shares and high in shares and not flat:
            # Where a line has the middle of what is accepted, but well inside.
            logs = np.log([shares[low], shares[high], (1 + ENOUGH) / 2 * target])
            step = float(np.clip((logs[0] - logs[2]) / (logs[0] - logs[1]), 0.1, 0.9)) if logs[0] > logs[1] else 0.5
        alpha = float(low ** (1 - step) * high**step)
        points.append(_point(task, alpha))
        share = points[-1].share
        if ENOUGH * target <= share <= target:
            break
        # Models of whole states have few sizes. On a plateau a line would crawl.
        flat = share == shares.get(low if share > target else high)
        low, high = (alpha, high) if share > target else (low, alpha)
        if share > 0:
            shares[alpha] = share
    else:
        if max(point.share for point in points) < ENOUGH * target:
            # Where next to no penalty leaves less than may be left, none is as good.
            points.append(_point(task, 0.0))
    return points


def _alphas(alpha: Any) -> list[float]:
    given = [alpha] if np.ndim(alpha) == 0 else check_list("alpha", alpha, "numbers", "Give numbers such as 0.1")
    if not given:
        raise InvalidInputError("alpha", "is an empty list", "Give numbers such as 0.1")
    return [
        check_number("alpha", a, 0, remedy="Give 0 or more, such as 0.1; from 4 on, the model is constant")
        for a in given
    ]


def _data(model: ImplicitModel, U: ArrayLike, Y: ArrayLike | None) -> dict[str, Any]:
    inputs, q = inputs_of(model, U), model.C.shape[0]
    if Y is not None:
        Y = check_matrix("Y", targets_in_order("Y", Y, model.output_names))
        if Y.shape != (len(inputs), q):
            remedy = "Pass a row for each sample and a column for each output"
            raise InvalidInputError("Y", f"has shape {Y.shape}, ({len(inputs)}, {q}) needed", remedy)
        loss_of(model.link).check_targets(Y.T, model.output_names)
        Y = Y.T
    return {"model": model, "U": inputs.T, "Y": Y, "X": model._states(inputs.T).X}


def _structure(
    model: ImplicitModel, connections: str | Mapping[str, ArrayLike] | None, norm_bound: float | None
) -> dict[str, Any]:
    """Which entries are free, which of them are bounded or stay, and the order of the stages."""
    free, n = _free(model, connections), model.n_hidden
    structure = Structure(free["A"].astype(float), model.activation)
    component, units, own = np.full(n, -1), np.ones(n), 0.0
    # Given itself, a state would explain itself best: self-loops stay as they are, and no new ones appear.
    held = np.asarray(sp.csr_array(model.A).diagonal() * free["A"].diagonal())
    held_gains = np.zeros(n)
    slopes = model.activation.slopes(n)
    for number, states in enumerate(structure.cycles):
        if not np.isfinite(slopes[states]).all():
            cause = "has cycles of states whose function has no Lipschitz constant"
            raise InvalidInputError("connections", cause, 'Use "model" or "forward"')
        component[states] = number
        # Where only the matrix measure proves the model well-posed, gains have negative entries on their diagonal.
        gains = well_posedness.comparison(dense(model.A[states][:, states]), model.activation.take(states))
        held_gains[states] = np.where(held[states] != 0, np.diagonal(gains), 0.0)
        if well_posedness.is_below_one(gains):
            units[states] = well_posedness.weights(gains)
            own = max(own, well_posedness.nu(gains, units[states], len(states)))
    free["A"] = free["A"] > sp.eye_array(n, dtype=bool, format="csr")
    radius = max(NORM_BOUND, own)
    if norm_bound is not None:
        remedy = "Give a number below 1, such as 0.9"
        radius = check_number("norm_bound", norm_bound, 0, 1, boundaries="neither", remedy=remedy)
        # Those that use more of the bound than there is now shrink with it.
        shrunk = np.where(held_gains > 0, min(1.0, radius / own) if own > 0 else 1.0, 1.0)
        held, held_gains = held * shrunk, held_gains * shrunk
    return {
        "free": free,
        "component": component,
        "held": held,
        "held_gains": held_gains,
        "units": units,
        "radius": radius,
        "level": structure.level,
    }


def _free(model: ImplicitModel, connections: str | Mapping[str, ArrayLike] | None) -> dict[str, Matrix]:
    """By letter, masks as sparse arrays without explicit zeros."""
    own = {letter: sp.csr_array(getattr(model, letter) != 0) for letter in "ABCD"}
    if isinstance(connections, Mapping):
        return own | {letter: _mask(letter, given, own) for letter, given in connections.items()}
    if connections is None:
        connections = "forward" if _fits_forward(model) else "model"
    check_choice("connections", connections, CONNECTIONS)
    if connections == "model":
        return own
    n, structure = model.n_hidden, model.structure()
    if connections == "forward":
        A = structure.level[:, None] > structure.level
        for states in structure.cycles:
            A[np.ix_(states, states)] = True
    else:
        A = ~np.eye(n, dtype=bool)
    full = {letter: sp.csr_array(np.ones(own[letter].shape, dtype=bool)) for letter in "BCD"}
    return {"A": sp.csr_array(A | dense(own["A"]))} | full


def _mask(letter: str, given: ArrayLike, own: dict[str, Matrix]) -> Matrix:
    if letter not in own:
        raise InvalidInputError("connections", f"has {shown(letter)}, which is not a matrix", "Use A, B, C, D")
    mask = check_part(f"connections[{letter!r}]", given)
    if mask.shape != own[letter].shape or n_nonzero(mask) != n_nonzero(mask == 1):
        remedy = "True where an entry may be nonzero"
        raise InvalidInputError("connections", f"of {letter} must be a mask of shape {own[letter].shape}", remedy)
    return sp.csr_array(mask != 0)


def _fits_forward(model: ImplicitModel) -> bool:
    """Whether "forward" is the default: there are no cycles, and not too many entries."""
    n, p, q = model.n_hidden, model.B.shape[1], model.C.shape[0]
    return model.structure().acyclic and (n + q) * (n + p) <= MOST_FORWARD


def _check_pairs(model: ImplicitModel) -> None:
    blocks = getattr(model.activation, "blocks", [(model.activation, model.n_hidden)])
    for function, _ in blocks:
        if not isinstance(function, Activation):
            cause = f"has no divergence for the function {function.name!r}, which has no Fenchel pair"
            raise InvalidInputError("matching", cause, 'Use matching="least-squares"')
