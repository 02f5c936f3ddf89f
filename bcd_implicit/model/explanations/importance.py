"""Which inputs a model needs, by several measures side by side.

All are in standard deviations: of the inputs at the samples given, and of the predictions there. Units do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from bcd_implicit.model.derivatives import Derivatives
from bcd_implicit.model.inputs import used_inputs
from bcd_implicit.model.matrices import dense
from bcd_implicit.support.display import facts_and_table
from bcd_implicit.support.parts import parts
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.loss import Loss
from bcd_implicit.terms.losses import LOSSES

#: What columns of the table mean, by name; where inputs are in groups, all of a group together.
MEASURES = {
    "sensitivity": "how far the input can move predictions at most, anywhere",
    "slope": "how far predictions move with the input, at the samples: mean absolute derivative",
    "permutation": "the share of R2 or D2 that is lost when the input's values are shuffled among the samples",
    "norm_B": "length of the input's column of B: what reaches the states",
    "norm_D": "length of the input's column of D: what reaches the outputs directly",
}


@dataclass(frozen=True, eq=False, repr=False)
class Importance:
    """Measures of g inputs or groups of inputs, all of them in standard deviations.

    Attributes
    ----------
    names : list of str
    measures : dict of str to ndarray of shape (g,)
        By the names in ``MEASURES``. The sensitivity is NaN where the model has no bound for all inputs.
    permutation_std : ndarray of shape (g,)
        The standard deviation of the permutation importance over its repeats.
    score : float
        The R2 or D2 of which permutations take a share away; 1 where no targets were given.
    """

    names: list[str]
    measures: dict[str, np.ndarray]
    permutation_std: np.ndarray = field(repr=False)
    score: float

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """The rank of each input by each measure, 1 for the largest, equal ones alike: a row each, in their order."""
        measures = pd.DataFrame(self.measures, index=pd.Index(self.names, name="input"))
        return measures.rank(ascending=False, method="min")

    @property
    def order(self) -> np.ndarray:
        """The inputs by permutation importance, the largest first, (g,)."""
        return np.argsort(-self.measures["permutation"], kind="stable")

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each input: its measures, then its ranks by them; the largest permutation importance first."""
        measures = pd.DataFrame(self.measures, index=self.ranks.index)
        measures.insert(3, "permutation_std", self.permutation_std)
        ranks = self.ranks.add_prefix("rank_").convert_dtypes()
        return measures.join(ranks).iloc[self.order].reset_index()

    def __str__(self) -> str:
        ranks = self.ranks.iloc[self.order]
        return "rank of each input, 1 for the largest:\n" + ranks.to_string(float_format="{:.0f}".format)

    def __repr__(self) -> str:
        return f"Importance({len(self.names)} inputs or groups, score={self.score:.4g})"

    def _repr_html_(self) -> str:
        facts = MEASURES | {"score": f"{self.score:.4g}"}
        return facts_and_table("Importance", facts, self.table)


def measured(
    model: Derivatives,
    U: np.ndarray,
    targets: np.ndarray | None,
    loss: Loss,
    groups: Groups,
    n_repeats: int,
    rng: np.random.Generator,
) -> Importance:
    """All measures of a model at samples U (m, p) with targets (m, q), or without."""
    prediction = model.outputs(U)
    spread, unit = U.std(axis=0), _units(prediction)
    if targets is None:
        loss, targets = LOSSES["squared"], prediction
    # Outputs whose targets may be in any units count alike.
    scale = _units(targets) if loss.free_targets else np.ones(targets.shape[1])
    drops, score = _permuted(model, U, targets, loss, scale, groups, n_repeats, rng)
    S = _sensitivities(model)
    slopes = np.zeros(U.shape[1])
    for part in parts(len(U), len(unit) * U.shape[1] + len(model.b) ** 2):
        slopes += np.einsum("kqp,q->p", np.abs(model.jacobian(U[part])), 1 / unit) / len(U)
    measures = {
        "sensitivity": groups.sums((S / unit[:, None]).mean(axis=0) * spread),
        "slope": groups.sums(slopes * spread / len(unit)),
        "permutation": drops.mean(axis=0),
        "norm_B": _lengths(dense(model.B) * spread, groups),
        "norm_D": _lengths(dense(model.D) / unit[:, None] * spread, groups),
    }
    return Importance(groups.names, measures, drops.std(axis=0), score)


def _units(outputs: np.ndarray) -> np.ndarray:
    """The standard deviation of each output, (q,); 1 where they do not vary."""
    spread = outputs.std(axis=0)
    return np.asarray(np.where(spread > 0, spread, 1.0))


def _sensitivities(model: Derivatives) -> np.ndarray:
    """How far each input can move each output anywhere, (q, p); NaN where nothing bounds it."""
    if np.isfinite(model.activation.slopes(len(model.b))).all():
        return model.sensitivity().to_numpy()
    return np.full(model.D.shape, np.nan)


def _lengths(matrix: np.ndarray, groups: Groups) -> np.ndarray:
    """The length of each group's columns, (g,)."""
    return np.asarray(np.sqrt(groups.sums((matrix**2).sum(axis=0))))


def _permuted(
    model: Derivatives,
    U: np.ndarray,
    targets: np.ndarray,
    loss: Loss,
    scale: np.ndarray,
    groups: Groups,
    n_repeats: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    """What each shuffle takes off the score, (n_repeats, g), and the score (Breiman, *Machine Learning* 2001)."""
    m = len(U)
    shares, Y = np.full(m, 1 / m), (targets / scale).T

    def score(inputs: np.ndarray) -> float:
        return loss.d2((model.outputs(inputs) / scale).T, Y, shares)

    # The same orders for all inputs, so that inputs are compared and not orders.
    orders = [rng.permutation(m) for _ in range(n_repeats)]
    best, drops, used = score(U), np.zeros((n_repeats, len(groups.names))), used_inputs(model)
    for g, members in enumerate(groups.members):
        if not used[members].any():
            continue
        for r, order in enumerate(orders):
            shuffled = U.copy()
            shuffled[:, members] = U[order][:, members]
            drops[r, g] = best - score(shuffled)
    return drops, best
