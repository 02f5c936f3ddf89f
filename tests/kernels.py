"""The tests of native solvers and certificates under several kernels of OpenBLAS, with one thread and with two.

A processor's kernels add products in an order of their own, so that last digits differ. A test that passes on one
processor only, or a solver that does, shows here. ``make test-kernels`` runs it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ["tests/blocks", "tests/certificates", "tests/terms"]
# What a processor must offer for each kernel; the first has fused products of eight numbers, the last none at all.
KERNELS = {
    "SkylakeX": "avx512f",
    "Zen": "avx2",
    "Haswell": "avx2",
    "Sandybridge": "avx",
    "Nehalem": "sse4_2",
    "Prescott": "sse3",
}
# On matrices as small as those of the tests two threads mostly wait for each other: two kernels are enough.
WITH_TWO_THREADS = ("", "Sandybridge")
IN_USE = """
import numpy, threadpoolctl
print(*{f"{x['architecture']}, {x['version']}" for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"})
"""


def available() -> list[str]:
    """The kernels that this processor can run; none where they cannot be chosen, as with another BLAS."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return []
    flags |= {"sse3"} if "pni" in flags else set()  # its name in Linux
    return [kernel for kernel, flag in KERNELS.items() if flag in flags] if platform.machine() == "x86_64" else []


def run(kernel: str, threads: int) -> bool:
    """The tests under a kernel (the processor's own for no name); whether they passed."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
    environment.pop("OPENBLAS_CORETYPE", None)
    if kernel:
        environment["OPENBLAS_CORETYPE"] = kernel
    in_use = subprocess.run([sys.executable, "-c", IN_USE], env=environment, capture_output=True, text=True, check=True)
    start = time.perf_counter()
    # Two workers would share the cores with the second thread.
    workers = "2" if threads == 1 else "0"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "--no-header", *TESTS]
    tests = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)
    closing = tests.stdout.strip().splitlines()[-1] if tests.stdout.strip() else "no output"
    name = f"{kernel or 'own kernel'} ({in_use.stdout.strip()}), {threads} thread{'s' if threads > 1 else ''}"
    print(f"{name}: {closing} [{time.perf_counter() - start:.0f} s]", flush=True)
    if tests.returncode:
        print(tests.stdout[-20_000:], tests.stderr[-5_000:], flush=True)
    return tests.returncode == 0


def main() -> int:
    """Run all; 1 if anything failed."""
    kernels = available()
    missing = [kernel for kernel in KERNELS if kernel not in kernels]
    if missing:
        print(f"not on this processor: {', '.join(missing)}")
    plan = [(kernel, 1) for kernel in ["", *kernels]]
    plan += [(kernel, 2) for kernel in WITH_TWO_THREADS if not kernel or kernel in kernels]
    return 0 if all([run(kernel, threads) for kernel, threads in plan]) else 1


if __name__ == "__main__":
    sys.exit(main())
