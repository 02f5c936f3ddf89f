"""What the plots show: a problem, its path, its result, a choice and a model."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from bcd_implicit import ImplicitModel, TrainingProblem, kappa_path, solve


@pytest.fixture
def ax():
    return Figure().subplots()  # no pyplot


@pytest.fixture(scope="session")
def problem():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((40, 4))
    return TrainingProblem(U, np.maximum(U[:, :2], 0) + 0.1 * U[:, 2:], 2, pass_through=False)


@pytest.fixture(scope="session")
def path(problem):
    return kappa_path(problem, kappas=[0.01, 0.1, 0.3], max_cycles=3, tol=1.0)


@pytest.fixture(scope="session")
def result(problem):
    return solve(problem, tol=1e-3, random_state=1)  # a start from which A does not become zero


@pytest.fixture(scope="session")
def chosen(path):
    return path.select(n_features=2, n_folds=2, ridges=[0.1], grow_hidden=False)


@pytest.fixture(scope="session")
def model():
    """Two features, three inputs of which the second is not used, one output."""
    return ImplicitModel(
        [[0.25, -0.5], [0.0, 0.1]], [[1.0, 0.0, -2.0], [0.5, 0.0, 0.0]], [0.1, 0.2], [[2.0, -1.0]], [[0.0, 0.0, 1e-9]],
        input_names=["age", r"cost $\foo$ of $", "length [cm]"], output_names=["price"],
    )  # fmt: skip
