"""Models put together: predictions, verdicts, Jacobians, names and links against those of the parts."""

import control
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from composed import drawn_graph, drawn_part

import bcd_implicit as bi
from bcd_implicit import ImplicitModel, InvalidInputError, NotWellPosedError, compose


def check_graph(seed, **options):
    rng = np.random.default_rng(seed)
    f = drawn_graph(rng, int(rng.integers(2, 11)), **options)
    U = rng.standard_normal((8, f.model.B.shape[1]))
    expected = f.predict(U)
    off = np.abs(f.model.predict(U) - expected).max() / np.abs(expected).max()
    assert off <= 1e-10, seed
    assert f.model.is_well_posed()


@pytest.mark.parametrize("seed", range(60))
def test_predictions_of_a_composition_are_those_of_its_parts(seed):
    check_graph(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 500))
def test_predictions_of_many_more_compositions_are_those_of_their_parts(seed):
    check_graph(seed)


def test_a_wrong_composition_is_seen():
    # The other order of a cascade, and another sign of K: what the check of graphs goes by can fail.
    rng = np.random.default_rng(0)
    f, g = (drawn_part(rng, 2, 2, cyclic=True) for _ in range(2))
    U, K = rng.standard_normal((8, 2)), 0.02 * rng.standard_normal((2, 2))
    assert np.abs((f.model @ g.model).predict(U) - g.predict(f.predict(U))).max() > 1e-3
    Y = f.model.feedback(-K).predict(U)
    assert np.abs(Y - f.predict(U + Y @ K.T)).max() > 1e-3


@pytest.mark.parametrize("seed", range(40))
def test_without_feedback_a_composition_is_well_posed_if_and_only_if_all_parts_are(seed):
    rng = np.random.default_rng(seed)
    f = drawn_graph(rng, int(rng.integers(2, 8)), ill_posed=0.15, feedback=False)
    assert f.model.is_well_posed() == f.well_posed
    if not f.well_posed:
        with pytest.raises(NotWellPosedError, match="not below 1, so an equilibrium need not exist"):
            f.model.predict(np.zeros((1, f.model.B.shape[1])))


def scalar_cycle(gain, weight=1.0):
    """x = relu(gain x + u), y = weight x."""
    return ImplicitModel([[gain]], [[1.0]], None, [[weight]])


def test_the_radius_of_a_cascade_is_the_largest_of_its_parts_whatever_the_norm():
    f, g = scalar_cycle(0.8, weight=15.0), scalar_cycle(0.5)
    h = g @ f
    assert h.norm_inf() == 15.5
    assert h.spectral_radius() == pytest.approx(0.8)
    assert h.structure().reason == (
        "well-posed: L ||A||_inf is 0.8, below 1, on all 2 components with a cycle (2 of 2 states: 1 of part 1 "
        "and 1 of part 2)"
    )
    # x1 = 2 / (1 - 0.8), x2 = 15 x1 / (1 - 0.5)
    assert h.predict([[2.0]])[0, 0] == pytest.approx(300.0, rel=1e-10)


def test_an_ill_posed_feedback_is_refused_and_its_states_are_named():
    f = scalar_cycle(0.5) | scalar_cycle(0.2).feedback(0.9)
    with pytest.raises(NotWellPosedError, match=r"radius of \|A\| is 1.1 on the component of 1 state \(1\)"):
        f.predict([[1.0]])
    assert "not known to be well-posed: the spectral radius of L |A| is 1.1, not below 1" in f.structure().reason
    square = scalar_cycle(0.0) * scalar_cycle(0.0)
    with pytest.raises(NotWellPosedError, match="square, which has no Lipschitz constant, is in the cycle of 4 states"):
        square.feedback(0.1).predict([[1.0]])


def test_feedback_that_leaves_outputs_undetermined_is_refused():
    f = compose.affine(np.diag([2.0, 1.0]))
    with pytest.raises(InvalidInputError, match="makes I - DK singular"):
        f.feedback(np.diag([0.5, 0.0]))
    np.testing.assert_allclose(f.feedback(np.diag([0.25, 0.0])).predict([[1.0, 1.0]]), [[4.0, 1.0]])


