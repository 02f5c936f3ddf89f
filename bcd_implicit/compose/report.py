"""The effect of pruning on a model, state by state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.compose.checks import check_model
from bcd_implicit.model import pruning as states
from bcd_implicit.model.implicit_model import ImplicitModel


@dataclass(frozen=True)
class Pruning:
    """The result of ``model.pruned()``, with the reasons.

    Attributes
    ----------
    model : ImplicitModel
        The pruned model.
    kept : ndarray of int
        Indices, in the original model, of the states that are kept.
    constant : ndarray of int
        States that depend on no input and no cycle; they are now part of b and d.
    dead : ndarray of int
        States that no output depends on.
    twins : dict of int to int
        States that equal a kept state, mapped to it.
    """

    model: ImplicitModel
    kept: np.ndarray
    constant: np.ndarray
    dead: np.ndarray
    twins: dict[int, int]

    def __repr__(self) -> str:
        n = len(self.kept) + len(self.constant) + len(self.dead) + len(self.twins)
        return (
            f"Pruning({len(self.kept)} of {n} states kept; {len(self.constant)} constant, {len(self.dead)} dead, "
            f"{len(self.twins)} equal to another)"
        )


def pruning(model: ImplicitModel) -> Pruning:
    """The pruned model, and why each state was removed: see :meth:`~bcd_implicit.model.operators.Operators.pruned`.

    Raises
    ------
    NotWellPosedError
        The model has no certified equilibrium.
    """
    check_model("model", model).structure().check()
    system, fates = states.pruned(model._system)
    n = len(fates.kept_as)
    twins = {i: int(fates.kept_as[i]) for i in range(n) if fates.kept_as[i] not in (-1, i)}
    constant, dead = np.flatnonzero(fates.constant), np.flatnonzero(fates.dead)
    return Pruning(ImplicitModel._of(system), fates.kept, constant, dead, twins)
