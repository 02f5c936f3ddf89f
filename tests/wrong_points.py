"""Random problems over all scales, wrong points of every size, and what their certificates say."""

from __future__ import annotations

import warnings
from collections import Counter

import mpmath
import numpy as np
from exact import DIGITS, Exact

from bcd_implicit import ACTIVATIONS, BLOCKS, LOSSES, BcdError, Iterate, TrainingProblem
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solve import solve_prepared

TOL = 1e-6
# What the rounding of comparisons may be: the gap is a double.
COMPARED = 1 + 1e-9


def draw_problem(rng: np.random.Generator, block: str) -> TrainingProblem:
    """A small problem of a random kind whose inputs, targets and penalties have units from 1e-12 to 1e12."""
    n, p, q, m = rng.integers(1, 4), rng.integers(1, 5), rng.integers(1, 4), rng.integers(4, 12)

    def unit(span: float = 12) -> float:
        return float(10 ** rng.uniform(-span, span)) if rng.random() < 0.6 else 1.0

    U, Y = rng.standard_normal((m, p)) * unit(), rng.standard_normal((m, q)) * unit()
    if rng.random() < 0.3:
        U[:, 0] *= unit()
    if rng.random() < 0.2:
        U = U + unit() * rng.standard_normal(p)
    if rng.random() < 0.2 and p > 1:
        U[:, -1] = U[:, 0]
    loss, Y = draw_loss(rng, Y)
    stacked = bool(rng.random() < 0.3)
    ridges = [0.0 if rng.random() < 0.3 else 1e-3 * unit() for _ in range(2)]
    return TrainingProblem(
        U,
        Y,
        int(n),
        loss=loss,
        activation=str(rng.choice(list(ACTIVATIONS))),
        norm_bound=float(rng.choice([0.0, 0.5, 0.9, 0.99])),
        kappa=float(rng.choice([0.0, 0.1, 1.0], p=[0.1, 0.6, 0.3])) * unit(),
        group_form=str(rng.choice(["penalty", "constraint"])),
        fenchel_weight=unit(4),
        ridge=ridges[0],
        ridge_hidden=ridges[1],
        fit_intercept=bool(rng.random() < 0.7),
        pass_through=stacked or bool(rng.random() < 0.5),
        groups=[j // 2 for j in range(p)] if rng.random() < 0.4 else None,
        group_norm=rng.choice(["2", "inf"]),
        group_over="BD" if stacked else "B",
        sample_weight=rng.uniform(0.1, 2, m) if rng.random() < 0.3 else None,
    )


def with_penalty_of_A(problem: TrainingProblem, seed: int) -> TrainingProblem:
    """The problem with weights of entries of A of any size, in some cases under a random pattern of A."""
    rng = np.random.default_rng([seed, 19])
    weights = 10 ** rng.uniform(-8, 4, problem.shapes["A"]) * (rng.random(problem.shapes["A"]) < 0.8)
    # The same weight for all in a third of the cases.
    weights = float(10 ** rng.uniform(-8, 4)) if rng.random() < 0.3 else weights
    pattern = {"A": rng.random(problem.shapes["A"]) < 0.7} if rng.random() < 0.5 else None
    return problem.replace(kappa_A=weights, pattern=pattern)


def draw_loss(rng: np.random.Generator, Y: np.ndarray) -> tuple[str, np.ndarray]:
    """The squared loss in half of all cases, else any, and targets that it takes."""
    name = str(rng.choice(list(LOSSES))) if rng.random() < 0.5 else "squared"
    match name:
        case "logistic":
            return name, (Y > 0).astype(float)
        case "cross-entropy" if Y.shape[1] > 1:
            return name, np.eye(Y.shape[1])[Y.argmax(axis=1)]
        case "cross-entropy":
            return "squared", Y
        case "poisson":
            return name, rng.poisson(10 ** rng.uniform(-1, 3), Y.shape).astype(float)
    return name, Y


def feasible(problem: TrainingProblem, it: Iterate) -> Iterate:
    """The point with what the problem fixes fixed, and inside the balls with room for rounding."""
    fixed = {"D": problem.pass_through, "b": problem.fit_intercept, "d": problem.fit_intercept}
    it = it.replace(**{k: np.zeros_like(getattr(it, k)) for k, free in fixed.items() if not free})
    it = problem.pattern.applied(it)
    it = it.replace(A=problem.row_set.repair(it.A), X=np.clip(it.X, *problem.activation.domain))
    return problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it)))


