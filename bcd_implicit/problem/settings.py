"""What the settings of a training problem may be, each by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.support.arrays import WEIGHTS
from bcd_implicit.support.checks import check_flag, check_matrix, check_number
from bcd_implicit.terms.activations import get_activation
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.terms.losses import get_loss
from bcd_implicit.terms.penalties import GROUP_FORMS
from bcd_implicit.terms.row_sets import WELL_POSEDNESS

# Least and largest number, which of these ends belong to the range, and what to do about others.
RANGES = {
    # 0 is a model without feedback; 1 would leave no contraction.
    "norm_bound": (0, 1, "left", "Choose it in [0, 1): below 1 is well-posed"),
    **dict.fromkeys(("kappa", "ridge", "ridge_hidden"), (0, None, "both", "Choose 0 or more")),
}
FLAGS = ("fit_intercept", "pass_through")
SETTINGS = (
    *("n_hidden", "activation", "loss", *RANGES, "fenchel_weight", *FLAGS, "constraints", "pattern", "well_posedness"),
    *("kappa_A", "groups", "group_form", "group_weights", "group_norm", "group_over"),
)


def check_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that can be checked one by one, in the form that the package uses.

    Raises
    ------
    InvalidInputError
        A setting out of its range, named.
    """
    checked: dict[str, Any] = {
        "activation": get_activation(given["activation"]),
        "loss": get_loss(given["loss"]),
        "n_hidden": check_number(
            "n_hidden", given["n_hidden"], 1, integer=True, remedy="Give 1 or more hidden features"
        ),
    }
    for name in FLAGS:
        checked[name] = check_flag(name, given[name])
    for name, (low, high, boundaries, remedy) in RANGES.items():
        checked[name] = check_number(name, given[name], low, high, boundaries=boundaries, remedy=remedy)
    checked["fenchel_weight"] = _check_fenchel_weight(given["fenchel_weight"], checked["n_hidden"])
    checked["kappa_A"] = _check_kappa_A(given["kappa_A"], checked["n_hidden"])
    # 2 and "2", inf and "inf"; True is no norm
    norm = given["group_norm"]
    norm = f"{norm:g}" if isinstance(norm, Real) and not isinstance(norm, bool) else norm
    checked["well_posedness"] = check_choice("well_posedness", given["well_posedness"], WELL_POSEDNESS, "condition")
    checked["group_form"] = check_choice("group_form", given["group_form"], GROUP_FORMS, "form")
    checked["group_norm"] = check_choice("group_norm", norm, GROUP_NORMS, "norm")
    checked["group_over"] = check_choice("group_over", given["group_over"], ("B", "BD"), "choice")
    return checked


def _check_fenchel_weight(weight: Any, n_hidden: int) -> Any:
    """A positive number, or an array of one for each hidden feature."""
    # 0 would leave the hidden block without data, and the state block divides by it.
    remedy = f"Choose a positive weight, or a list of {n_hidden}, one for each hidden feature"
    if np.ndim(weight) == 0:
        return check_number("fenchel_weight", weight, 0, boundaries="neither", remedy=remedy)
    if np.shape(weight) != (n_hidden,):
        raise InvalidInputError("fenchel_weight", f"has shape {np.shape(weight)}, ({n_hidden},) needed", remedy)
    return np.array(
        [check_number("fenchel_weight", each, 0, boundaries="neither", remedy=remedy) for each in np.asarray(weight)]
    )


def _check_kappa_A(weight: Any, n_hidden: int) -> Any:
    """A number of 0 or more, or an array of one for each entry of A."""
    remedy = f"Choose 0 or more for each entry of A, of shape ({n_hidden}, {n_hidden}), or one number for all"
    if np.ndim(weight) == 0:
        return check_number("kappa_A", weight, 0, remedy="Choose 0 or more")
    weights = check_matrix("kappa_A", weight, advice=WEIGHTS)
    if weights.shape != (n_hidden, n_hidden):
        raise InvalidInputError("kappa_A", f"has shape {weights.shape}, ({n_hidden}, {n_hidden}) needed", remedy)
    if weights.min() < 0:
        raise InvalidInputError("kappa_A", f"has a negative weight, {weights.min():g}", remedy)
    return weights


def check_replaceable(names: Iterable[str]) -> None:
    """Raise an error that names the first of the names that is no setting: data come with a new problem.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if unknown := set(names) - set(SETTINGS):
        # The least of the names, not the first of a set: the message is the same in every run.
        known = ", ".join(sorted(SETTINGS))
        raise InvalidInputError(min(unknown), "cannot be replaced", f"Use one of {known}, or build a new problem")
