"""bcd-implicit check."""

import gc
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import fail, run, succeed
from scipy.sparse import csr_array

from bcd_implicit import ImplicitModel
from bcd_implicit.cli import main


def test_check_of_a_trained_model(folder):
    outcome = succeed("check", folder / "m.npz")
    model = ImplicitModel.load(folder / "m.npz")
    facts = dict(
        [part.strip() for part in line.strip("│").split("│")] for line in outcome.stdout.splitlines() if "│" in line
    )
    assert facts["hidden features, inputs, outputs"] == "3, 4, 1"
    assert facts["activation"] == "relu"
    assert float(facts["||A||_inf"]) == pytest.approx(model.norm_inf(), abs=1e-6)
    assert float(facts["margin 1 - ||A||_inf"]) == pytest.approx(1 - model.norm_inf(), abs=1e-6)
    assert facts["well-posed"].startswith("yes: L ||A||_inf is")


@pytest.mark.parametrize(
    ("A", "code", "words"),
    [
        (2 * np.eye(2), 1, "NO: the spectral radius of L |A| is 2, not below 1, on the component of 1 state (0)"),
        (np.eye(2), 1, "NO: the spectral radius of L |A| is 1, not below 1"),
        ([[0.5, 3.0], [0.0, 0.5]], 0, "yes: L ||A||_inf is 0.5, below 1, on all 2 components with a cycle (2 of 2"),
        ([[0.0, 3.0], [0.1, 0.0]], 0, "yes: the spectral radius of L |A| is 0.5477, below 1, on its states"),
        ([[-3.0, 3.5], [1.0, -0.5]], 0, "yes: L mu_inf(A) is 0.5, below 1, on its states"),
        ([[-3.0, 3.5], [1.0, -0.5]], 0, "mu_inf(A) 0.5"),
        ([[-3.0, 3.5], [1.0, -0.5]], 0, "forward-backward: error after a step at most 0.875 of the previous error"),
        (0.5 * np.eye(2), 0, "yes: L ||A||_inf is 0.5, below 1"),
        (np.zeros((2, 2)), 0, "none: A = 0"),
    ],
)
def test_check_tells_well_posed_from_not(here, A, code, words):
    ImplicitModel(A, np.eye(2), None, np.eye(2)).save("m.npz")
    outcome = run("check", "m.npz")
    assert outcome.exit_code == code
    assert words in " ".join(outcome.stdout.replace("│", " ").split())


@pytest.mark.parametrize(
    ("A", "code", "words"),
    [
        (3 * np.eye(2), 0, "yes: L ||A||_inf is 0.75, below 1"),
        (3 * np.eye(2), 0, "largest slope L 0.25"),
        (3 * np.eye(2), 0, "margin 4 - ||A||_inf 1"),
        (3 * np.eye(2), 0, "at most 0.75 of the previous error"),
        ([[2.0, 3.0], [0.0, 2.0]], 0, "yes: L ||A||_inf is 0.5, below 1, on all 2 components with a cycle"),
        (4 * np.eye(2), 1, "NO: the spectral radius of L |A| is 1, not below 1"),
    ],
)
def test_the_sigmoids_slope_counts(here, A, code, words):
    ImplicitModel(A, np.eye(2), None, np.eye(2), activation="sigmoid").save("m.npz")
    outcome = run("check", "m.npz")
    assert outcome.exit_code == code
    assert words in " ".join(outcome.stdout.replace("│", " ").split())


def test_a_network_is_swept(here):
    blocks = [("square", 1), ("relu", 2)]
    A = np.triu(np.full((3, 3), 5.0), 1)
    ImplicitModel(csr_array(A), csr_array(np.eye(3)), None, np.ones((1, 3)), activation=blocks).save("m.npz")
    words = " ".join(succeed("check", "m.npz").stdout.replace("│", " ").split())
    assert "one sweep of 3 stages: no state depends on itself" in words
    assert "yes: no state depends on itself" in words
    assert "inputs used 3 of 3: 3 in B, 0 in D" in words
    # The norm decides nothing here.
    assert "||A||_inf 10" in words
    assert "margin" not in words


def test_a_deep_network_with_a_cycle_has_no_common_units_and_needs_none(here):
    n = 60
    A = np.triu(np.full((n, n), 9.0), 1)
    A[-1, -1] = 0.5
    ImplicitModel(A, np.eye(n), None, np.ones((1, n)), np.ones((1, n))).save("m.npz")
    words = " ".join(succeed("check", "m.npz").stdout.replace("│", " ").split())
    assert "at most 0.5 of the previous error" in words
    assert "yes: L ||A||_inf is 0.5, below 1, on the component with a cycle (1 of 60 states)" in words
    assert "inputs used 60 of 60: 60 in B, 60 in D" in words
    assert "margin" not in words


def test_damaged_models(folder, here):
    whole = (folder / "m.npz").read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        Path("m.npz").write_bytes(damaged)
        outcome = CliRunner().invoke(main, ["check", "m.npz"])
        # Some bytes, such as dates in the archive, do not matter.
        assert outcome.exit_code == 0 or outcome.stderr.startswith("Error: "), f"byte {place}: {outcome.exception!r}"


def test_a_model_that_could_overflow_ends_in_one_line(here):
    ImplicitModel([[0.5]], [[1.0]], None, [[1.0]]).save("m.npz")
    with np.load("m.npz") as archive:
        np.savez("m.npz", **{**archive, "A": [[1e308]]})
    assert "m.npz: holds a model that cannot be used (A: has entries as large as 1.0e+308" in fail("check", "m.npz")


def test_a_model_cut_short(folder, here):
    Path("m.npz").write_bytes((folder / "m.npz").read_bytes()[:1000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "m.npz: is damaged or not a model file (" in fail("check", "m.npz")
        gc.collect()
    assert [str(w.message) for w in caught] == []
