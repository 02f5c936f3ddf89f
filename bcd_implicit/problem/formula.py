r"""A training problem as a formula: the same terms as in :class:`~bcd_implicit.TrainingProblem`, each with its name.

Losses, activations, norms, row sets and ready-made constraints know their own formulas (``latex``); here they are put
together. A term is there if it is part of the objective: a weight of 0 has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from bcd_implicit.constraints.ready_made import ReadyMade
from bcd_implicit.constraints.user import BlockVariables, OnInputs, UserTerms, user_terms
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.display import listed
from bcd_implicit.support.formulas import Formula, Part, Shown, number, numbers, written

LETTERS = ("A", "B", "b", "C", "D", "d")
# Longer texts of CVXPY's are no help.
LONGEST_TEXT = 60


# Any: the module of TrainingProblem imports this one.
def true(problem: Any, shown: Shown = numbers) -> Formula:
    """The true problem (T).

    Parameters
    ----------
    problem : TrainingProblem
    shown : callable
        What stands for a setting, given its name and its value: its number by default.
    """
    terms, constraints = _parts(problem, shown)
    equation = rf"x_k = \phi({_preactivation(problem)}) \text{{ for }} k = 1, \dots, {problem.n_samples}"
    equilibrium = Part("equilibrium", equation, frozenset("AB") | _intercept(problem, "b"))
    return Formula(_free(problem), terms, [equilibrium, *constraints], _definitions(problem, shown))


def relaxed(problem: Any, shown: Shown = numbers) -> Formula:
    """The relaxed problem (F): the Fenchel term instead of the equilibrium. Its variables include the states X."""
    terms, constraints = _parts(problem, shown)
    terms.append(_fenchel_term(problem, shown))
    return Formula([*_free(problem), "X"], terms, constraints, _definitions(problem, shown))


def mean(problem: Any) -> str:
    """The mean over samples k."""
    m = problem.n_samples
    # Equal weights over their sum are equal to the last digit.
    return rf"\frac{{1}}{{{m}}} \sum_{{k=1}}^{{{m}}}" if not weighted(problem) else rf"\sum_{{k=1}}^{{{m}}} \omega_k"


def weighted(problem: Any) -> bool:
    """Whether samples count differently."""
    return bool(np.ptp(problem.shares) > 0)


def _free(problem: Any) -> list[str]:
    return [letter for letter in LETTERS if letter not in held_at_zero(problem)]


def held_at_zero(problem: Any) -> dict[str, str]:
    """The letters that a setting holds at zero, and the setting in words."""
    D = {} if problem.pass_through else {"D": "pass_through=False"}
    return D if problem.fit_intercept else D | dict.fromkeys("bd", "fit_intercept=False")


def _intercept(problem: Any, letter: str) -> frozenset[str]:
    return frozenset(letter if problem.fit_intercept else "")


def _preactivation(problem: Any) -> str:
    return "A x_k + B u_k" + (" + b" if problem.fit_intercept else "")


def _definitions(problem: Any, shown: Shown) -> dict[str, str]:
    prediction = "C x_k" + (" + D u_k" if problem.pass_through else "") + (" + d" if problem.fit_intercept else "")
    pair = r"F(x, z) = g(x) + g^{\star}(z) - x z \text{ with } (g^{\star})' = \phi"
    largest = float(problem.fenchel_weights.max())
    scale = 1.0 if shown("fenchel_weight", largest) == number(largest) else largest
    return {
        r"\omega_k": rf"\omega_k = w_k / \sum_l w_l\text{{,}} {_range(problem.shares)}",
        r"w_g ": f"w_g {_range(problem.group_lasso.groups.weights)}",
        r"w_j ": f"w_j {_range(problem.group_lasso.groups.weights)}",
        r"\kappa_{A,ij}": rf"\kappa_{{A,ij}} {_range(np.asarray(problem.kappa_A))}",
        r"\lambda_i": rf"\lambda_i {_range(problem.fenchel_weights / scale)}",
        r"f_k": f"f_k = {prediction}",
        r"\ell(": rf"\ell(f, y) = {problem.loss.formula(shown)}",
        r"z_{ik}": rf"z_k = {_preactivation(problem)}",
        r"F(": rf"{pair}, \text{{ zero where }} x = \phi(z)",
        r"\phi(": rf"\phi(z) = {problem.activation.latex}",
    }


def _range(values: np.ndarray) -> str:
    least, most = number(values.min()), number(values.max())
    return f"= {least}" if least == most else rf"\text{{ from }} {least} \text{{ to }} {most}"


def _parts(problem: Any, shown: Shown) -> tuple[list[Part], list[Part]]:
    """Terms and constraints of all but the states."""
    outputs = frozenset("CX") | _intercept(problem, "d") | frozenset("D" if problem.pass_through else "")
    loss = Part("loss", rf"{mean(problem)} \ell(f_k, y_k)", outputs, problem.loss.name)
    terms, constraints = [loss], []
    sets, lasso = problem.row_set, _lasso(problem, shown)
    if problem.group_form == "constraint":
        constraints.append(lasso)
    elif not _absent(lasso.latex):
        terms.append(lasso)
    terms += _ridges(problem, shown)
    weight = "" if np.ndim(problem.kappa_A) else shown("kappa_A", float(problem.kappa_A))
    if sets.weights is not None or weight not in ("", "0"):
        penalised = sets if sets.weights is not None else sets.penalised(1.0, problem.n_hidden)
        one = weight or (shown("kappa_A", float(penalised.weights.max())) if penalised.one_weight else "")
        terms.append(Part("kappa_A", penalised.latex_penalty(one), frozenset("A"), _penalised_in_words(penalised)))
    if bound := sets.latex(_radius(problem, shown)):
        slope = problem.activation.max_slope
        words = [] if slope == 1 else [f"{problem.norm_bound:g} over the largest slope of phi, {slope:g}"]
        words += [] if sets.inside is None else ["of the entries inside cycles only"]
        constraints.insert(0, Part("norm_bound", bound, frozenset("A"), ", ".join(words)))
    for letter, mask in problem.pattern.free.items():
        formula = rf"{letter}_{{ij}} = 0 \text{{ for {(~mask).sum()} of {mask.size} entries}}"
        constraints.append(Part(f"pattern of {letter}", formula, frozenset(letter)))
    user = _user_parts(problem, shown)
    return terms + user[0], constraints + user[1]


def _absent(latex: str) -> bool:
    return latex.startswith("0 ")


def _lasso(problem: Any, shown: Shown) -> Part:
    lasso, groups, kappa = problem.group_lasso, problem.group_lasso.groups, shown("kappa", problem.kappa)
    total = lasso.latex("(B; D)" if problem.stacked else "B")
    formula = rf"{kappa} {total}" if problem.group_form == "penalty" else rf"{total} \le {kappa}"
    told = [] if groups.alone else [f"{len(groups.weights)} groups of inputs"]
    if not groups.weights.all():
        always = [name for name, weight in zip(groups.names, groups.weights, strict=True) if weight == 0]
        told.append(f"not penalised: {listed(always)}")
    return Part("group_lasso", formula, frozenset("BD" if problem.stacked else "B"), ", ".join(told))


def _ridges(problem: Any, shown: Shown) -> list[Part]:
    outputs = "CD" if problem.pass_through else "C"
    made = []
    for name, letters in (("ridge", outputs), ("ridge_hidden", "AB")):
        weight = shown(name, getattr(problem, name))
        squares = " + ".join(rf"\|{letter}\|_F^2" for letter in letters)
        if weight != "0":
            formula = rf"\frac{{{weight}}}{{2}} {squares if len(letters) == 1 else f'({squares})'}"
            made.append(Part(name, formula, frozenset(letters)))
    return made


def _penalised_in_words(sets: Any) -> str:
    weights = sets.weights
    return "" if (weights > 0).all() else f"{(weights > 0).sum()} of {weights.size} entries are penalised"


def _radius(problem: Any, shown: Shown) -> str:
    nu, slope = shown("norm_bound", problem.norm_bound), problem.activation.max_slope
    return (
        number(problem.row_set.radius) if nu == number(problem.norm_bound) else nu if slope == 1 else f"{nu}/{slope:g}"
    )


def _fenchel_term(problem: Any, shown: Shown) -> Part:
    weights = problem.fenchel_weights
    weight, own = shown("fenchel_weight", float(weights.max())), np.ptp(weights) > 0
    # Those of the features are numbers, or multiples of one parameter.
    factor = "" if weight == "1" or (own and weight == number(float(weights.max()))) else rf"{weight} \cdot "
    each = r"\lambda_i " if own else ""
    formula = rf"{factor}{mean(problem)} \sum_{{i=1}}^{{{problem.n_hidden}}} {each}F(x_{{ik}}, z_{{ik}})"
    return Part("fenchel_weight", formula, frozenset("ABX") | _intercept(problem, "b"))


def _user_parts(problem: Any, shown: Shown) -> tuple[list[Part], list[Part]]:
    """The user's penalties and constraints."""
    penalties, constraints = [], []
    for letters in problem.block_letters if problem.constraints else ():
        v = BlockVariables({k: cp.Variable(problem.shapes[k], name=k) for k in letters})
        made = user_terms(problem.constraints, v)
        for name in problem.constraints:
            if name in made.penalties:
                penalties.append(_user_part(problem, name, [made.penalties[name]], shown))
            if name in made.constraints:
                constraints.append(_user_part(problem, name, made.constraints[name], shown))
    return penalties, constraints


