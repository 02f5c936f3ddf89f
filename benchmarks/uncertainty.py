"""Coverage: how often do the intervals of Selection.uncertainty hold the truth?

    python benchmarks/uncertainty.py [--draws 40] [--n-refits 100] [--n-halves 10] [--json FILE]

Draws of five inputs, two of which act on the output through a relu model that is known. The truth of an effect is the
generating model's mean slope over 20,000 samples; that of the score is the R2 of the selection's own model there.
The intervals are to hold 95 %. Frequencies are from halves of the first draws, those of ``--halves-of``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from shared.results import write_results
from sklearn.metrics import r2_score

import bcd_implicit as bi
from bcd_implicit.datasets import make_column_sparse

# Samples and noise.
FAMILIES = {
    "100 samples, noise 0.5": (100, 0.5),
    "300 samples, noise 0.5": (300, 0.5),
    "300 samples, noise 1": (300, 1.0),
}
SIZES = {"n_features": 5, "n_outputs": 1, "n_hidden": 2, "n_informative": 2}
N_LARGE = 20_000


def run(family: str, seed: int, n_refits: int, n_halves: int) -> dict[str, Any]:
    warnings.simplefilter("ignore", bi.ConvergenceWarning)
    m, noise = FAMILIES[family]
    data = make_column_sparse(m, **SIZES, noise=noise, random_state=seed)
    path = bi.kappa_path(bi.TrainingProblem(data.U, data.Y, 3, pass_through=False), 8, random_state=seed)
    chosen = path.select(random_state=seed, grow_hidden=False)
    U, Y = data.sample(N_LARGE, [seed, 1])
    # New samples come without noise.
    Y = Y + noise * Y.std(axis=0) * np.random.default_rng([seed, 2]).standard_normal(Y.shape)
    truth = data.model.jacobian(U).mean(axis=0)
    started = time.perf_counter()
    found = chosen.uncertainty(n_halves, n_refits, random_state=seed)
    seconds = time.perf_counter() - started
    effects, names = found.effects, chosen.input_names
    true = [truth[int(row.output[1:]), names.index(row.input)] for row in effects.itertuples()]
    acts = [bool(data.support[names.index(row.input)]) for row in effects.itertuples()]
    r2 = r2_score(Y, chosen.model.predict(U))
    share = dict(zip(found.frequencies["input"], found.frequencies["frequency"], strict=True))
    return {
        "exact": bool((chosen.support == data.support).all()),
        "covered": [bool(row.low <= value <= row.high) for row, value in zip(effects.itertuples(), true, strict=True)],
        "errors": [float(row.effect - value) for row, value in zip(effects.itertuples(), true, strict=True)],
        "widths": (effects["high"] - effects["low"]).tolist(),
        "acts": acts,
        "score_covered": bool(found.score["low"] <= r2 <= found.score["high"]),
        "score_error": float(found.score["estimate"] - r2),
        "frequency_of_true": [float(share[n]) for n, used in zip(names, data.support, strict=True) if used],
        "frequency_of_others": [float(share[n]) for n, used in zip(names, data.support, strict=True) if not used],
        "seconds": seconds,
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    covered = np.concatenate([run["covered"] for run in runs])
    widths, errors = (np.concatenate([run[name] for run in runs]) for name in ("widths", "errors"))
    true, others = (np.concatenate([run[f"frequency_of_{name}"] for run in runs]) for name in ("true", "others"))
    by_draw = np.array([np.mean(run["covered"]) for run in runs if run["covered"]])
    return {
        "draws": len(runs),
        "exact": int(sum(run["exact"] for run in runs)),
        "coverage": float(covered.mean()),
        # Intervals of one draw go together.
        "standard_error": float(by_draw.std(ddof=1) / np.sqrt(len(by_draw))) if len(by_draw) > 1 else None,
        "mean_width": float(widths.mean()),
        "mean_abs_error": float(np.abs(errors).mean()),
        "score_coverage": float(np.mean([run["score_covered"] for run in runs])),
        "score_error": float(np.mean([run["score_error"] for run in runs])),
        # None without halves: JSON has no NaN.
        "frequency_of_true": float(np.nanmean(true)) if np.isfinite(true).any() else None,
        "frequency_of_others": float(np.nanmean(others)) if np.isfinite(others).any() else None,
        "seconds": float(np.median([run["seconds"] for run in runs])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--n-refits", type=int, default=100)
    parser.add_argument("--n-halves", type=int, default=10)
    parser.add_argument("--halves-of", type=int, default=10, help="Draws that have halves too.")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shown = Table("data", "exact", "coverage of effects", "+-", "of R2", "R2 off by", "frequency: true", "others", "s")
    results = {}
    for family in options.families:
        runs = []
        for seed in range(options.draws):
            runs.append(run(family, seed, options.n_refits, options.n_halves if seed < options.halves_of else 0))
            # After each draw, for it takes long.
            results[family] = found = summary(runs)
            if options.json:
                write_results(options.json, results)
        cells = {
            "coverage": "{:.1%}",
            "standard_error": "{:.1%}",
            "score_coverage": "{:.0%}",
            "score_error": "{:+.3f}",
            "frequency_of_true": "{:.2f}",
            "frequency_of_others": "{:.2f}",
            "seconds": "{:.1f}",
        }
        texts = ["-" if found[name] is None else form.format(found[name]) for name, form in cells.items()]
        shown.add_row(family, f"{found['exact']} of {found['draws']}", *texts)
    Console().print(shown)


if __name__ == "__main__":
    main()
