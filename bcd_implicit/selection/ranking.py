"""The inputs in order, the most important first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.support.checks import check_number


def ranking(path: PathRecord, frequencies: np.ndarray | None = None, kappa: float | None = None) -> pd.DataFrame:
    """The inputs by where on the path they leave; :meth:`bcd_implicit.PathResult.ranking` says what the columns are.

    Parameters
    ----------
    path : PathRecord
    frequencies : ndarray of shape (n_kappas, p), optional
        Those of the inputs among subsamples, kappa by kappa.
    kappa : float, optional
        Where frequencies are taken.
    """
    order, norms = path.order()
    table = pd.DataFrame(
        {
            "input": [path.problem.input_names[j] for j in order],
            "leaves_at": path.leaves_at[order],
            "norm": norms[order],
        }
    )
    if frequencies is not None:
        sizes = path.supports.sum(axis=1)
        # Near the ends most inputs are in, or hardly any: frequencies there tell little apart.
        place = int(np.abs(sizes - sizes.max() / 2).argmin())
        if kappa is not None:
            place = int(np.abs(path.kappas - kappa).argmin())
        table["frequency"] = frequencies[place][order]
    return table


def check_kappa(kappa: float | None) -> float | None:
    """Return where frequencies are to be taken, or raise an InvalidInputError that names it."""
    remedy = "Give one of the path, or another of 0 or more"
    return None if kappa is None else check_number("kappa", kappa, 0, remedy=remedy)
