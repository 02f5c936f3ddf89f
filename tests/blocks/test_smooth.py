"""Solvers know the samples only through the interface: a sum of two fits, half of the samples each, serves as well."""

import numpy as np
import pytest
from problems import at, random_problem

from bcd_implicit import solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.kronecker import KroneckerModel, approach
from bcd_implicit.blocks.proximal_newton import minimise


class SumOfFits:
    """A smooth part, its Hessian, or both, that is a weighted sum of several."""

    def __init__(self, fits, weights):
        self.fits, self.weights, self.constant = fits, weights, True

    def added(self, answers):
        return sum(weight * answer for weight, answer in zip(self.weights, answers, strict=True))

    @property
    def curvature(self):
        return self.added(fit.curvature for fit in self.fits)

    @property
    def row_weights(self):
        return self.added(fit.row_weights for fit in self.fits)

    @property
    def n_samples(self):
        return sum(fit.n_samples for fit in self.fits)

    def value_and_gradient(self, T):
        values, gradients = zip(*(fit.value_and_gradient(T) for fit in self.fits), strict=True)
        return self.added(values), self.added(gradients)

    def hessian(self, T):
        return SumOfFits([fit.hessian(T) for fit in self.fits], self.weights)

    def product(self, V):
        return self.added(fit.product(V) for fit in self.fits)

    def gram_matrix(self, columns):
        return self.added(fit.gram_matrix(columns) for fit in self.fits)

    def squares(self):
        return self.added(fit.squares() for fit in self.fits)

    def matrix(self):
        matrices = [fit.matrix() for fit in self.fits]
        return None if matrices[0] is None else self.added(matrices)


@pytest.mark.parametrize("matrix", [True, False], ids=["matrix", "products"])
@pytest.mark.parametrize("block", ["hidden", "prox-linear"])
def test_half_of_the_samples_here_and_half_there(block, matrix, monkeypatch):
    monkeypatch.setattr("bcd_implicit.blocks.newton_direction.LARGEST_MATRIX", 10**9 if matrix else 0)
    problem = random_problem((4, 10, 2, 50), kappa=0.05, fit_intercept=False)  # means are over all samples
    options = {"mu": 0.5} if block == "prox-linear" else {}
    whole = make_block(problem, at(problem, block), block, **options)
    fits = []
    for samples in (np.arange(20), np.arange(20, 50)):
        half = problem.subset(samples)
        it = whole.it.replace(X=whole.it.X[:, samples])
        fits.append(make_block(half, it, block, **options).smooth())
    summed, start = SumOfFits(fits, [0.4, 0.6]), whole.joined(whole.it)
    T, _ = minimise(summed, whole.terms, start, 1e-14, lambda T: True)
    expected = solve_block(problem, whole.it, block, "native", tol=1e-9, **options)
    np.testing.assert_allclose(T, whole.joined(expected.iterate), atol=1e-4)
    assert whole.objective(whole.parted(T)) == pytest.approx(expected.objective, rel=1e-8)
    if block == "prox-linear":
        W = np.hstack([np.sqrt(weight) * fit.linearisation.W for weight, fit in zip(summed.weights, fits, strict=True)])
        M = summed.added(fit.model().M for fit in fits)
        model, gradient = KroneckerModel(M, W, None), summed.value_and_gradient(start)[1]
        T = approach(summed, model, whole.terms, start, gradient, 1e-9, 500)
        assert whole.objective(whole.parted(T)) == pytest.approx(expected.objective, rel=1e-6)
