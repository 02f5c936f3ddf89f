"""Generated data keep what their docstrings promise, and the real tables are the ones they say."""

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import InvalidInputError, datasets
from bcd_implicit.terms.penalties import column_norms

SMALL = {"n_samples": 300, "n_features": 12, "n_outputs": 7, "n_hidden": 6, "n_informative": 4}
FAMILIES = [datasets.make_column_sparse, datasets.make_even]


@pytest.mark.parametrize("make", FAMILIES)
def test_shapes_and_support(make):
    data = make(**SMALL, noise=0.0, random_state=3)
    assert data.U.shape == (300, 12)
    assert data.Y.shape == (300, 7)
    assert data.model.B.shape == (6, 12)
    assert data.support.dtype == bool
    assert data.support.sum() == 4
    np.testing.assert_array_equal(data.support, column_norms(data.model.B) > 0)
    np.testing.assert_array_equal(data.model.D, 0.0)  # the inputs act through B alone


@pytest.mark.parametrize("make", FAMILIES)
def test_outputs_are_the_models_with_unit_variance(make):
    data = make(**SMALL, noise=0.0, random_state=3)
    np.testing.assert_allclose(data.Y, data.model.predict(data.U), rtol=0, atol=1e-12)
    np.testing.assert_allclose(data.Y.mean(axis=0), 0.0, atol=1e-8)
    np.testing.assert_allclose(data.Y.std(axis=0), 1.0, rtol=1e-8)


def test_defaults_are_the_blogs():
    data = datasets.make_column_sparse(random_state=0)
    assert (data.U.shape, data.Y.shape, data.model.n_hidden) == ((400, 50), (400, 100), 20)
    assert (data.support.sum(), data.noise) == (10, 0.0)


@pytest.mark.parametrize(("make", "norm"), [(datasets.make_column_sparse, 0.5), (datasets.make_even, 0.25)])
def test_norm_of_the_generating_model(make, norm):
    assert make(**SMALL, random_state=1).model.norm_inf() == pytest.approx(norm, rel=1e-12)


@pytest.mark.parametrize("make", FAMILIES)
def test_random_state_decides_everything(make):
    one, same, other = (make(**SMALL, noise=0.3, random_state=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.U, same.U)
    np.testing.assert_array_equal(one.Y, same.Y)
    np.testing.assert_array_equal(one.model.B, same.model.B)
    assert np.abs(one.U - other.U).max() > 0.1
    assert np.abs(one.Y - other.Y).max() > 0.1


@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_noise_has_the_level_asked_for(make, noise):
    sizes = SMALL | {"n_samples": 2000}
    data = make(**sizes, noise=noise, random_state=2)
    assert data.noise == noise
    rest = data.Y - data.model.predict(data.U)
    # The standard deviation of N normal draws is right to 1/sqrt(2N): four of those, for all and for each output.
    assert rest.std() == pytest.approx(noise, rel=4 / np.sqrt(2 * rest.size))
    np.testing.assert_allclose(rest.std(axis=0), noise, rtol=4 / np.sqrt(2 * 2000))


@pytest.mark.parametrize("make", FAMILIES)
def test_sample_is_fresh_and_free_of_noise(make):
    data = make(**SMALL, noise=0.5, random_state=2)
    U, Y = data.sample(25, 9)
    assert (U.shape, Y.shape) == ((25, 12), (25, 7))
    np.testing.assert_array_equal(Y, data.model.predict(U))
    np.testing.assert_array_equal(U, data.sample(25, 9)[0])
    assert np.abs(U - data.U[:25]).max() > 0.1
    with pytest.raises(InvalidInputError, match=r"^n_samples: got 0, must be >= 1"):
        data.sample(0, 9)


def test_even_data_are_even():
    data = datasets.make_even(**SMALL, random_state=4)
    U, Y = data.sample(50, 1)
    np.testing.assert_allclose(data.model.predict(-U), Y, rtol=0, atol=1e-8)
    sparse = datasets.make_column_sparse(**SMALL, random_state=4)
    assert np.abs(sparse.model.predict(-U) - sparse.model.predict(U)).max() > 1  # the other family is not


def test_even_data_show_linear_methods_nothing():
    m = 20_000
    rng_state = 4
    correlations = {}
    for make in FAMILIES:
        data = make(**SMALL | {"n_samples": m}, noise=0.0, random_state=rng_state)
        both = np.corrcoef(data.U.T, data.Y.T)[: data.U.shape[1], data.U.shape[1] :]
        correlations[make] = np.abs(both[data.support])
    # u and y are uncorrelated but not independent: their product has a heavier tail than the 1/sqrt(m) of normal draws.
    assert correlations[datasets.make_even].max() < 10 / np.sqrt(m)
    assert correlations[datasets.make_column_sparse].max() > 50 / np.sqrt(m)


@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": 1}, r"^n_samples: got 1, must be >= 2"),
        ({"n_features": 0}, r"^n_features: got 0, must be >= 1"),
        ({"n_outputs": 1.5}, r"^n_outputs: must be a whole number, got 1\.5"),
        ({"n_hidden": 0}, r"^n_hidden: got 0, must be >= 1"),
        ({"n_informative": 0}, r"^n_informative: got 0, must be >= 1"),
        ({"n_informative": 13}, r"^n_informative: got 13, must be <= 12\. At most n_features"),
        ({"noise": -0.1}, r"^noise: got -0\.1, must be >= 0\. A share of each output's standard deviation"),
        ({"noise": np.nan}, r"^noise: must be finite, got nan"),
    ],
)
def test_errors_name_the_argument(make, options, message):
    with pytest.raises(InvalidInputError, match=message):
        make(**SMALL | options)


