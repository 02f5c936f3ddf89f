"""Wrong points against certificates: how many are certified, and how many good points are refused.

Random problems of every block, group-lasso form and norm, with units of inputs, targets, states and penalties from
1e-12 to 1e12, and random wrong points of every size. The objective of a point and of the native solution are computed
with 120 digits. A certificate lies if its gap is smaller than the difference of the two.

    python benchmarks/certificates.py --n-points 10000
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import joblib

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from wrong_points import draw_and_judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-points", type=int, default=10_000, help="number of wrong points")
    parser.add_argument("--seed", type=int, default=0, help="of the first problem")
    parser.add_argument("--n-jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    counts: Counter[str] = Counter()
    seed = options.seed
    while counts["wrong points"] < options.n_points:
        seeds = range(seed, seed + 200)
        for found in joblib.Parallel(n_jobs=options.n_jobs)(joblib.delayed(draw_and_judge)(s) for s in seeds):
            counts.update(found)
        seed += 200
    for name in sorted(counts):
        print(f"{name}: {counts[name]}")
    print(f"{seed - options.seed} problems, {time.perf_counter() - start:.0f} s")
    sys.exit(1 if counts["LIES"] or counts["wrong points certified"] else 0)


if __name__ == "__main__":
    main()
