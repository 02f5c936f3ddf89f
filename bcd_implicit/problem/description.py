"""A training problem in words: one line for a terminal, a formula and a table for a notebook."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from bcd_implicit.problem.formula import true, weighted
from bcd_implicit.problem.spreads import STANDARDISED
from bcd_implicit.support.display import facts_table, names_of
from bcd_implicit.support.formulas import displayed


# Any: the module of TrainingProblem imports this one.
def in_one_line(problem: Any) -> str:
    """The sizes and settings of a TrainingProblem, for its ``repr``."""
    counted = " (weighted)" if weighted(problem) else ""
    groups = _groups_in_words(problem)
    return (
        f"TrainingProblem(n_samples={problem.n_samples}{counted}, n_inputs={problem.n_inputs}, "
        f"n_outputs={problem.n_outputs}, n_hidden={problem.n_hidden}, activation={problem.activation.name!r}, "
        f"loss={_loss_in_words(problem)!r}, norm_bound={_norm_bound_in_words(problem)}, kappa={problem.kappa:g} "
        f"({problem.group_form}), {groups + ', ' if groups else ''}"
        f"fenchel_weight={_fenchel_weight_in_words(problem)}, "
        f"ridge={problem.ridge:g}, ridge_hidden={problem.ridge_hidden:g}, "
        f"{f'kappa_A={_weights_of_A_in_words(problem)}, ' if problem.row_set.weights is not None else ''}"
        f"fit_intercept={problem.fit_intercept}, pass_through={problem.pass_through}, "
        f"constraints={list(problem.constraints)}{f', pattern={problem.pattern}' if problem.pattern else ''}"
        f"{', standardize=True' if problem.scaling is not None else ''})"
    )


def as_html(problem: Any) -> str:
    """The formula and a table, for notebooks: Jupyter shows HTML rather than LaTeX, and MathJax sets it inside."""
    # The class is where MathJax looks in pages of Sphinx.
    return f'<div class="math">{escape(displayed(true(problem).latex()))}</div>\n{as_table(problem)}'


def as_table(problem: Any) -> str:
    """The sizes and settings as a table of HTML."""
    role = "weight" if problem.group_form == "penalty" else "bound"
    groups = _groups_in_words(problem) or "each input by itself"
    facts = {
        "samples": problem.n_samples,
        "inputs": names_of(problem.input_names),
        "outputs": names_of(problem.output_names),
        "hidden features": f"{problem.n_hidden}, {problem.activation.name}",
        "loss": _loss_in_words(problem),
        problem.row_set.symbol: problem.row_set.in_words,
        "group lasso": f"kappa = {problem.kappa:g}, a {role}; {groups}",
        "ridge": f"{problem.ridge:g} on C and D, {problem.ridge_hidden:g} on A and B",
        "fenchel_weight": _fenchel_weight_in_words(problem),
        "intercepts b and d": "free" if problem.fit_intercept else "fixed at 0",
        "pass-through D": "free" if problem.pass_through else "fixed at 0",
        "your own constraints": names_of(list(problem.constraints)) if problem.constraints else "none",
    }
    if problem.row_set.weights is not None:
        facts["penalty of A"] = f"{_weights_of_A_in_words(problem)} times the size of each entry"
    if problem.scaling is not None:
        facts["units"] = STANDARDISED
    if problem.pattern:
        facts["pattern"] = str(problem.pattern)
    return facts_table("TrainingProblem", facts)


def _loss_in_words(problem: Any) -> str:
    loss = problem.loss
    return " ".join([loss.name, *(f"{name} {value:g}" for name, value in loss.parameters.items())])


def _norm_bound_in_words(problem: Any) -> str:
    inside = problem.row_set.inside
    where = "" if inside is None else " (inside cycles)" if inside.any() else " (no cycles: without effect)"
    kind = "" if problem.well_posedness == "inf-norm" else f", well_posedness={problem.well_posedness!r}"
    return f"{problem.norm_bound:g}{where}{kind}"


def _fenchel_weight_in_words(problem: Any) -> str:
    return _range_in_words(problem.fenchel_weights)


def _weights_of_A_in_words(problem: Any) -> str:
    return _range_in_words(np.asarray(problem.kappa_A))


def _range_in_words(numbers: np.ndarray) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _groups_in_words(problem: Any) -> str:
    if problem.group_lasso.groups.alone and problem.group_norm == "2" and not problem.stacked:
        return ""
    return f"groups={len(problem.group_weights)}, group_norm={problem.group_norm}, group_over={problem.group_over!r}"