def away(rng: np.random.Generator, problem: TrainingProblem, block, it: Iterate) -> Iterate:
    """A point some way from another in a few or all of a block's matrices, by a size anywhere between scales."""
    letters = [k for k in block.letters if rng.random() < 0.6] or [block.letters[0]]
    moved = {}
    for letter in letters:
        part = getattr(it, letter)
        usual = max(float(np.abs(part).max(initial=0.0)), 10 ** rng.uniform(-12, 12) * (rng.random() < 0.3))
        moved[letter] = part + usual * 10 ** rng.uniform(-9, 6) * rng.standard_normal(part.shape)
    return feasible(problem, it.replace(**moved))


def draw_and_judge(seed: int, n_points: int = 6, penalty_of_A: bool = False) -> Counter[str]:
    """A problem and a block, its native solution, wrong points, and what was certified: counts by name."""
    rng, counts = np.random.default_rng(seed), Counter()
    name = str(rng.choice(list(BLOCKS)))
    with warnings.catch_warnings(), np.errstate(all="ignore"), mpmath.workdps(DIGITS):
        warnings.simplefilter("ignore")
        problem = draw_problem(rng, name)
        if penalty_of_A:
            problem = with_penalty_of_A(problem, seed)
        it = problem.initial(seed)
        # On the scale of logarithms a thousand is beyond numbers.
        size = np.abs(problem.Y).max() if problem.loss.free_targets else 1.0
        it = feasible(
            problem,
            it.replace(
                A=rng.standard_normal(it.A.shape),
                C=rng.standard_normal(it.C.shape) * size / (np.abs(it.X).max() or 1.0),
                d=rng.standard_normal(it.d.shape) * size,
            ),
        )
        it = problem.at_equilibrium(it)
        if name != "prox-linear":
            noise = it.X.std() * 10 ** rng.uniform(-6, 1)
            it = feasible(problem, it.replace(X=it.X + noise * rng.standard_normal(it.X.shape)))
        options = {"mu": float(10 ** rng.uniform(-8, 3))} if name == "prox-linear" and rng.random() < 0.5 else {}
        block = make_block(problem, it, name, **options)
        try:
            best = solve_prepared(block, "native", TOL).iterate
        except (BcdError, ArithmeticError, ValueError, np.linalg.LinAlgError):  # units that no solver copes with
            best, counts["native failed"] = block.it, 1
        exact = Exact(problem, name, block.it, getattr(block, "mu", 0.0), getattr(block, "proximal", None))
        points = [
            best,
            block.it,
            *(away(rng, problem, block, best if rng.random() < 0.7 else it) for _ in range(n_points)),
        ]
        objectives = [exact.objective(point) for point in points]
        certificates = [block.certificate(point) for point in points]
        # A point outside by a rounding error may be better than all that are inside.
        inside = [o for o, c in zip(objectives, certificates, strict=True) if c.violation == 0]
        least = min(inside, default=objectives[1])
        for i, (certificate, objective) in enumerate(zip(certificates, objectives, strict=True)):
            excess = float(objective - least)
            kind = f"{name}: "
            if i == 0:
                known = certificate.known
                counts[kind + "native"] += 1
                counts[
                    kind
                    + (
                        "native, no gap known"
                        if not known
                        else "native holds"
                        if certificate.holds(TOL)
                        else "native refused"
                    )
                ] += 1
            wrong = excess > 1e-9 * certificate.scale
            counts["wrong points" if wrong else "good points"] += 1
            if certificate.violation > 0:
                continue
            if not certificate.gap * COMPARED >= excess and not np.isnan(certificate.gap):
                counts["LIES"] += 1
                counts[kind + "LIES"] += 1
            if certificate.holds(TOL) and excess > TOL * COMPARED * certificate.scale:
                counts["wrong points certified"] += 1
    return counts
