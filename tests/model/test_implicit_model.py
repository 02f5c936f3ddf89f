import warnings

import numpy as np
import pandas as pd
import pytest

from bcd_implicit import ACTIVATIONS, ImplicitModel, InvalidInputError, NotWellPosedError
from bcd_implicit.errors import ConvergenceWarning
from bcd_implicit.model.fixed_point import fixed_point
from bcd_implicit.model.state_map import StateMap
from bcd_implicit.model.well_posedness import gains_of
from bcd_implicit.terms.activations import LeakyRelu, get_activation


def make_model(norm=0.5, n=4, p=3, q=2, seed=0, activation="relu"):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n))
    A *= norm / np.abs(A).sum(axis=1).max() if norm else 0.0
    B, C, D = rng.standard_normal((n, p)), rng.standard_normal((q, n)), rng.standard_normal((q, p))
    return ImplicitModel(A, B, rng.standard_normal(n), C, D, rng.standard_normal(q), activation)


def perron_frobenius_model(seed=0):
    """||A||_inf > 1 but spectral radius of |A| below 1."""
    model = make_model(0.6, n=5, seed=seed)
    v = np.array([1.0, 10.0, 0.1, 3.0, 0.5])
    return ImplicitModel(model.A * v[:, None] / v, model.B * v[:, None], model.b * v, model.C / v, model.D, model.d)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", [0.0, 0.3, 0.95])
def test_states_are_the_equilibrium_within_the_bound(activation, norm):
    model = make_model(norm, activation=activation)
    U = np.random.default_rng(1).standard_normal((20, 3))
    exact = model.states(U, tol=1e-14).X
    residual = exact - model.activation(exact @ model.A.T + U @ model.B.T + model.b)
    assert np.abs(residual).max() < 1e-12
    rough = model.states(U, tol=1e-2)
    error = np.abs(rough.X - exact).max(axis=1)
    assert rough.X.shape == (20, 4)
    assert rough.error_bound.shape == (20,)
    assert np.all(error <= rough.error_bound + 1e-13)
    if norm == 0.95:
        assert error.max() > 1e-6  # the bound is on a real error
    np.testing.assert_allclose(model.predict(U), exact @ model.C.T + U @ model.D.T + model.d, atol=1e-8)


def test_one_hidden_feature_by_hand():
    # x = max(0.5 x + u, 0): x = 2u for u > 0, else 0; y = 3x - u + 1
    model = ImplicitModel([[0.5]], [[1.0]], None, [[3.0]], [[-1.0]], [1.0])
    np.testing.assert_allclose(model.predict([[2.0], [-2.0]]), [[11.0], [3.0]], atol=1e-8)


def test_perron_frobenius_models_work_and_rescale():
    model = perron_frobenius_model()
    assert model.norm_inf() > 1
    assert model.spectral_radius() < 1
    assert model.is_well_posed()
    U = np.random.default_rng(2).standard_normal((30, 3))
    rescaled = model.rescaled()
    assert rescaled.norm_inf() < 1
    np.testing.assert_allclose(rescaled.predict(U), model.predict(U), atol=1e-8)
    exact = model.states(U, tol=1e-14).X
    rough = model.states(U, tol=1e-3)
    assert np.all(np.abs(rough.X - exact).max(axis=1) <= rough.error_bound)


def test_rescaling_needs_positive_homogeneity():
    model = perron_frobenius_model()
    clipped = ImplicitModel(model.A, model.B, model.b, model.C, model.D, model.d, "clip")
    with pytest.raises(InvalidInputError, match="activation: clip is not positively homogeneous"):
        clipped.rescaled()


def test_a_model_beyond_the_bound_can_be_looked_at_but_not_used():
    model = ImplicitModel(1.5 * np.eye(2), np.ones((2, 1)), None, np.ones((1, 2)))
    assert model.norm_inf() == 1.5
    assert model.spectral_radius() == pytest.approx(1.5)
    assert not model.is_well_posed()
    for use in (model.predict, model.states):
        with pytest.raises(NotWellPosedError, match=r"spectral radius of \|A\| is 1.5"):
            use([[1.0]])


