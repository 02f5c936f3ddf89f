"""Without a ridge C is as large as the data allow: what a result reports must still be what its model does."""

import warnings

import numpy as np
import pytest

import bcd_implicit as bi

pytestmark = pytest.mark.hard


@pytest.mark.parametrize("activation", bi.ACTIVATIONS)
@pytest.mark.parametrize("proportional", [False, True])
@pytest.mark.parametrize("pass_through", [False, True])
@pytest.mark.parametrize("kappa", [0, 0.05, 0.5, 5, 100])
def test_the_reported_objective_is_the_models(activation, proportional, pass_through, kappa):
    data = bi.datasets.make_column_sparse(60, 8, 4, 5, 3, noise=0.2, random_state=0)
    U = data.U.copy()
    if proportional:
        U[:, 1] = 0.3 * U[:, 0]
    for ridge_hidden in (0.0, 1e-4):
        for ridge in (0.0, 1e-30):
            problem = bi.TrainingProblem(
                U, data.Y, 4, activation, kappa=kappa, ridge=ridge, ridge_hidden=ridge_hidden,
                pass_through=pass_through,
            )  # fmt: skip
            with warnings.catch_warnings(record=True) as told:
                # Some are not solved to the end; no other warning is in order.
                warnings.simplefilter("always", bi.ConvergenceWarning)
                result = bi.solve(problem, max_cycles=60, tol=1e-6)
            model = result.model
            loss = 0.5 * np.mean(np.sum((model.predict(U) - data.Y) ** 2, axis=1))
            groups = kappa * np.linalg.norm(model.B, axis=0).sum()
            ridges = 0.5 * ridge_hidden * (np.sum(model.A**2) + np.sum(model.B**2))
            ridges += 0.5 * ridge * (np.sum(model.C**2) + np.sum(model.D**2))
            # Where C multiplies rounding it cannot be, and is said to be so.
            if not any("Rounding may change" in str(warning.message) for warning in told):
                assert result.objective == pytest.approx(loss + groups + ridges, rel=1e-6)
            assert result.objective <= 0.5 * data.Y.var(axis=0).sum() * (1 + 1e-9)  # the means alone do as well