def test_a_feedback_makes_no_cycle_where_outputs_do_not_lead_back():
    # y2 depends on y1 and on y0, these on nothing: rounding in (I - DK)^-1 must not close a circle.
    rng = np.random.default_rng(0)
    order = rng.permutation(6)
    D = np.tril(rng.standard_normal((6, 6)), -1)[np.ix_(order, order)]
    relus = ImplicitModel(np.zeros((6, 6)), np.eye(6), None, np.zeros((6, 6)), D)
    squares = ImplicitModel(np.zeros((6, 6)), D, None, np.eye(6), D, activation="square")
    for f in (relus, squares, relus + squares):
        closed = f.feedback(np.eye(6))
        assert closed.structure().acyclic
        U = rng.standard_normal((5, 6))
        Y = closed.predict(U)
        np.testing.assert_allclose(Y, f.predict(U + Y), rtol=1e-9, atol=1e-9 * np.abs(Y).max())


def test_a_model_in_the_feedback():
    rng = np.random.default_rng(1)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        f, g = drawn_part(rng, 3, 2, cyclic=True), drawn_part(rng, 2, 3, cyclic=True)
        small = 0.02 * g.model
        closed = f.model.feedback(small)
        U = rng.standard_normal((6, 3))
        Y = closed.predict(U)
        np.testing.assert_allclose(Y, f.predict(U + 0.02 * g.predict(Y)), rtol=1e-9, atol=1e-9)
        assert (closed.B.shape, closed.C.shape[0]) == ((closed.n_hidden, 3), 2)


@pytest.mark.parametrize("seed", range(30))
def test_small_gain_is_sufficient_and_the_sensitivity_bounds_jacobians(seed):
    rng = np.random.default_rng(seed)
    f = drawn_part(rng, 3, 2, radius=rng.uniform(0.1, 0.95), cyclic=True).model
    K = rng.standard_normal((3, 2)) * 10 ** rng.uniform(-3, 0)
    gains = compose.small_gain(f, K)
    assert np.all(np.abs(f.jacobian(rng.standard_normal((20, 3)))) <= gains.sensitivity + 1e-12)
    assert gains.proves == (np.abs(np.linalg.eigvals(np.abs(K) @ gains.sensitivity)).max() < 1)
    # At a gain of just below 1, and at what was drawn.
    assert f.feedback(0.999 * K / gains.gain).is_well_posed()
    assert not gains.proves or gains.closed.is_well_posed()
    assert gains.reason.startswith(gains.closed.structure().reason)


def test_small_gain_says_what_it_proves():
    gains = compose.small_gain(scalar_cycle(0.5), 0.25)
    assert (gains.gain, gains.sensitivity) == (pytest.approx(0.5), pytest.approx(2.0))
    assert gains.reason.endswith("Small gain: the spectral radius of |K| S is 0.5, below 1, which proves it")
    # -0.8 takes 0.5 to -0.3: only the whole's own test sees the sign.
    gains = compose.small_gain(scalar_cycle(0.5), -0.8)
    assert not gains.proves
    assert gains.closed.is_well_posed()
    assert "1.6, not below 1, which proves nothing" in repr(gains)
    in_loop = compose.small_gain(scalar_cycle(0.5), scalar_cycle(0.0, weight=0.25))
    assert in_loop.gain == pytest.approx(0.5)
    with pytest.raises(InvalidInputError, match="no Lipschitz constant"):
        compose.small_gain(scalar_cycle(0.0) * scalar_cycle(0.0), 0.1)
    with pytest.raises(NotWellPosedError):
        compose.small_gain(scalar_cycle(1.5), 0.1)


