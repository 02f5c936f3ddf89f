"""How many samples a classifier keeps right for all inputs in their boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.model.inputs import PASS_A_MODEL, inputs_of
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness.backward import ROUNDS
from bcd_implicit.model.robustness.bounds import check_options, largest, n_cuts_of
from bcd_implicit.model.robustness.box import Box, Rows, Tasks
from bcd_implicit.model.robustness.labels import classes_of
from bcd_implicit.model.robustness.robustness import Robustness
from bcd_implicit.support.display import facts_table
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.notices import told_once
from bcd_implicit.support.parts import LARGEST_KEPT, parts


@dataclass(frozen=True)
class CertifiedAccuracy:
    """The share of samples whose class is proved correct on the whole box.

    Attributes
    ----------
    accuracy : float
        The share of samples that are classified correctly at the centre of their box.
    certified : float
        The share of samples that are proved correct on the whole box.
    margins : ndarray of shape (m,)
        Lower bound, over the whole box, on how far the output of the correct class is above all others.
    correct, proved : ndarray of shape (m,)
        Which samples are correct, and which are proved: bool.
    """

    accuracy: float
    certified: float
    margins: np.ndarray = field(repr=False)
    correct: np.ndarray = field(repr=False)
    proved: np.ndarray = field(repr=False)

    def _repr_html_(self) -> str:
        facts = {
            "samples": f"{len(self.proved)}",
            "accuracy": f"{self.accuracy:.4g}",
            "certified accuracy": f"{self.certified:.4g}",
        }
        return facts_table("Certified accuracy", facts)


@told_once()
def certified_accuracy(
    model: Robustness,
    U: ArrayLike,
    y: ArrayLike,
    radius: ArrayLike,
    *,
    method: str = "backward",
    rounds: int = ROUNDS,
    n_cuts: int | None = None,
    norm: str | float = "inf",
) -> CertifiedAccuracy:
    """The share of samples for which a classifier is proved correct for all inputs within a radius.

    The margins ``y_k - y_j`` of the correct class k are bounded directly. Separate bounds on two outputs would be
    wider, because they assume that both outputs can be worst at the same input.

    Parameters
    ----------
    model : ImplicitModel
        A model with one output per class, the largest of which is predicted, or with one output that is positive for
        class 1.
    U, radius, rounds, n_cuts, norm
        As for :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds`.
    y : array-like of shape (m,)
        Classes, by names of outputs or numbers from 0. With one output: 1 and 0, or its name and one other name.
        Ambiguous numbers (classes called 1, 2 and 3, for example) are refused: give these as text.
    method : {"backward", "dual", "perron-frobenius", "interval", "lp", "sdp", "exact"}
        How margins are bounded.

    Returns
    -------
    CertifiedAccuracy

    Raises
    ------
    InvalidInputError
        No model, or one of a single output that is no log odds; inputs, classes or a radius that do not fit.
    NotWellPosedError
        The model has no certified equilibrium.
    """
    if not isinstance(model, Robustness):
        raise InvalidInputError("model", f"must be an ImplicitModel, got {shown(model)}", PASS_A_MODEL)
    inputs, several = inputs_of(model, U), len(model.d) > 1
    box = Box.around(inputs, radius, norm, model.input_names)
    options = check_options(method, rounds, n_cuts, euclidean=box.euclidean)
    if not several and model.link != "logit":
        cause = "has one output, which is not log odds, so there are no classes"
        raise InvalidInputError("model", cause, "Pass a classifier, or use model.bounds")
    classes = classes_of(y, model.output_names, len(inputs))
    system, n = model._bounded, len(model.b)
    with finishing():
        predicted = model.outputs(inputs)
        right = classes == (predicted.argmax(axis=1) if several else predicted[:, 0] > 0)
        margins = np.empty(len(inputs))
        # What proves the margins is not kept: of a large model that of few samples fills the memory.
        kept = n * (2 * n + 2 ** n_cuts_of(system, options) * max(len(model.d) - 1, 1))
        for part in parts(len(inputs), kept, numbers=LARGEST_KEPT):
            tasks = margin_tasks(model.C, model.D, model.d, classes[part])
            found, _ = largest(system, box.take(part), tasks, method, options)
            margins[part] = -found.reshape(len(classes[part]), -1).max(axis=1)
    proved = margins > 0
    return CertifiedAccuracy(float(right.mean()), float(proved.mean()), margins, right, proved)


def margin_tasks(C: Any, D: Any, d: np.ndarray, classes: np.ndarray) -> Tasks:
    """The negative of what the right output is above each other one; of one output, above 0, or below for class 0."""
    C, D, q = dense(C), dense(D), len(d)
    m = len(classes)
    if q == 1:
        return Tasks(Rows(C, D, d), np.zeros(m, dtype=int), np.where(classes == 1, -1.0, 1.0), np.arange(m))
    first, second = (pair[~np.eye(q, dtype=bool)] for pair in np.indices((q, q)))
    rows = Rows(C[first] - C[second], D[first] - D[second], d[first] - d[second])
    row = np.concatenate([np.flatnonzero(first == k) for k in classes.tolist()])
    return Tasks(rows, row, np.full(len(row), -1.0), np.repeat(np.arange(m), q - 1))
