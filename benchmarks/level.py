"""The level of the score tests: how often do data in which no input has a part keep one?

    python benchmarks/level.py [--draws 2000] [--whole 20] [--n-jobs 2] [--json FILE]

Noise and inputs are drawn apart, from ten distributions, light and heavy, continuous and rare: independent rows (100 of
10 inputs); persons (30 with 2 to 12 rows each, half of the variance their own); series (30 of 2 to 12 rows, each row
0.9 times the one before and something new). Two targets share their persons or series with each other, not with the
inputs.

Counted are draws in which some input, next to none, has a p-value below 0.05 for all inputs together. That is the last
test that an input without a part has to pass in ``select``, and one that enters has to pass it at a fifth of the level:
so a study of 2,000 draws needs no paths. ``--whole`` runs ``kappa_path`` and ``select`` on as many draws as well. "The
formula" is the same without permutation, as if all rows were independent.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results

import bcd_implicit as bi
from bcd_implicit.selection.family_wise import family_wise
from bcd_implicit.selection.permutation import Exchange
from bcd_implicit.selection.significance import entry_p_values
from bcd_implicit.support.parallel import in_parallel

LEVEL, N_SAMPLES, N_INPUTS, N_OUTPUTS, N_GROUPS = 0.05, 100, 10, 2, 30
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def rare(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One in fifty is 1, at least one in a column."""
    found = (rng.random(shape) < 0.02).astype(float)
    found[rng.integers(shape[0], size=shape[1]), np.arange(shape[1])] = 1.0
    return found


DRAWS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.random(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "counts": lambda rng, shape: rng.poisson(1.0, shape).astype(float),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "t, 3 degrees": lambda rng, shape: rng.standard_t(3, shape),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(shape),
    "rare": rare,
}
# Name -> noise and inputs.
FAMILIES = {name: (name, name) for name in DRAWS} | {"t noise, rare inputs": ("t, 3 degrees", "rare")}
STRUCTURES = ["rows", "persons", "series"]


def draw(family: str, structure: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Inputs, targets that have nothing to do with them, and the rows' groups."""
    rng = np.random.default_rng([seed, *family.encode(), *structure.encode()])
    noise, inputs = (DRAWS[name] for name in FAMILIES[family])
    if structure == "rows":
        return inputs(rng, (N_SAMPLES, N_INPUTS)), noise(rng, (N_SAMPLES, N_OUTPUTS)), None
    groups = np.repeat(np.arange(N_GROUPS), rng.integers(2, 13, N_GROUPS))
    kind = persons if structure == "persons" else series
    return kind(rng, inputs, groups, N_INPUTS), kind(rng, noise, groups, N_OUTPUTS), groups


def persons(rng: np.random.Generator, values: Draw, groups: np.ndarray, k: int) -> np.ndarray:
    """Something of a person and something of a row; rare inputs are a person's own."""
    own = values(rng, (N_GROUPS, k))[groups]
    return own if values is rare else own + values(rng, (len(groups), k))


def series(rng: np.random.Generator, values: Draw, groups: np.ndarray, k: int) -> np.ndarray:
    """Each row nine tenths of the one before, if of the same group, and something new."""
    rows = values(rng, (len(groups), k))
    for i in range(1, len(rows)):
        rows[i] += 0.9 * rows[i - 1] * (groups[i] == groups[i - 1])
    return rows


def run(family: str, structure: str, seed: int, whole: bool = False) -> tuple[bool, bool, bool]:
    """Whether an input is kept by the formula, by the tests, and by them through permutation."""
    U, Y, groups = draw(family, structure, seed)
    varies = U.std(axis=0) > 0
    if not varies.any() or not (Y.std(axis=0) > 0).any():
        return False, False, False
    # As the selector does.
    U, Y = U[:, varies], Y[:, Y.std(axis=0) > 0]
    U, Y = (U - U.mean(axis=0)) / U.std(axis=0), (Y - Y.mean(axis=0)) / Y.std(axis=0)
    problem = bi.TrainingProblem(U, Y, 5, pass_through=False)
    nothing = np.zeros(U.shape[1], dtype=bool)
    if whole:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = bi.kappa_path(problem, 8).select(grow_hidden=False, ridges=[1e-4], sample_groups=groups)
        return False, bool(chosen.support.any()), False
    formula = len(nothing) * entry_p_values(problem, None, nothing).min()
    tested = family_wise(problem, None, nothing, level=LEVEL, exchange=Exchange.of(len(U), groups), random_state=seed)
    return bool(formula < LEVEL), bool(tested.p_values.min() < LEVEL), tested.by == "permutation"


def run_all(family: str, structure: str, seeds: list[int], whole: bool) -> dict[str, Any]:
    """A row of the table."""
    found = np.array([run(family, structure, seed, whole) for seed in seeds])
    row = dict(zip(("formula", "kept", "by_permutation"), found.mean(axis=0).tolist(), strict=True))
    return {"family": family, "structure": structure, "draws": len(seeds), "whole": whole} | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--whole", type=int, default=0, metavar="DRAWS", help="draws of whole selections of rows")
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--structures", nargs="+", choices=STRUCTURES, default=STRUCTURES)
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    jobs = [
        (family, structure, list(range(n)), whole)
        for n, whole in ((options.draws, False), (options.whole, True))
        for structure in options.structures
        for family in options.families
        if n
    ]
    table = Table("noise and inputs", "samples", "draws", "the formula", "kept", "tried orders")
    rows = list(in_parallel(run_all, jobs, options.n_jobs))
    for row in rows:
        cells = [row["family"], row["structure"] + (", whole" if row["whole"] else ""), str(row["draws"])]
        shares = [f"{100 * row[name]:.1f} %" for name in ("formula", "kept", "by_permutation")]
        table.add_row(*cells, *(["", shares[1], ""] if row["whole"] else shares))
    Console(width=120).print(table)
    if options.json:
        write_results(options.json, rows)


if __name__ == "__main__":
    main()
