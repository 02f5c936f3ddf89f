"""States in the units of their own gains: where a model that is trained without bounds meets that of the states."""

from __future__ import annotations

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem


def scaled_to_gain(problem: TrainingProblem, it: Iterate, gain: float = 1.0) -> Iterate:
    """An iterate that predicts the same and meets ``state_gain_bound(gain)``; as it is where there may be none.

    The states' own gains are ``g = (I - L |A|)^-1 L |B| 1``, so that ``L (|A_i| g + |B_i| 1) = g_i``. Dividing state i
    by ``g_i / gain`` makes all of them equal to one gain. That changes no prediction where ``phi(t z) = t phi(z)``.
    The norm bound is another matter: ``L ||A||_inf`` may come near 1.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
    gain : float > 0
    """
    activation = problem.activation
    if not activation.positively_homogeneous:
        return it
    slopes = activation.slopes(problem.n_hidden)
    M = np.eye(problem.n_hidden) - slopes[:, None] * np.abs(it.A)
    gains = np.linalg.solve(M, slopes * np.abs(it.B).sum(axis=1))
    # Where only a matrix measure says that the model is well-posed, |A| may have no such gains.
    if not np.isfinite(gains).all() or (gains < 0).any():
        return it
    # A state that no input moves keeps its unit.
    unit = np.where(gains > 0, gains / gain, 1.0)
    return it.replace(
        A=it.A * unit / unit[:, None],
        B=it.B / unit[:, None],
        b=it.b / unit,
        X=it.X / unit[:, None],
        C=it.C * unit,
    )