def test_spectral_radius_never_exceeds_the_norm():
    for seed in range(20):
        model = make_model(0.8, n=6, seed=seed)
        assert model.spectral_radius() <= model.norm_inf() + 1e-12


@pytest.mark.parametrize("activation", ["relu", LeakyRelu(0.3), "clip"])
def test_save_and_load(tmp_path, activation):
    model = make_model(activation=activation)
    model.input_names = ["a", "b", "ü"]
    model.save(tmp_path / "m.npz")
    again = ImplicitModel.load(tmp_path / "m.npz")
    for part in ("A", "B", "b", "C", "D", "d"):
        np.testing.assert_array_equal(getattr(again, part), getattr(model, part))
    assert again.input_names == ["a", "b", "ü"]
    assert again.activation.name == model.activation.name
    U = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_array_equal(again.predict(U), model.predict(U))
    np.load(tmp_path / "m.npz", allow_pickle=False)["A"]
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_load_refuses_what_is_no_model(tmp_path):
    with pytest.raises(InvalidInputError, match="no such file"):
        ImplicitModel.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("u,y\n1,2\n")
    with pytest.raises(InvalidInputError, match="not a model file"):
        ImplicitModel.load(tmp_path / "text.npz")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(InvalidInputError, match="not a model file"):
        ImplicitModel.load(tmp_path / "empty.npz")
    np.savez(tmp_path / "other.npz", A=np.eye(2))
    with pytest.raises(InvalidInputError, match=r"it lacks format"):
        ImplicitModel.load(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.eye(2))
    with pytest.raises(InvalidInputError, match="not a model file"):
        ImplicitModel.load(tmp_path / "array.npy")
    np.savez(tmp_path / "pickle.npz", A=np.array([{}], dtype=object))
    with pytest.raises(InvalidInputError, match="not a model file"):
        ImplicitModel.load(tmp_path / "pickle.npz")


def test_shapes_are_checked_by_name():
    with pytest.raises(InvalidInputError, match=r"A: has shape \(2, 3\), \(2, 2\) needed"):
        ImplicitModel(np.zeros((2, 3)), np.zeros((2, 1)), None, np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match=r"b: has shape \(3,\), \(2,\) needed"):
        ImplicitModel(np.zeros((2, 2)), np.zeros((2, 1)), np.zeros(3), np.zeros((1, 2)))
    with pytest.raises(InvalidInputError, match="A: contains missing values"):
        ImplicitModel([[np.nan]], [[1.0]], None, [[1.0]])
    with pytest.raises(InvalidInputError, match="U: has 2 columns, 3 needed"):
        make_model().predict(np.zeros((5, 2)))
    with pytest.raises(InvalidInputError, match="input_names: has 2 names for 3 variables"):
        ImplicitModel(np.zeros((1, 1)), np.zeros((1, 3)), None, [[1.0]], input_names=["a", "b"])


def test_unstandardized_takes_raw_inputs():
    model = make_model()
    rng = np.random.default_rng(3)
    U = 5 + 3 * rng.standard_normal((10, 3))
    mean, scale, target_mean, target_scale = U.mean(0), U.std(0), np.array([1.0, -2.0]), np.array([10.0, 0.1])
    raw = model.unstandardized(mean, scale, target_mean, target_scale)
    expected = model.predict((U - mean) / scale) * target_scale + target_mean
    np.testing.assert_allclose(raw.predict(U), expected, rtol=1e-8)


def test_repr_says_what_matters():
    assert repr(make_model(0.25)) == (
        "ImplicitModel(n_hidden=4, n_inputs=3, n_outputs=2, activation='relu', norm_inf=0.25, inputs used=3)"
    )


def test_an_input_that_passes_through_D_alone_is_used():
    model = ImplicitModel([[0.5]], [[1.0, 0, 0]], None, [[1.0]], [[0, 0, 2.0]])
    assert "inputs used=2)" in repr(model)