def linear(rng, p, q):
    """A linear model, and the system x+ = Ax + Bu, y = Cx + Du of which it is the state of rest."""
    f = drawn_part(rng, p, q, functions=["identity"], cyclic=True).model
    f = ImplicitModel(f.A, f.B, None, f.C, f.D, None, "identity")
    return f, control.ss(f.A, f.B, f.C, f.D, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_linear_models_compose_as_in_python_control(seed):
    rng = np.random.default_rng(seed)
    (f, sf), (g, sg), (h, sh) = linear(rng, 3, 2), linear(rng, 2, 3), linear(rng, 3, 2)
    K = 0.05 * rng.standard_normal((3, 2))
    small = control.ss(sg.A, sg.B, 0.03 * sg.C, 0.03 * sg.D, 1.0)
    for ours, theirs in [
        (g @ f, control.series(sf, sg)),
        (f + h, control.parallel(sf, sh)),
        (f - h, control.parallel(sf, control.negate(sh))),
        (f & g, control.append(sf, sg)),
        (f.feedback(K), control.feedback(sf, K, sign=1)),
        (f.feedback(0.03 * g), control.feedback(sf, small, sign=1)),
        (f | h, control.append(sf, sh) * np.vstack([np.eye(3), np.eye(3)])),
    ]:
        p = ours.B.shape[1]
        np.testing.assert_allclose(ours.predict(np.eye(p)).T, control.dcgain(theirs), rtol=1e-9, atol=1e-9)
        # Without minimal realisations the states are the same, too: so are the eigenvalues.
        np.testing.assert_allclose(
            np.sort_complex(np.linalg.eigvals(ours.A)), np.sort_complex(theirs.poles()), rtol=1e-6, atol=1e-6
        )


def test_jacobians_follow_the_chain_rule():
    rng = np.random.default_rng(3)
    f, g, h = (
        drawn_part(rng, *sizes, functions=["tanh", "sigmoid", "softplus"]).model for sizes in ((3, 2), (2, 2), (3, 2))
    )
    U, K, M = rng.standard_normal((9, 3)), 0.02 * rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
    Jf, Jh, Y, Z = f.jacobian(U), h.jacobian(U), f.predict(U)[:, :, None], h.predict(U)[:, :, None]
    closed = f.feedback(K)
    J = f.jacobian(U + closed.predict(U) @ K.T)
    for model, expected in [
        (g @ f, g.jacobian(f.predict(U)) @ Jf),
        (f + h, Jf + Jh),
        (f * h, Jf * Z + Y * Jh),
        (f | h, np.concatenate([Jf, Jh], axis=1)),
        (M @ f, M @ Jf),
        (closed, np.linalg.solve(np.eye(2) - J @ K, J)),
    ]:
        np.testing.assert_allclose(model.jacobian(U), expected, rtol=1e-8, atol=1e-9)


# Names and links --------------------------------------------------------------------------------------------


def named(inputs, outputs, seed=0, link="identity"):
    rng = np.random.default_rng(seed)
    f = drawn_part(rng, len(inputs), len(outputs)).model
    return compose.labelled(f, input_names=inputs, output_names=outputs, link=link)


def test_variables_with_names_of_their_own_are_matched_by_name():
    f, g = named(["a", "b"], ["x", "y", "z"]), named(["z", "x"], ["out"], 1)
    U = np.random.default_rng(2).standard_normal((5, 2))
    h = g @ f
    np.testing.assert_allclose(h.predict(U), g.predict(f.predict(U)[:, [2, 0]]), rtol=1e-9, atol=1e-9)
    assert (h.input_names, h.output_names) == (["a", "b"], ["out"])
    np.testing.assert_allclose(h.predict(pd.DataFrame(U[:, ::-1], columns=["b", "a"])), h.predict(U))
    # Inputs of a sum, and outputs.
    other = named(["b", "a"], ["z", "x", "y"], 3)
    for both, of in [(f + other, np.add), (f * other, np.multiply)]:
        expected = of(f.predict(U), other.predict(U[:, ::-1])[:, [1, 2, 0]])
        np.testing.assert_allclose(both.predict(U), expected, rtol=1e-9, atol=1e-9)
        assert both.output_names == ["x", "y", "z"]
    # Without names on one side, by order; the names there are stay.
    plain = drawn_part(np.random.default_rng(4), 3, 1).model
    np.testing.assert_allclose((plain @ f).predict(U), plain.predict(f.predict(U)), rtol=1e-9, atol=1e-9)
    assert (plain @ f).output_names == ["y0"]
    assert (2 - 3 * f / 4).output_names == ["x", "y", "z"]
    assert (np.ones((1, 3)) @ f).output_names == ["y0"]
    assert f.feedback(0.01 * np.ones((2, 3))).output_names == ["x", "y", "z"]


def test_names_that_occur_twice_side_by_side_get_the_number_of_their_model():
    f, g = named(["a", "b"], ["x", "y"]), named(["a", "b"], ["y", "z"], 1)
    assert (f | g).output_names == ["x", "1.y", "2.y", "z"]
    assert (f & g).input_names == ["1.a", "1.b", "2.a", "2.b"]
    assert compose.stack(f, g, f).output_names == ["1.x", "1.y", "2.y", "z", "3.x", "3.y"]
    odd = named(["a", "b"], ["y", "2.y"], 2)
    assert (odd | g).output_names == ["1.y", "1.2.y", "2.y", "2.z"]
    plain = drawn_part(np.random.default_rng(3), 2, 1).model
    assert (f | plain).output_names == ["x", "y", "y0"]
    assert (plain | plain).output_names == ["y0", "y1"]


def test_names_that_do_not_match_are_told():
    f, g = named(["a", "b"], ["x", "y"]), named(["x", "w"], ["out"], 1)
    with pytest.raises(InvalidInputError, match="comes after takes the inputs 'w', but the one before gives 'x', 'y'"):
        g @ f
    with pytest.raises(InvalidInputError, match="one has the inputs 'x', 'w', but another has 'a', 'b'"):
        compose.stack(f, g)
    renamed = compose.labelled(g, input_names=["x", "y"])
    assert (renamed @ f).output_names == ["out"]


def test_links_stay_where_they_mean_the_same_and_are_refused_where_they_do_not():
    f, g = named(["a"], ["x"], 0, "logit"), named(["a"], ["x"], 1, "logit")
    rates, numbers = compose.labelled(g, link="log"), compose.labelled(g, link="identity", input_names=["x"])
    for kept in (f + g, f | g, f & g, 2 * f, f - 1, f @ [[2.0]], f.feedback(0.01)):
        assert kept.link == "logit"
    assert {(numbers @ f).link, (f * g).link, ([[2.0]] @ f).link, (f * rates).link} == {"identity"}
    np.testing.assert_allclose((numbers @ f).predict([[1.0]]), numbers.predict(f.predict([[1.0]])), rtol=1e-9)
    with pytest.raises(InvalidInputError, match=r"different scales \(log, logit\).*bi.compose.labelled"):
        f + rates
    classes = compose.labelled(f, link="softmax")
    assert (classes + classes).link == "softmax"
    with pytest.raises(InvalidInputError, match="softmax scale"):
        classes | classes


# Kinds of matrices ------------------------------------------------------------------------------------------


def test_sparse_parts_stay_sparse_and_dense_ones_dense():
    rng = np.random.default_rng(0)
    f, g = drawn_part(rng, 2, 2, kind=sp.csr_array).model, drawn_part(rng, 2, 2).model
    for h in (g @ f, f @ g, f + g, f | g, f & g, f * g, f.feedback(0.01)):
        assert sp.issparse(h.A)
    for h in (g @ g, g + g, g | g, g & g, g * g, g.feedback(0.01), 2 * g, np.eye(2) @ g):
        assert not any(map(sp.issparse, (h.A, h.B, h.C, h.D)))
    for h in (sp.eye_array(2) @ g, g @ sp.eye_array(2), g.feedback(sp.csr_array(0.01 * np.eye(2)))):
        assert h.predict(np.ones((1, 2))).shape == (1, 2)


def test_large_results_become_sparse():
    n = 100
    f = ImplicitModel(0.5 * np.eye(n), np.ones((n, 1)), None, np.ones((1, n)))
    many = compose.stack(*[f] * 12)
    assert many.A.shape == (1200, 1200)
    assert sp.issparse(many.A)
    assert not sp.issparse(compose.stack(*[f] * 5).A)
    np.testing.assert_allclose(many.predict([[1.0]]), np.full((1, 12), 200.0))


def test_affine_maps_have_a_state_that_compositions_leave_out(tmp_path):
    rng = np.random.default_rng(0)
    f = drawn_part(rng, 2, 3).model
    M, c, U = rng.standard_normal((2, 3)), rng.standard_normal(2), rng.standard_normal((4, 2))
    out = compose.affine(M, c, input_names=["p", "q", "r"], output_names=["s", "t"])
    assert out.n_hidden == 1
    np.testing.assert_array_equal(out.predict(np.ones((1, 3))), [M.sum(axis=1) + c])
    h = compose.cascade(compose.affine(np.eye(2), [1.0, -1.0]), f, out)
    assert h.n_hidden == f.n_hidden
    np.testing.assert_allclose(h.predict(U), f.predict(U + np.array([1, -1])) @ M.T + c, rtol=1e-9, atol=1e-9)
    h.save(tmp_path / "h.npz")
    again = ImplicitModel.load(tmp_path / "h.npz")
    np.testing.assert_array_equal(again.predict(U), h.predict(U))
    assert again.output_names == ["s", "t"]
    maps = out @ np.ones((3, 1)) | compose.affine([[2.0]])
    np.testing.assert_allclose(maps.predict([[3.0]]), [[*(3 * M.sum(axis=1) + c), 6.0]])
    assert maps.n_hidden == 1


def test_operands_may_be_lists_series_numbers_and_sparse_matrices():
    f = drawn_part(np.random.default_rng(0), 2, 2).model
    U = np.random.default_rng(1).standard_normal((4, 2))
    Y, c = f.predict(U), [1, 2]
    for model, expected in [
        (f + c, Y + c),
        (pd.Series([1.0, 2.0]) + f, Y + c),
        (np.array([1, 2]) - f, c - Y),
        (np.float64(2) * f, 2 * Y),
        (np.array(2.0) * f, 2 * Y),
        (f / np.array([2, 4]), Y / [2, 4]),
        ([[1, 2]] @ f, Y @ [[1], [2]]),
        ([1, 2] @ f, Y @ [[1], [2]]),
        (f @ [1, 2], f.predict(U[:, :1] * [1, 2])),
        (np.eye(2)[::-1] @ f, Y[:, ::-1]),
        (f @ pd.DataFrame(np.eye(2)[::-1]), f.predict(U[:, ::-1])),
        (sum([f, f, f]), 3 * Y),
        (compose.total(f, f, f), 3 * Y),
        (compose.product(f, f, f), Y**3),
        (compose.parallel(f), Y),
        (compose.feedback(f, 0.0), Y),
        (compose.cascade([[1, 0]], [[1], [0]], f), f.predict(U * [1, 0])),
    ]:
        found = model.predict(U[:, : model.B.shape[1]])
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda f: compose.affine(np.ones((3, 3))) @ f, "comes after takes 3 inputs, but the one before gives 2"),
        (lambda f: f + compose.affine(np.ones((2, 3))), "one has 3 inputs, but another has 2"),
        (lambda f: f + compose.affine(np.ones((3, 2))), "one has 3 outputs, but another has 2"),
        (lambda f: f * compose.affine(np.ones((3, 2))), "one has 3 outputs, but another has 2"),
        (lambda f: f | compose.affine(np.ones((3, 3))), "one has 3 inputs, but another has 2"),
        (lambda f: np.ones((2, 3)) @ f, r"M: has shape \(2, 3\), \(any, 2\) needed"),
        (lambda f: f @ np.ones((3, 2)), r"N: has shape \(3, 2\), \(2, any\) needed"),
        (lambda f: f @ [[np.nan, 1], [0, 1]], "N: .*NaN"),
        (lambda f: f - [1, 2, 3], r"c: has shape \(3,\), \(2,\) needed"),
        (lambda f: f * np.eye(2), "matrices go with M @ f"),
        (lambda f: f / 0, "divisors: contain 0"),
        (lambda f: f * np.inf, "factors: must be finite"),
        (lambda f: f.feedback(np.ones((3, 2))), r"K: has shape \(3, 2\), \(2, 2\) needed"),
        (lambda f: f.feedback("K"), "K: must be a matrix, a number or a model, got 'K'"),
        (lambda f: ([[1, 0]] @ f).feedback(0.5), "K: is a number, but there are 2 inputs and 1 outputs"),
        (lambda f: f.feedback([[1, 0]] @ f), "with feedback takes 2 inputs, but the other one gives 1"),
        (lambda f: 1e99 * (1e99 * f), "entries as large as"),
        (lambda f: compose.cascade(), "models: there are none"),
        (lambda f: compose.stack(f, "g"), r"models\[1\]: is str, not an ImplicitModel"),
        (lambda f: compose.feedback(3, 0.1), "model: is int, not an ImplicitModel"),
        (lambda f: compose.affine([[1.0, 2.0]], [1, 2]), "c: has 2 entries for 1 row"),
        (lambda f: compose.labelled(f, link="cauchit"), "unknown link 'cauchit'"),
        (lambda f: compose.labelled(f, output_names=["a"]), "1 names for 2 variables"),
    ],
)
def test_operands_that_do_not_fit_are_named(wrong, message):
    f = drawn_part(np.random.default_rng(0), 2, 2).model
    with pytest.raises(InvalidInputError, match=message):
        wrong(f)


@pytest.mark.parametrize(
    "wrong",
    [lambda f: f + "a", lambda f: f - None, lambda f: f @ 3, lambda f: f | 3, lambda f: f & [1], lambda f: f * "a",
     lambda f: 3 @ f, lambda f: f / f, lambda f: "a" - f, lambda f: f + True],
)  # fmt: skip
def test_other_operands_are_a_type_error_as_everywhere_in_python(wrong):
    with pytest.raises(TypeError, match="unsupported operand|multiply sequence"):
        wrong(drawn_part(np.random.default_rng(0), 2, 2).model)


def test_bi_compose_offers_what_is_no_operator():
    assert set(bi.compose.__all__) >= {"affine", "cascade", "feedback", "labelled", "small_gain", "stack"}
    assert all(getattr(bi.compose, name).__doc__ for name in bi.compose.__all__)
