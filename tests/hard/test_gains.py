"""Random problems under bounds on gains: what is trained never moves by more."""

import warnings

import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi

pytestmark = pytest.mark.hard


@pytest.mark.parametrize("seed", range(30))
def test_no_output_and_no_margin_moves_by_more(seed):
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 7)), int(rng.integers(1, 6)), int(rng.integers(2, 4)), 40)
    _, p, q, _ = size
    activation = str(rng.choice(["relu", "tanh", "sigmoid", "softplus", "leaky_relu"]))
    slope = bi.ACTIVATIONS[activation].max_slope
    states, bound = np.exp(rng.uniform(-2, 2, 2))
    margins = seed % 2 == 1
    of_outputs = (bi.constraints.margin_gain_bound if margins else bi.constraints.output_gain_bound)(bound, states)
    problem = random_problem(
        size,
        activation=activation,
        norm_bound=0.9,
        well_posedness=["inf-norm", "measure"][seed % 3 == 0],
        pass_through=bool(rng.integers(2)),
        constraints=[bi.constraints.state_gain_bound(states, slope), of_outputs],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        result = bi.solve(problem, max_cycles=3, random_state=seed)
    model = result.model
    if margins:
        rows = [(i, j) for i in range(q) for j in range(i)]
        C, D = (np.array([M[i] - M[j] for i, j in rows]) for M in (model.C, model.D))
        apart = bi.ImplicitModel(model.A, model.B, model.b, C, D, activation=activation)
        gain = apart.sensitivity().sum(axis=1).max()
        U = rng.standard_normal((500, p))
    else:
        apart, gain = model, model.sensitivity().sum(axis=1).max()
        U = problem.U.T
    assert gain <= bound * (1 + 1e-5)
    change = 0.3 * rng.choice([-1.0, 1.0], U.shape)
    moved = np.abs(apart.predict(U + change) - apart.predict(U)).max()
    assert moved <= 0.3 * bound * (1 + 1e-5) + 1e-9