def test_gains_have_one_owner_and_hide_no_nan():
    A, slopes = np.array([[0.0, -2.0], [np.nan, 0.5]]), np.array([np.inf, 0.25])
    np.testing.assert_array_equal(gains_of(A, slopes), [[0, np.inf], [np.nan, 0.125]])
    model = ImplicitModel([[0.0, -2.0], [0.1, 0.5]], np.ones((2, 1)), None, [[1.0, 1.0]], activation="sigmoid")
    states = StateMap(model.A, np.ones((2, 1)), model.activation, None, 1e-10)
    np.testing.assert_array_equal(states.gains, model.structure().gains())
    with pytest.raises(NotWellPosedError, match="contraction factor nan is not below 1"):
        StateMap(np.array([[np.nan]]), np.ones((1, 1)), model.activation, None, 1e-10)


def test_picard_stops_and_warns_at_its_limit():
    A, drive = np.array([[0.999]]), np.ones((1, 3))
    with pytest.warns(ConvergenceWarning, match="Picard stopped after 5 steps with error bound"):
        point = fixed_point(A, drive, get_activation("relu"), solver="picard", max_iter=5)
    assert point.n_iter == 5
    with pytest.raises(NotWellPosedError, match=r"contraction factor 1 \+ 8.9e-16 is not below 1"):
        fixed_point(np.eye(1), drive, get_activation("relu"))


def test_picard_tolerance_is_relative_to_the_states():
    model = make_model(0.9)
    U = np.random.default_rng(4).standard_normal((10, 3))
    for scale in (1e-6, 1.0, 1e6):
        drive = scale * (model.B @ U.T + model.b[:, None])
        X = fixed_point(model.A, drive, model.activation, tol=1e-10).X
        assert np.abs(X - model.activation(model.A @ X + drive)).max() <= 1e-9 * np.abs(X).max()


def test_data_frames_are_matched_by_name():
    model = make_model()
    U = np.random.default_rng(0).standard_normal((5, 3))
    expected = model.predict(U)
    model.input_names = ["a", "b", "c"]
    table = pd.DataFrame(U, columns=["a", "b", "c"])
    np.testing.assert_array_equal(model.predict(table.assign(other=1.0)[["c", "other", "a", "b"]]), expected)
    np.testing.assert_array_equal(model.states(table[["b", "c", "a"]]).X, model.states(U).X)
    with pytest.raises(InvalidInputError, match="U: lacks the model's input column 'b'.*needs: 'a', 'b', 'c'"):
        model.predict(table[["a", "c"]])


def test_a_model_without_names_takes_columns_in_order():
    model = make_model()
    U = np.random.default_rng(0).standard_normal((5, 3))
    np.testing.assert_array_equal(model.predict(pd.DataFrame(U, columns=["x", "y", "z"])), model.predict(U))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_jacobian_is_the_limit_of_differences(activation):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((4, 4))
    A *= 0.7 / np.abs(A).sum(axis=1, keepdims=True)
    B, C, D = rng.standard_normal((4, 3)), rng.standard_normal((2, 4)), rng.standard_normal((2, 3))
    model = ImplicitModel(A, B, rng.standard_normal(4), C, D, activation=activation)
    U, step = rng.standard_normal((20, 3)), 1e-5
    jacobian = model.jacobian(U)
    assert jacobian.shape == (20, 2, 3)
    for j in range(3):
        change = step * np.eye(3)[j]
        slope = (model.predict(U + change) - model.predict(U - change)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, :, j], slope, atol=1e-4)
    assert np.abs(jacobian - D).max() > 0.1


