"""How good a model is on samples, and how much of that is left where inputs are uncertain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import r2_score

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import targets_in_order
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness import certified_accuracy
from bcd_implicit.model.robustness.gains import sensitivity
from bcd_implicit.model.rounding import summation_error
from bcd_implicit.support.checks import check_matrix

#: What tables say of a model besides its gain, by whether targets are classes: how good it is as it stands, after
#: attacks, and by what is proved.
COLUMNS = {True: ("accuracy", "attacked", "certified"), False: ("R2", "attacked width", "certified width")}


def measured(
    model: ImplicitModel,
    U: ArrayLike,
    y: ArrayLike,
    radius: ArrayLike,
    *,
    classes: bool,
    margins: bool = False,
    n_cuts: int = 0,
) -> dict[str, float]:
    """What the table of a curve says of one model.

    Parameters
    ----------
    model : ImplicitModel
    U : array-like of shape (m, p)
    y : array-like
        Classes, of shape (m,), or targets of shape (m,) or (m, q).
    radius : float, or array-like of shape (p,) or (m, p)
    classes : bool
        Whether y has classes.
    margins : bool
        Whether differences of outputs are of interest.
    n_cuts : int
        Of the bounds, as for :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds`.

    Returns
    -------
    dict
        "gain", the largest row sum of ``model.sensitivity()``; with margins "gain of margins", the same of the
        differences of two outputs. Of classes "accuracy", "attacked" and "certified", the shares of samples that are
        right, right after ``model.attack``, and proved right. Of targets "R2", "attacked width" and "certified width",
        the mean ranges of predictions that attacks reach and that bounds allow.

    Raises
    ------
    InvalidInputError
        Samples, targets or a radius that do not fit.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    gains = {"gain": model.lipschitz("inf")}
    if margins:
        gains["gain of margins"] = margin_gain(model)
    if classes:
        found = certified_accuracy(model, U, y, radius, n_cuts=n_cuts)
        # Where the middle is right the attack was on the right class.
        after = certified_accuracy(model, model.attack(U, radius).inputs, y, 0.0, method="interval")
        attacked = float((found.correct & after.correct).mean())
        return {**gains, **dict(zip(COLUMNS[True], (found.accuracy, attacked, found.certified), strict=True))}
    predicted, targets = model.outputs(U), check_matrix("y", targets_in_order("y", y, model.output_names))
    if targets.shape != predicted.shape:
        cause = f"has shape {np.shape(y)}, {predicted.shape} needed"
        raise InvalidInputError("y", cause, "Give a target for each sample and output, or a class for each sample")
    ways = np.eye(len(model.d))
    reached = [
        model.attack(U, radius, towards=way).predictions[:, k] - model.attack(U, radius, towards=-way).predictions[:, k]
        for k, way in enumerate(ways)
    ]
    good = float(r2_score(targets, predicted, multioutput="variance_weighted"))
    proved = float(model.bounds(U, radius, n_cuts=n_cuts).width.mean())
    return {**gains, **dict(zip(COLUMNS[False], (good, float(np.mean(reached)), proved), strict=True))}


def margin_gain(model: ImplicitModel) -> float:
    """How much the difference of two outputs moves for each unit of the largest change of an input, at most.

    0 of a single output. States' functions have largest slopes, and the model is well-posed, or it has no gain either.
    """
    first, second = np.triu_indices(len(model.d), 1)
    C, D = (dense(matrix) for matrix in (model.C, model.D))
    rows = C[first] - C[second], D[first] - D[second]
    moved = sensitivity(model.structure(), model.activation.slopes(len(model.b)), *rows, model.B)
    return float(moved.sum(axis=1).max(initial=0.0) * (1 + summation_error(len(model.input_names) + 1)))
