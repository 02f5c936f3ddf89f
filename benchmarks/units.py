"""The blocks in other units: 48 problems, each with targets, an input or the states times a power of ten.

A block is missed if its native solution is not certified at 1e-6. Times are those of the processor, as ratios to the
same block in the first units; what differs is the largest difference of the variables, once brought back to these.

    python benchmarks/units.py
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from units import outcomes

from bcd_implicit import BLOCKS
from bcd_implicit.support.files import write_atomically

# Less than this, in seconds, is noise of the clock: in place of shorter times.
NOISE = 2e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--block", choices=list(BLOCKS), action="append", help="only this block")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    rows = []
    for block in options.block or BLOCKS:
        found = list(outcomes(block))
        known = np.array([o.difference for o in found if o.difference is not None])
        ratios = np.array(
            [max(o.seconds, NOISE) / max(o.seconds_before, NOISE) for o in found if np.isfinite(o.seconds_before)]
        )
        rows.append(
            {
                "block": block,
                "solved": len(found),
                "missed": sum(o.missed for o in found),
                "time, median": round(float(np.median(ratios)), 2),
                "time, largest": round(float(ratios.max()), 2),
                "difference, median": float(f"{np.median(known):.1e}"),
                "differences above 1e-9": int((known > 1e-9).sum()),
                "difference, largest": float(f"{known.max():.1e}"),
            }
        )
        for outcome in found:
            if outcome.missed:
                print(outcome)
    print(pd.DataFrame(rows).to_string(index=False))
    if options.json:
        write_atomically(options.json, lambda file: file.write((json.dumps(rows, indent=2) + "\n").encode()))
    sys.exit(any(row["missed"] for row in rows))


if __name__ == "__main__":
    main()