@pytest.mark.parametrize("n", [10, 30, 60])
def test_states_of_deep_models_with_large_weights_are_exact(n):
    rng = np.random.default_rng(0)
    A = np.triu(rng.standard_normal((n, n)), 1)
    model = ImplicitModel(A, rng.standard_normal((n, 5)), None, rng.standard_normal((1, n)))
    U = rng.standard_normal((3, 5))
    assert model.norm_inf() > 3
    X = np.zeros((n, 3))
    for i in reversed(range(n)):  # a layer after the other
        X[i] = np.maximum(A[i] @ X + model.B[i] @ U.T, 0)
    states = model.states(U)
    np.testing.assert_allclose(states.X.T, X, rtol=1e-10)
    assert np.abs(states.X.T - X).max() <= states.error_bound.max() + 1e-14 * X.max()
    assert model.contraction() <= 0.5 + 1e-9  # half-way between 0 and 1
    if n > 10:
        with pytest.warns(ConvergenceWarning, match="units of the states that are up to .* apart"):
            model.rescaled()


def test_predictions_are_exact_also_where_C_is_large():
    """1e9 (x_1 - 1.4 x_2), which is 1e-9 of x_1: a tolerance of 1e-10 on the states would spoil its first digits."""
    A = np.diag([0.5, 0.3])
    model = ImplicitModel(A, np.array([[1e-9], [0.0]]), np.ones(2), 1e9 * np.array([[1.0, -1.4]]))
    U = np.linspace(0.0, 1.0, 7)[:, None]
    # x_1 = (1e-9 u + 1) / (1 - 0.5) and x_2 = 1 / (1 - 0.3).
    np.testing.assert_allclose(model.predict(U), 2 * U, atol=1e-5)
    rough = model.states(U).X @ model.C.T
    assert np.abs(rough - 2 * U).max() > 1e-3


def test_a_contraction_too_weak_to_certify_is_told():
    A = np.full((4, 4), (1 - 1e-6) / 4) * np.array([[1, -1, 1, -1]])
    model = ImplicitModel(A, np.eye(4), None, np.ones((1, 4)))
    U = np.random.default_rng(0).standard_normal((3, 4))
    with pytest.warns(ConvergenceWarning, match=r"no longer change, but their error is only known to be below"):
        states = model.states(U, solver="picard")
    assert states.error_bound.max() > 1e-6
    # Newton does not wait for changes to shrink: no warning.
    assert model.states(U, solver="active-set").error_bound.max() < 1e-7


def test_frames_are_matched_by_name_and_may_leave_out_what_plays_no_part():
    rng = np.random.default_rng(0)
    A, B, C = 0.1 * np.ones((2, 2)), rng.standard_normal((2, 3)), np.ones((1, 2))
    B[:, 1] = 0.0
    named = ImplicitModel(A, B, None, C, input_names=["a", "b", "c"])
    U = rng.standard_normal((5, 3))
    frame = pd.DataFrame(U, columns=["a", "b", "c"])
    expected = named.predict(U)
    for table in (frame, frame[["c", "b", "a"]], frame[["c", "a"]], frame.assign(b="unread"), frame.assign(d=np.nan)):
        np.testing.assert_array_equal(named.predict(table), expected)
    assert named.jacobian(frame[["a", "c"]]).shape == (5, 1, 3)
    with pytest.raises(
        InvalidInputError, match=r"^U: lacks the model's input column 'a'.*The model needs: '?a'?, '?c'?"
    ):
        named.predict(frame[["b", "c"]])
    with pytest.raises(
        InvalidInputError, match=r"^U: contains missing values \(NaN\): 1 in column 'c' \(first at row 0"
    ):
        named.predict(frame.assign(c=[np.nan, 1, 2, 3, 4]))
    # without names of its own a model takes columns in their order, unless they are called as it calls them
    unnamed = ImplicitModel(A, B, None, C)
    np.testing.assert_array_equal(unnamed.predict(frame), expected)
    own = pd.DataFrame(U, columns=["u0", "u1", "u2"])
    np.testing.assert_array_equal(unnamed.predict(own[["u2", "u0", "u1"]]), expected)
    with pytest.raises(InvalidInputError, match=r"^U: has 2 columns, 3 needed"):
        unnamed.predict(frame[["a", "c"]])


