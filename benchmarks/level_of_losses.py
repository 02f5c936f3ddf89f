"""The level and the power of the score tests under each loss.

    python benchmarks/level_of_losses.py [--draws 400] [--fits 200] [--n-jobs 2] [--json FILE]

Next to nothing: ``--draws`` tables of 100 rows and 10 inputs, normal or lognormal, that have nothing to do with the
targets. Beside two: ``--fits`` tables of 200 rows and 8 inputs, of which two matter, one of them only by its size. The
model is fitted on these two, and of the other six one goes with the first (correlation 0.6). Counted are tables in
which some input that has no part has a p-value below 0.05 for all inputs together; and, as the power, how often the
test finds an input beside the two that has a part, in half as many tables.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit
from shared.results import write_results

import bcd_implicit as bi
from bcd_implicit.selection.family_wise import family_wise
from bcd_implicit.selection.permutation import Exchange
from bcd_implicit.selection.refits import Refit, run_refit
from bcd_implicit.support.parallel import in_parallel

LEVEL, EFFECT = 0.05, 0.7
OPTIONS = {"max_cycles": 30, "tol": 1e-2, "block_tol": None}
Targets = Callable[[np.random.Generator, np.ndarray], np.ndarray]


def indicators(rng: np.random.Generator, *logits: np.ndarray) -> np.ndarray:
    """A class a row, drawn with probabilities of these logarithms."""
    scores = np.column_stack(np.broadcast_arrays(*logits))
    return np.eye(len(logits))[(scores + rng.gumbel(size=scores.shape)).argmax(axis=1)]


def standardised(y: np.ndarray) -> np.ndarray:
    return (y - y.mean()) / y.std()


# Name -> loss, and targets that depend on f.
FAMILIES: dict[str, tuple[str | bi.Loss, Targets]] = {
    "squared, normal noise": ("squared", lambda rng, f: standardised(f + 0.7 * rng.standard_normal(len(f)))),
    "huber, Cauchy noise": ("huber", lambda rng, f: standardised(f + 0.2 * rng.standard_cauchy(len(f)))),
    "quantile 0.8, t noise": (bi.QuantileLoss(0.8), lambda rng, f: standardised(f + 0.7 * rng.standard_t(3, len(f)))),
    "logistic": ("logistic", lambda rng, f: (rng.random(len(f)) < expit(f - 1)).astype(float)),
    "logistic, one in ten": ("logistic", lambda rng, f: (rng.random(len(f)) < expit(f - 3.5)).astype(float)),
    "cross-entropy, 3 classes": ("cross-entropy", lambda rng, f: indicators(rng, f, 0.0, -f)),
    "cross-entropy, a rare one": ("cross-entropy", lambda rng, f: indicators(rng, f, 0.0, -2.5)),
    "poisson": ("poisson", lambda rng, f: rng.poisson(np.exp(0.6 * f)).astype(float)),
    "poisson, overdispersed": ("poisson", lambda rng, f: rng.poisson(np.exp(0.6 * f) * rng.gamma(0.5, 2.0, len(f)))),
}
INPUTS = {"normal": "standard_normal", "lognormal": "lognormal"}


def least_p_values(
    problem: bi.TrainingProblem, support: np.ndarray, seed: int, result: bi.BcdResult | None = None
) -> np.ndarray:
    exchange = Exchange.of(problem.n_samples, None)
    return family_wise(problem, result, support, level=LEVEL, exchange=exchange, random_state=seed).p_values


def next_to_nothing(family: str, inputs: str, seed: int) -> bool:
    """Whether an input without a part passes."""
    rng = np.random.default_rng([seed, 1])
    loss, targets = FAMILIES[family]
    U, Y = getattr(rng, INPUTS[inputs])(size=(100, 10)), targets(rng, rng.standard_normal(100))
    if not np.ptp(Y, axis=0).all():  # a class that no row has
        return False
    problem = bi.TrainingProblem((U - U.mean(axis=0)) / U.std(axis=0), Y, 2, loss=loss)
    return bool(least_p_values(problem, np.zeros(10, dtype=bool), seed).min() < LEVEL)


def beside_two(family: str, effect: float, pass_through: bool, seed: int) -> bool:
    """Whether an input without a part passes or, if it has an effect, the one that has one."""
    rng = np.random.default_rng([seed, 2])
    loss, targets = FAMILIES[family]
    U = rng.standard_normal((200, 8))
    U[:, 2] = 0.6 * U[:, 0] + 0.8 * U[:, 2]
    Y = targets(rng, 1.5 * U[:, 0] + np.abs(U[:, 1]) + effect * U[:, 3])
    problem, support = bi.TrainingProblem(U, Y, 4, loss=loss, pass_through=pass_through), np.arange(8) < 2
    result = run_refit(problem, Refit(support, 4, 1e-3), problem.initial(0), 0, OPTIONS)
    p_values = least_p_values(problem, support, seed, result)
    return bool((p_values[3] if effect else p_values.min()) < LEVEL)


def run(family: str, draws: int, fits: int) -> dict[str, Any]:
    """A row of the table."""
    warnings.simplefilter("ignore")
    row: dict[str, Any] = {"family": family, "draws": draws, "fits": fits}
    for inputs in INPUTS:
        row[f"nothing, {inputs}"] = np.mean([next_to_nothing(family, inputs, seed) for seed in range(draws)])
    for name, effect, n in (("level", 0.0, fits), ("power", EFFECT, fits // 2)):
        for letter, pass_through in (("without D", False), ("with D", True)):
            found = [beside_two(family, effect, pass_through, seed) for seed in range(n)]
            row[f"{name}, {letter}"] = np.mean(found)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    jobs = [(family, options.draws, options.fits) for family in options.families]
    rows = list(in_parallel(run, jobs, options.n_jobs))
    names = [name for name in rows[0] if name not in ("family", "draws", "fits")]
    table = Table("loss and targets", *names)
    for row in rows:
        table.add_row(row["family"], *(f"{100 * row[name]:.1f} %" for name in names))
    Console(width=140).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
