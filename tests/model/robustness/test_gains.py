"""Sensitivities: the formula, sound for all inputs, by name, rounded up."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from boxes import drawn, held_back, layers, made_sparse

import bcd_implicit as bi


def by_formula(model):
    slopes = model.activation.slopes(model.n_hidden)[:, None]
    G = slopes * np.abs(model.A)
    if model.structure().held_back.any():
        G = np.where(np.diag(model.structure().held_back), -G, G)
    through = np.abs(model.C) @ np.linalg.solve(np.eye(len(G)) - G, slopes * np.abs(model.B))
    return np.abs(model.D) + through


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_formula_for_all_kinds_of_models(seed):
    rng = np.random.default_rng(seed)
    for model in (
        drawn(rng, activation=[("relu", 4), ("sigmoid", 4)]),
        drawn(rng, norm=0.95, activation="softplus"),
        held_back(rng),
        layers(rng, (3, 6, 5, 2), "tanh")[0],
    ):
        S, expected = model.sensitivity(), by_formula(model)
        np.testing.assert_allclose(S, expected, rtol=1e-11)
        assert list(S.columns) == model.input_names
        assert list(S.index) == model.output_names
        np.testing.assert_allclose(made_sparse(model).sensitivity(), expected, rtol=1e-11)
        assert model.lipschitz("inf") == pytest.approx(expected.sum(axis=1).max())
        assert model.lipschitz(np.inf) == model.lipschitz()


def test_predictions_do_not_move_by_more():
    rng = np.random.default_rng(5)
    for model in (drawn(rng, activation="tanh"), held_back(rng)):
        S = model.sensitivity().to_numpy()
        U, V = rng.normal(size=(2, 300, 3)) * rng.choice([0.1, 1, 10], (300, 1))
        moved = np.abs(model.predict(U) - model.predict(V))
        assert (moved <= np.abs(U - V) @ S.T + 1e-8).all()
        assert (np.abs(model.jacobian(U)) <= S + 1e-12).all()


def test_it_is_not_below_the_exact_number():
    # Fractions: one state a stage, where nothing but products and sums is rounded.
    rng = np.random.default_rng(6)
    for _ in range(20):
        a, b, c = (rng.uniform(0.1, 3, 6) for _ in range(3))
        A = np.diag(a[1:], -1)
        model = bi.ImplicitModel(A, b[:, None], None, c[None, :])
        exact, asked = Fraction(0), Fraction(0)
        for i in reversed(range(6)):
            asked = Fraction(c[i]) + (Fraction(a[i + 1]) * asked if i < 5 else 0)
            exact += asked * Fraction(b[i])
        assert exact <= Fraction(float(model.sensitivity().iloc[0, 0])) <= exact * (1 + Fraction(1, 10**13))


def test_with_direct_effects_it_is_not_below_the_exact_number():
    rng = np.random.default_rng(8)
    for b, c, d in rng.normal(size=(300, 3)) * [1, 1e-13, 1e-12]:
        model = bi.ImplicitModel([[0.0]], [[b]], None, [[c]], [[d]])
        exact = abs(Fraction(b)) * abs(Fraction(c)) + abs(Fraction(d))
        assert exact <= Fraction(float(model.sensitivity().iloc[0, 0])) <= exact * (1 + Fraction(1, 10**13))


def test_on_a_cycle_it_is_not_below_the_exact_number():
    a, b, c = 0.3, 0.7, 1.1
    exact = Fraction(c) * Fraction(b) / (1 - Fraction(a))
    model = bi.ImplicitModel([[a]], [[b]], None, [[c]])
    assert exact <= Fraction(float(model.sensitivity().iloc[0, 0])) <= exact * (1 + Fraction(1, 10**13))
    # A negative diagonal holds back: 1 / (1 + 3), though |A| proves nothing.
    model = bi.ImplicitModel([[-3.0]], [[1.0]], None, [[1.0]])
    assert float(model.sensitivity().iloc[0, 0]) == pytest.approx(0.25, rel=1e-13)


def test_gains_next_to_one_on_the_diagonal_are_proved_too():
    rng = np.random.default_rng(7)
    for n in (1, 3, 10):
        A = np.diag(rng.uniform(0.9, 0.98, n)) + 1e-3 * rng.normal(size=(n, n))
        model = bi.ImplicitModel(A, rng.normal(size=(n, 2)), None, rng.normal(size=(1, n)))
        assert model.bounds(rng.normal(size=(5, 2)), 0.1, method="perron-frobenius").check()


def test_what_has_no_gain_is_refused():
    squares = bi.ImplicitModel(np.zeros((1, 1)), [[1.0]], None, [[1.0]], activation="square")
    with pytest.raises(bi.InvalidInputError, match="no Lipschitz constant"):
        squares.sensitivity()
    with pytest.raises(bi.NotWellPosedError):
        bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]]).sensitivity()
    with pytest.raises(bi.InvalidInputError, match="unknown norm"):
        squares.lipschitz("nuclear")