def test_a_model_of_no_input_predicts_for_any_frame():
    model = ImplicitModel(np.zeros((1, 1)), np.zeros((1, 2)), [1.0], [[2.0]], input_names=["a", "b"])
    np.testing.assert_array_equal(model.predict(pd.DataFrame({"z": ["x", "y"]})), [[2.0], [2.0]])


@pytest.mark.parametrize(
    ("U", "message"),
    [
        (np.ones(2), r"^U: is a vector of 2 numbers\. Reshape your data"),
        (np.full((1, 2), 1e300), r"^U: has entries as large as 1\.0e\+300 in column 0\. Scale it to about 1"),
        (np.array([["1", "x"]]), r"^U: column 1 is not numeric: text, row 0 holds .*x"),
    ],
)
def test_inputs_to_predict_from_are_checked_as_those_to_train_on(U, message):
    model = ImplicitModel(np.zeros((1, 1)), np.ones((1, 2)), None, [[1.0]])
    for call in (model.predict, model.states, model.jacobian):
        with pytest.raises(InvalidInputError, match=message):
            call(U)


@pytest.mark.parametrize("letter", ["A", "B", "b", "C", "D", "d"])
def test_entries_that_could_overflow_are_refused_by_name(tmp_path, monkeypatch, letter):
    monkeypatch.chdir(tmp_path)
    parts = {"A": [[0.5]], "B": [[1.0]], "b": [1.0], "C": [[1.0]], "D": [[1.0]], "d": [1.0]}
    ImplicitModel(**parts).save("m.npz")
    with np.load("m.npz") as archive:
        np.savez("m.npz", **{**archive, letter: np.full_like(archive[letter], -1e308)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            InvalidInputError, match=rf"^{letter}: has entries as large as 1\.0e\+308, but the limit is 1e\+100"
        ):
            ImplicitModel(**parts | {letter: np.full_like(parts[letter], -1e308)})
        with pytest.raises(
            InvalidInputError, match=rf"^m\.npz: holds a model that cannot be used \({letter}: has entries"
        ):
            ImplicitModel.load("m.npz")


@pytest.mark.parametrize("solver", ["auto", "picard", "active-set", "anderson", "broyden"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("A", [[[0.3, -0.6], [0.49, 0.49]], [[0.0, 1e30], [0.0, 0.0]]])
def test_the_largest_models_do_not_overflow(A, activation, solver):
    largest = 1e100 * np.ones((2, 2))
    model = ImplicitModel(A, largest, largest[0], largest, largest, largest[0], activation)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert np.isfinite(model.predict(1e40 * np.array([[1, 1], [-1, 1], [0, 0]]), solver=solver)).all()
        assert np.isfinite(model.jacobian([[1e40, 1e40]])).all()
        gradient = model.vjp([[1e40, 1e40]], [[1, 1]])
        assert all(np.isfinite(getattr(gradient, letter)).all() for letter in "ABbCDdU")
        assert min(np.min(bound) for bound in gradient.error_bound.values()) >= 0


def test_units_that_are_too_far_apart_are_not_certified():
    chain = ImplicitModel(np.diag([1e100] * 4, 1), np.ones((5, 1)), None, np.ones((1, 5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for call in (chain.contraction, chain.rescaled):
            with pytest.raises(
                NotWellPosedError, match=r"the states' units would be .* apart, 1e\+40 at most\. Choose"
            ):
                call()
        # Without a cycle states need no units, but numbers end at 1e308.
        with pytest.raises(InvalidInputError, match="^A: makes the states for these inputs overflow"):
            chain.predict([[1.0]])


@pytest.mark.parametrize("path", [None, 3, True, b"m.npz", ["m.npz"], ""])
def test_paths_that_are_none(path):
    model = ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    for call in (ImplicitModel.load, model.save):
        with pytest.raises(InvalidInputError, match=r"^path: got .*\. Give the name of a file, as text"):
            call(path)