def _user_part(problem: Any, name: str, terms: Sequence[Any], shown: Shown) -> Part:
    function = problem.constraints[name]
    letters = UserTerms({}, {str(i): term for i, term in enumerate(terms)}).letters
    ready_made = isinstance(function, (ReadyMade, OnInputs))
    if known := function.formula(partial(_shown_under, shown, name)) if ready_made else "":
        return Part(name, known, frozenset(letters))
    listed_letters = ", ".join(letter for letter in LETTERS if letter in letters)
    if isinstance(terms[0], cp.Expression):
        latex = f"{written(name)}({listed_letters})"
    else:
        point = f"({listed_letters})" if len(letters) > 1 else listed_letters
        latex = rf"{point} \in {written(name)}"
    return Part(name, latex, frozenset(letters), _in_words(function, terms))


def _shown_under(shown: Shown, name: str, argument: str, value: float) -> str:
    return shown(f"{name}.{argument}", value)


def _in_words(function: Any, terms: Sequence[Any]) -> str:
    """The first line of the function's docstring, or what CVXPY says where it is short."""
    said = (getattr(function, "__doc__", None) or "").strip().splitlines()
    # Of other callables it is their class's.
    if said and getattr(function, "__name__", None):
        return said[0].rstrip(".")
    texts = [str(term) for term in terms]
    if all(len(text) <= LONGEST_TEXT and "\n" not in text for text in texts):
        return "; ".join(texts)
    return f"{len(terms)} CVXPY terms" if len(terms) > 1 else "a CVXPY term"
