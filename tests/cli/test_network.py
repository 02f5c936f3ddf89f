"""bcd-implicit network."""

from pathlib import Path

import numpy as np
import pytest
from command_line import run, succeed

from bcd_implicit import ImplicitModel
from bcd_implicit.networks.known import KNOWN


@pytest.mark.parametrize("name", KNOWN)
def test_the_network_and_its_picture_are_written(here, name):
    outcome = succeed("network", name, "--output", "out")
    assert outcome.stdout.endswith(f"wrote out/{name}.png\nwrote out/{name}.npz\n")
    assert "no state depends on itself" in " ".join(outcome.stdout.replace("│", " ").split())
    assert Path(f"out/{name}.png").read_bytes().startswith(b"\x89PNG")
    model = ImplicitModel.load(f"out/{name}.npz")
    U = np.random.default_rng(0).standard_normal((3, model.B.shape[1]))
    assert np.isfinite(model.predict(U)).all()
    assert np.abs(np.diff(model.predict(U), axis=0)).max() > 0


def test_lenet5_is_five_blocks_with_stripes(here):
    succeed("network", "lenet5", "--output", "out")
    model = ImplicitModel.load("out/lenet5.npz")
    assert np.bincount(model.structure().level).tolist() == [4704, 1600, 120, 84]  # and the outputs
    # Weights of a convolution are the same along diagonals: one place to the right, one place to the right.
    rows = model.B[-4704:].toarray().reshape(6, 28, 28, 32, 32)
    np.testing.assert_array_equal(rows[:, 3, 4, 3:8, 4:9], rows[:, 20, 11, 20:25, 11:16])
    assert np.count_nonzero(rows[0, 3, 4]) == 25


def test_an_unknown_network(here):
    outcome = run("network", "lenet6")
    assert outcome.exit_code == 2
    assert "'lenet6' is not one of 'lenet5'" in outcome.stderr
