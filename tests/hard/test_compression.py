"""Random models of every kind made smaller: every gap is small, every model well-posed, and no bound is broken."""

import warnings

import numpy as np
import pytest

from bcd_implicit import ConvergenceWarning, ImplicitModel, compress

pytestmark = pytest.mark.hard


def random_model(rng, kind):
    n, p, q = (int(k) for k in rng.integers(1, [8, 5, 4]))
    A = rng.standard_normal((n, n)) * (rng.random((n, n)) < rng.random())
    largest = max(float(np.abs(A).sum(axis=1).max()), 1e-9)
    names = ["relu", "tanh", "sigmoid", "leaky_relu", "identity", "softplus", "clip"]
    if kind == "acyclic":
        A, names = 3 * np.triu(A, 1), ["relu", "tanh", "sigmoid", "abs", "clip"]
    elif kind == "held back":
        A = 0.9 * A / largest - np.diag(3 * rng.random(n))
    else:
        A = 0.95 * rng.random() * A / largest
    parts = [A, *(rng.standard_normal(shape) for shape in ((n, p), n, (q, n), (q, p), q))]
    return ImplicitModel(*parts, str(rng.choice(names)))


def exact(model, U):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.states(U, tol=0).X @ model.C.T + U @ model.D.T + model.d


def _check_bound(model, result, U):
    small = result.small.matched
    slack = np.outer(small.states(U, tol=1e-13).error_bound, np.abs(small.C).sum(axis=1))
    assert (np.abs(exact(model, U) - exact(small, U)) <= result.change_bound(U) + slack).all()


@pytest.mark.parametrize("kind", ["acyclic", "cyclic", "held back"])
@pytest.mark.parametrize("matching", ["fenchel", "least-squares"])
def test_random_models(kind, matching):
    rng = np.random.default_rng(7)
    for _ in range(80):
        model = random_model(rng, kind)
        U, new = rng.standard_normal((30, model.B.shape[1])), 3 * rng.standard_normal((20, model.B.shape[1]))
        if model.activation.name == "abs" and matching == "fenchel":
            continue
        for connections in ("model", "forward", "any"):
            alpha = float(rng.choice([0, 0.01, 0.1, 0.5, 5]))
            # A gap above 1e-6 would warn, and warnings are errors.
            result = compress(model, U, alpha=alpha, matching=matching, connections=connections)
            small = result.small.matched
            assert small.is_well_posed()
            _check_bound(model, result, new)
            np.testing.assert_allclose(result.model.predict(new), small.predict(new), atol=1e-8)
            if alpha > 1:
                assert result.small.n_nonzero == 0
        # Whole states.
        alpha = float(rng.choice([0, 0.01, 0.1, 0.5, 1]))
        result = compress(model, U, alpha=alpha, matching=matching, remove="units")
        assert result.small.matched.is_well_posed()
        _check_bound(model, result, new)
