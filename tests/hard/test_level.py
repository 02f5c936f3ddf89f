"""The level of the score tests for data without any signal, as in benchmarks/level.py but smaller."""

import importlib.util
from pathlib import Path

import pytest
from scipy.stats import binom

pytestmark = pytest.mark.hard

N_DRAWS = 300


@pytest.fixture(scope="module")
def level():
    file = Path(__file__).parents[2] / "benchmarks" / "level.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(file.parent)  # where it finds what benchmarks share
        yield _loaded(file)


def _loaded(file):
    spec = importlib.util.spec_from_file_location("level", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("structure", ["rows", "persons", "series"])
@pytest.mark.parametrize("family", ["normal", "lognormal", "Cauchy", "rare", "t noise, rare inputs"])
def test_at_most_one_in_twenty_keeps_anything(level, family, structure):
    row = level.run_all(family, structure, list(range(N_DRAWS)), False)
    # If the level holds, more than this happen once in 10,000 studies.
    most = binom.isf(1e-4, N_DRAWS, level.LEVEL)
    assert row["kept"] * N_DRAWS <= most
    if structure == "series" or family in ("lognormal", "Cauchy"):
        # The draws are hard ones: the formula alone lets in more.
        assert row["formula"] * N_DRAWS > most


def test_a_whole_selection_keeps_no_more(level):
    row = level.run_all("t noise, rare inputs", "rows", list(range(12)), True)
    assert row["kept"] * 12 <= binom.isf(1e-4, 12, level.LEVEL)
