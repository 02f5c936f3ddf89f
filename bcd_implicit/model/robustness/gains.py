"""How much each input can move each row of states and inputs, whatever the input: the Perron-Frobenius bound.

Two equilibria of inputs u and u' have ``|x - x'| <= N L |B| |u - u'|``, with N = (I - G)^-1 and G the gains ``L |A|``,
L the diagonal matrix of the functions' largest slopes; where the model is well-posed by its matrix measure alone, G has
negative entries on its diagonal (El Ghaoui et al., arXiv 1908.06315, section 4; Jafarpour et al., arXiv 2106.03194).
Rows R of states move by ``T L |B| |du|``, T = ``|R| N`` at most. Any T with ``T (I - G) >= |R|`` will do, since N has
no negative entries: that is how rounding is met, and how anyone can check it.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import well_posedness
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.robustness.intervals import SPARE
from bcd_implicit.model.rounding import EPS, summation_error
from bcd_implicit.model.structure import Structure

REMEDY = 'Use method="interval", or "backward"'


def check_lipschitz(structure: Structure, slopes: np.ndarray, name: str = "model", remedy: str = REMEDY) -> None:
    """Raise an error where a gain is not finite.

    Raises
    ------
    InvalidInputError
        A state's function has no Lipschitz constant.
    NotWellPosedError
        There need not be an equilibrium.
    """
    structure.check()
    if not np.isfinite(slopes).all():
        cause = "has states whose function has no Lipschitz constant, so that no gain bounds its outputs"
        raise InvalidInputError(name, cause, remedy)


def sensitivity(structure: Structure, slopes: np.ndarray, C: Matrix, D: Matrix, B: Matrix) -> np.ndarray:
    """``|D| + |C| N L |B|``, rounded up: how much each input moves each row of (C, D), at most; shape (k, p)."""
    through, direct = gains_to_rows(structure, slopes, C, B)[1], np.abs(dense(D))
    # Rounded up, where there is something to round.
    return np.asarray((through + direct) * np.where((through > 0) & (direct > 0), 1 + 2 * EPS, 1.0))


def gains_to_rows(structure: Structure, slopes: np.ndarray, R: Matrix, B: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """T with ``T (I - G) >= |R|``, shape (k, n), and ``T L |B|``, shape (k, p); rounded up.

    Parameters
    ----------
    structure : Structure
        Well-posed.
    slopes : ndarray of shape (n,)
        The largest slope of each state's function, finite.
    R : ndarray or sparse array of shape (k, n)
    B : ndarray or sparse array of shape (n, p)
    """
    T = np.abs(dense(R)).T.copy()
    for stage in reversed(structure.stages):
        here = T[stage.states]
        if stage.cycle is not None:
            T[stage.states] = here = well_posedness.inverse_bound(stage.cycle.gains.T, here)
        if stage.before is not None:
            rows = np.abs(stage.before.rows).T
            share = SPARE * summation_error(rows.shape[1])
            more, known = rows @ (slopes[stage.states, None] * here), T[stage.before.columns]
            # Not all of them: between these columns there may be some of later stages, which are done.
            T[stage.before.columns] = np.where(more > 0, (known + more) * (1 + share), known)
    through = np.asarray(np.abs(B).T @ (slopes[:, None] * T)) * (1 + SPARE * summation_error(len(T)))
    return T.T, through.T