def test_even_data_need_pairs_of_hidden_units():
    with pytest.raises(InvalidInputError, match=r"^n_hidden: must be even, got 5\. Hidden units come in pairs"):
        datasets.make_even(**SMALL | {"n_hidden": 5})


# Real tables ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inputs", "targets"), [("diabetes", (442, 10), 1), ("linnerud", (20, 3), 3), ("digits", (1797, 64), 10)]
)
def test_tables(name, inputs, targets):
    table = datasets.TABLES[name]()
    assert table.name == name
    assert table.inputs.shape == inputs
    assert table.targets.shape == (inputs[0], targets)
    assert table.inputs.index.equals(table.targets.index)
    for part in (table.inputs, table.targets):
        assert part.columns.is_unique
        assert all(pd.api.types.is_float_dtype(kind) for kind in part.dtypes)
        assert np.isfinite(part.to_numpy()).all()


def test_diabetes_is_in_its_own_units():
    table = datasets.load_diabetes()
    assert list(table.targets.columns) == ["progression"]
    assert table.inputs["age"].between(18, 80).all()  # years, not standardised


def test_digits():
    table = datasets.load_digits()
    assert (table.inputs.std() == 0).sum() == 3  # constant pixels
    assert list(table.targets.columns) == [f"digit_{k}" for k in range(10)]
    np.testing.assert_array_equal(table.targets.sum(axis=1), 1.0)
    assert set(np.unique(table.targets)) == {0.0, 1.0}


def test_some_digits():
    table, everything = datasets.load_digits([3, 8]), datasets.load_digits()
    kept = everything.targets[["digit_3", "digit_8"]].any(axis=1).to_numpy()
    assert list(table.targets.columns) == ["digit_3", "digit_8"]
    np.testing.assert_array_equal(table.inputs, everything.inputs[kept])
    np.testing.assert_array_equal(table.targets, everything.targets.loc[kept, ["digit_3", "digit_8"]])
    assert list(table.inputs.index) == list(range(len(table.inputs)))


@pytest.mark.parametrize("classes", [[], [12], [3, 12]])
def test_unknown_digits(classes):
    with pytest.raises(InvalidInputError, match=r"^classes: \[.*\] are not all digits\. Name digits from 0 to 9"):
        datasets.load_digits(classes)


def test_correlated_inputs_have_the_correlation_asked_for_also_in_fresh_samples():
    data = datasets.make_column_sparse(20_000, 6, 3, 4, 2, correlation=0.8, random_state=0)
    fresh, _ = data.sample(20_000, 1)
    expected = 0.8 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    for U in (data.U, fresh):
        np.testing.assert_allclose(np.corrcoef(U.T), expected, atol=0.03)
        np.testing.assert_allclose(U.std(axis=0), 1.0, atol=0.03)
    with pytest.raises(InvalidInputError, match="correlation"):
        datasets.make_column_sparse(correlation=1.0)


def test_pass_through_uses_the_same_inputs_and_half_the_variance():
    data = datasets.make_column_sparse(5_000, 8, 6, 10, 3, pass_through=True, random_state=0)
    assert (data.model.D.any(axis=0) == data.support).all()
    assert (data.model.B.any(axis=0) == data.support).all()
    through = data.U @ data.model.D.T
    rest = data.Y - through
    assert through.var(axis=0).sum() == pytest.approx(rest.var(axis=0).sum(), rel=0.5)
    np.testing.assert_allclose(data.Y.std(axis=0), 1.0, rtol=1e-10)
    assert not datasets.make_column_sparse(50, 8, 6, 10, 3, random_state=0).model.D.any()
