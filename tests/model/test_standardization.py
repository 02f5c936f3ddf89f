"""Standardised data, and models that take raw inputs."""

import numpy as np
import pytest

from bcd_implicit import ImplicitModel
from bcd_implicit.model.standardization import Standardization


def test_standardization_is_numpys():
    rng = np.random.default_rng(0)
    U, Y = 3 + 2 * rng.standard_normal((50, 3)), 1e3 * rng.standard_normal((50, 2))
    U[:, 1] = 7.0  # constant: no scale to divide by
    scales = Standardization.fit(U, Y)
    V, Z = scales.apply(U, Y)
    np.testing.assert_allclose(V[:, [0, 2]], (U - U.mean(axis=0))[:, [0, 2]] / U.std(axis=0)[[0, 2]], atol=1e-12)
    np.testing.assert_allclose(Z, (Y - Y.mean(axis=0)) / Y.std(axis=0), atol=1e-12)
    np.testing.assert_array_equal(V[:, 1], 0.0)
    assert scales.input_scale[1] == 1.0
    np.testing.assert_allclose(V * scales.input_scale + scales.input_mean, U)
    np.testing.assert_allclose(Z * scales.target_scale + scales.target_mean, Y)


@pytest.mark.parametrize("activation", ["relu", "clip"])
def test_raw_model_predicts_as_the_standardised_one(activation):
    rng = np.random.default_rng(1)
    U = rng.standard_normal((30, 4)) * [1, 100, 0.01, 0] + [5, -3, 0, 2]
    Y = rng.standard_normal((30, 2)) * [10, 0.1] + [0, 50]
    scales = Standardization.fit(U, Y)
    n = 5
    A = rng.uniform(-1, 1, (n, n)) * 0.9 / n
    parts = (rng.standard_normal(shape) for shape in ((n, 4), n, (2, n), (2, 4), 2))
    model = ImplicitModel(A, *parts, activation, input_names=list("abcd"), output_names=["s", "t"])
    raw = scales.raw_model(model)
    new = U + rng.standard_normal(U.shape)
    standardised = model.predict((new - scales.input_mean) / scales.input_scale)
    np.testing.assert_allclose(raw.predict(new), standardised * scales.target_scale + scales.target_mean, rtol=1e-7)
    np.testing.assert_array_equal(raw.A, model.A)
    assert (raw.input_names, raw.output_names) == (model.input_names, model.output_names)
