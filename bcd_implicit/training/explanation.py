"""Why each input is in at this kappa or not: the optimality condition of its column, from the data alone.

With G_g the gradient of the smooth part of (T) in the columns of a group g, and w_g its weight, a stationary point
has::

    ||G_g||* <= kappa w_g  where the columns are zero,    <-G_g, B_g> = kappa w_g ||B_g||  where they are not,

``||.||*`` the dual norm. In the constraint form the multiplier of the bound takes kappa's place. The gradient is that
through the equilibrium (:func:`bcd_implicit.gradient`), which no block's solver computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.problem import statistics
from bcd_implicit.problem.gradient import gradient
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.spreads import STANDARDISED
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.reasons import DROPPED, Reasons
from bcd_implicit.terms.penalties import column_norms


def explain(
    problem: TrainingProblem, it: Iterate, ended: str, method: str, certificates: Mapping[str, Certificate], costs: bool
) -> Reasons:
    """The reasons for a result; see :meth:`bcd_implicit.BcdResult.explain`."""
    table = conditions(problem, it)
    if costs:
        table = table.assign(**_costs(problem, it, table["norm"].to_numpy()))
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    table.insert(1, "why", [_why(problem, row) for row in rows])
    table.insert(1, "outcome", ["kept" if row["norm"] > 0 else DROPPED for row in rows])
    table = table.iloc[np.lexsort((-table["gradient"], -table["norm"]))].reset_index(drop=True)
    sentences = [f"Training {ended}."]
    sentences += [f"{name.capitalize()} block: {_in_words(found)}." for name, found in certificates.items()]
    sentences.append(_condition(problem, table))
    if method == "fenchel":
        sentences.append(
            "The gradient is that of (T), through the equilibrium; the blocks of this method minimise (F), whose "
            "condition differs, so that a dropped input may have a larger one."
        )
    if problem.constraints:
        sentences.append("Your own constraints and penalties are not in the gradient: they too can keep an input out.")
    if problem.scaling is not None:
        sentences.append(f"Units: {STANDARDISED}.")
    if costs:
        sentences.append(
            "The loss without an input is that of this model with the input at its mean, and nothing refitted."
        )
    return Reasons("BcdResult", sentences, table)


def conditions(problem: TrainingProblem, it: Iterate) -> pd.DataFrame:
    """A row a group: input, inputs, norm, gradient (its dual norm), limit (multiplier times weight), enters_at.

    The gradient of a group that is in is that of the smooth part too, and equals the limit at a stationary point.
    """
    found, lasso = gradient(problem, it), problem.group_lasso
    groups, matrix = lasso.groups, problem.grouped(it)
    smooth = np.vstack([found.B, found.D]) if problem.stacked else found.B
    norms, sizes = lasso.norm.of(matrix, groups), lasso.norm.dual(smooth, groups)
    multiplier = _multiplier(problem, matrix, smooth)
    names = [[problem.input_names[j] for j in members] for members in groups.members]
    weighted = np.where(groups.weights > 0, groups.weights, 1.0)
    # With B = 0 no state varies, so that C = 0, and every gradient is zero up to rounding.
    says = (norms == 0) & (groups.weights > 0) & norms.any()
    enters_at = np.where(says, sizes / weighted, np.nan)
    return pd.DataFrame(
        {
            "input": groups.titles(problem.input_names),
            "inputs": names,
            "norm": norms,
            "weight": groups.weights,
            "gradient": sizes,
            "limit": multiplier * groups.weights,
            "enters_at": enters_at if lasso.form == "penalty" else np.full(len(norms), np.nan),
            "passes_through": groups.sums(column_norms(it.D)) if problem.D_is_output else np.zeros(len(norms)),
            "free": groups.sums(problem.free_groups.any(axis=0).astype(float)) > 0,
        }
    )


def _multiplier(problem: TrainingProblem, matrix: np.ndarray, smooth: np.ndarray) -> float:
    """Kappa, or the multiplier of the bound: <-G, B> = multiplier * sum_g w_g ||B_g|| over the penalised columns."""
    lasso = problem.group_lasso
    if lasso.form == "penalty":
        return problem.kappa
    if not lasso.binds(matrix, 1e-6):
        return 0.0
    size = lasso.sum_of_norms(matrix)
    return max(float(-np.sum((smooth * matrix)[:, lasso.bounded])) / size, 0.0) if size > 0 else lasso.steepest(smooth)


def _costs(problem: TrainingProblem, it: Iterate, norms: np.ndarray) -> dict[str, np.ndarray]:
    """The loss, and the loss with each group that is in at its mean: states are solved again, without a refit."""
    loss, without = problem.mean_loss(it), np.full(len(norms), np.nan)
    means = statistics.mean(problem.U, problem.shares)
    for g in np.flatnonzero(norms > 0):
        gone = problem.group_lasso.groups.members[g]
        B, D = it.B.copy(), it.D.copy()
        B[:, gone], D[:, gone] = 0.0, 0.0
        b, d = it.b + it.B[:, gone] @ means[gone], it.d + it.D[:, gone] @ means[gone]
        without[g] = problem.mean_loss(problem.at_equilibrium(it.replace(B=B, D=D, b=b, d=d)))
    return {"loss": np.full(len(norms), loss), "loss_without": without}


def _condition(problem: TrainingProblem, table: pd.DataFrame) -> str:
    """How many inputs are in, the condition for it, and how well those that are in meet it."""
    kept, columns = table["norm"] > 0, "columns of (B; D)" if problem.stacked else "columns of B"
    what = "inputs" if problem.group_lasso.groups.alone else "groups"
    if not kept.any() and not problem.stacked:
        return (
            f"No input is in at kappa {problem.kappa:.3g}. Without inputs no state varies, so C and all gradients "
            "are zero, however useful the inputs are. Train with a smaller kappa, or along a path, kappa_path(problem)."
        )
    n = int(kept.sum())
    count = f"{n} of {len(table)} {what} {'is' if n == 1 else 'are'} in at kappa {problem.kappa:.3g}"
    penalised = table[table["weight"] > 0]
    multiplier = float((penalised["limit"] / penalised["weight"]).iloc[0])
    if multiplier == 0:
        return f"{count}, which excludes none: {'the bound is not reached' if problem.kappa else 'kappa is 0'}."
    scale = "kappa" if problem.group_form == "penalty" else f"the bound's multiplier {multiplier:.3g}"
    rule = f"At a stationary point the gradient of the loss in an input's {columns} is at most {scale} times its weight"
    if problem.group_lasso.norm.name != "2":
        rule += f" (in the dual norm of {problem.group_lasso.norm.name!r})"
    rule += "; one that is out comes in once kappa is below their ratio" if problem.group_form == "penalty" else ""
    met = penalised[penalised["norm"] > 0]
    if met.empty:
        return f"{count}. {rule}."
    off = float((met["gradient"] / met["limit"] - 1).abs().max())
    return f"{count}. {rule}. If an input is in, the two are equal: here to within {off:.2g} of them."


def _in_words(found: Certificate) -> str:
    """What a certificate says."""
    gap = f"within {found.relative_gap:.1e} of its optimum, relative" if found.known else "no bound on its gap is known"
    kept = found.violation <= found.allowed_violation
    return f"{gap}; {'no constraint is violated' if kept else f'constraints are violated by {found.violation:.1e}'}"


def _why(problem: TrainingProblem, row: dict[str, Any]) -> str:
    """The reason of one input, from its row."""
    words = [_place(problem, row)]
    if "loss" in row and row["norm"] > 0:
        words.append(f"loss {row['loss']:.3g} -> {row['loss_without']:.3g} without it")
    if row["passes_through"] > 0:
        words.append(f"D passes it through, norm {row['passes_through']:.3g}")
    return "; ".join(words)


def _place(problem: TrainingProblem, row: dict[str, Any]) -> str:
    if row["norm"] > 0:
        return f"norm {row['norm']:.3g}" + ("" if row["weight"] > 0 else ", not penalised")
    if not row["free"]:
        return "held at zero by the pattern"
    factor = "kappa" if problem.group_form == "penalty" else "multiplier"
    limit = f"{factor} x weight = {row['limit']:.3g}"
    if row["gradient"] > row["limit"]:
        return f"zero, though its gradient {row['gradient']:.3g} is above {limit}"
    enters = f"; it comes in below kappa {row['enters_at']:.3g}" if np.isfinite(row["enters_at"]) else ""
    return f"gradient {row['gradient']:.3g} is below {limit}{enters}"
