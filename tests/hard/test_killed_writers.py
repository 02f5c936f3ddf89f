"""Writers that are killed at any moment: the file is the old or the new one, whole, and what they left is cleared."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bcd_implicit.support.files import write_atomically

pytestmark = pytest.mark.hard

#: Starts a writer for every line that it reads; the writer says its number when it is at work.
STARTER = """
import os, sys, time
from bcd_implicit.support.files import write_atomically
def write(file):
    for _ in range(64):
        file.write(bytes([os.getpid() % 251]) * 4096)
        # So that most are killed while they write.
        time.sleep(0.0001)
for line in sys.stdin:
    if (child := os.fork()) == 0:
        write_atomically(sys.argv[1], write)
        print(os.getpid(), flush=True)
        while True:
            write_atomically(sys.argv[1], write)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def test_fifty_writers_killed(tmp_path):
    path, rng, left = tmp_path / "m.npz", np.random.default_rng(0), 0
    path.write_bytes(b"\0" * 64 * 4096)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with starter:
        for _ in range(50):
            starter.stdin.write(b"\n")
            starter.stdin.flush()
            writer = int(starter.stdout.readline())
            time.sleep(rng.uniform(0, 0.02))
            os.kill(writer, signal.SIGKILL)
            assert starter.stdout.readline() == b"ended\n"
            content = path.read_bytes()
            assert len(content) == 64 * 4096
            assert len(set(content)) == 1
            names = os.listdir(tmp_path)
            # The next writer may have cleared those of the one before.
            assert len(names) <= 2
            left += len(names) - 1
        starter.stdin.close()
    print(f"{left} of 50 left a temporary file")
    assert left > 5
    write_atomically(path, lambda file: file.write(b"new"))
    assert os.listdir(tmp_path) == ["m.npz"]
    assert path.read_bytes() == b"new"
