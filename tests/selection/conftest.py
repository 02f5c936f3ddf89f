"""An easy problem, its paths, and what the rules alone choose from them."""

from functools import cache

import pytest

import bcd_implicit as bi
from bcd_implicit import kappa_path


@pytest.fixture(scope="session")
def data():
    return bi.datasets.make_column_sparse(
        n_samples=120, n_features=8, n_outputs=6, n_hidden=4, n_informative=2, noise=0.1, random_state=0
    )


@pytest.fixture(scope="session")
def small():
    """For paths under constraints, whose every step is a conic solve."""
    return bi.datasets.make_column_sparse(
        n_samples=40, n_features=4, n_outputs=2, n_hidden=2, n_informative=2, noise=0.1, random_state=0
    )


@pytest.fixture(scope="session")
def problem(data):
    return bi.TrainingProblem(data.U, data.Y, 3, pass_through=False)


@pytest.fixture(scope="session")
def path(problem):
    return kappa_path(problem, 6, random_state=0)


@pytest.fixture(scope="session")
def short_path(problem):
    """A path of few kappas, where a test walks it again or refits all that is on it."""
    return kappa_path(problem, 4, random_state=0)


@pytest.fixture(scope="session")
def by_rule(path):
    """What a rule alone chooses from the path, without score tests, growing or a choice of the ridge."""

    @cache
    def choose(rule):
        return path.select(rule, n_subsamples=6, level=None, grow_hidden=False, ridges=[1e-4], tol=0.2, random_state=0)

    return choose
