"""Derivatives of predictions by adjoint states: as many systems for a sample as there are outputs, not inputs.

By the implicit function theorem dy/du = D + C (I - S A)^-1 S B, with S = diag(phi'). Lambda = S (I - A^T S)^-1 C^T,
shape (n, q), solves Lambda = S (C^T + A^T Lambda), and dy/du = D + Lambda^T B. Stage by stage, from the last to the
first, that is a product where there is no cycle, and a system of a component's size where there is one.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.structure import Structure
from bcd_implicit.support.parts import parts


def input_jacobian(structure: Structure, slopes: np.ndarray, B: Matrix, C: Matrix, D: Matrix) -> np.ndarray:
    """D + C (I - S A)^-1 S B for each sample.

    Parameters
    ----------
    structure : Structure
        Of A.
    slopes : ndarray of shape (n, m)
        phi' at the equilibrium's preactivations.
    B, C, D : ndarray or sparse array
        Of the model.

    Returns
    -------
    ndarray of shape (m, q, p)
    """
    (n, m), q = slopes.shape, C.shape[0]
    jacobian, outputs = np.empty((m, q, B.shape[1])), dense(C).T
    for part in parts(m, n * q):
        S = slopes[:, part]
        adjoint = _adjoint_states(structure, S, outputs)
        # A sample's q adjoint states are columns side by side.
        jacobian[part] = np.moveaxis((B.T @ adjoint.reshape(n, -1)).reshape(-1, S.shape[1], q), 0, 2)
    jacobian += dense(D)
    return jacobian


def _adjoint_states(structure: Structure, slopes: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Lambda for each sample, shape (n, m, q), from slopes (n, m) and C^T (n, q)."""
    m = slopes.shape[1]
    # What is asked of each state so far: by the outputs, and by states of later stages.
    asked = np.repeat(outputs[:, None, :], m, axis=1)
    for stage in reversed(structure.stages):
        S, here = slopes[stage.states], asked[stage.states]
        here = S[:, :, None] * (here if stage.cycle is None else _solved(stage.cycle.A, S, here))
        asked[stage.states] = here
        if stage.before is not None:
            back = stage.before.rows.T @ here.reshape(len(here), -1)
            asked[stage.before.columns] += back.reshape(-1, m, here.shape[2])
    return asked


def _solved(A: np.ndarray, slopes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(I - A^T S)^-1 asked, sample by sample."""
    found = np.empty_like(asked)
    for part in parts(slopes.shape[1], len(A) ** 2):
        # Regular: |A^T S| <= |A|^T L entry by entry, and the spectral radius of L |A| is below 1.
        systems = np.eye(len(A)) - A.T * slopes[:, part].T[:, None, :]
        found[:, part] = np.moveaxis(np.linalg.solve(systems, np.moveaxis(asked[:, part], 1, 0)), 0, 1)
    return found
