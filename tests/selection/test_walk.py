"""The walk along a path: kappas, supports, certificates."""

import numpy as np
import pytest
from problems import random_problem
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, kappa_path
from bcd_implicit.selection.grid import reference_kappa


def test_path_goes_up_and_thins_out(path, problem):
    assert np.all(np.diff(path.kappas) > 0)
    sizes = path.supports.sum(axis=1)
    assert sizes[0] >= 5
    assert sizes[-1] <= 2
    assert path.column_norms.shape == (len(path.kappas), 8)
    np.testing.assert_array_equal(path.column_norms > 0, path.supports)
    assert path.table["n_selected"].tolist() == sizes.tolist()
    assert (path.table["status"] == "CONVERGED").all()
    for result in path.results:
        assert result.objective == pytest.approx(result.problem.equilibrium_objective(result.iterate))
        assert result.model.norm_inf() <= problem.norm_bound + 1e-8


def test_path_is_deterministic(path, problem):
    again = kappa_path(problem, 6, random_state=0)
    np.testing.assert_array_equal(again.column_norms, path.column_norms)


def test_reference_kappa_follows_the_units_of_the_targets():
    base = random_problem((3, 4, 2, 30), ridge=0.0, ridge_hidden=0.0)
    scaled = bi.TrainingProblem(base.U.T, 10 * base.Y.T, 3, ridge=0.0, ridge_hidden=0.0)
    # With C free to grow by 10, the loss and with it the kappa that empties B grow by 100.
    assert reference_kappa(scaled) == pytest.approx(100 * reference_kappa(base), rel=1e-2)


def test_constraint_form_shrinks_the_radius(data):
    problem = bi.TrainingProblem(data.U, data.Y, 3, pass_through=False, group_form="constraint")
    path = kappa_path(problem, 6)
    assert np.all(np.diff(path.kappas) < 0)
    for radius, norms in zip(path.kappas, path.column_norms, strict=True):
        assert norms.sum() <= radius + 1e-8
    assert path.supports.sum(axis=1)[-1] < 8


@pytest.mark.slow
def test_fenchel_path_selects_the_same_inputs(problem, data):
    chosen = kappa_path(problem, 8, method="fenchel").select()
    np.testing.assert_array_equal(chosen.support, data.support)


def test_reweighted_path_divides_weights_by_norms_and_finds_what_the_plain_one_misses():
    U, y = make_friedman1(150, n_features=8, noise=1.0, random_state=0)
    true = np.arange(8) < 5
    weights = np.ones(8)
    weights[0] = 0.0
    problem = bi.TrainingProblem(scale(U), scale(y), 6, pass_through=False, group_weights=weights)
    path = kappa_path(problem, 5)
    second = path.reweighted(5)
    norms = path.column_norms[0]
    np.testing.assert_allclose(second.problem.group_weights[1:], norms.max() / norms[1:])
    assert second.problem.group_weights[0] == 0
    wrong = [(p.supports != true).sum(axis=1).min() for p in (path, second)]
    assert wrong[1] == 0 < wrong[0]


def test_what_is_no_problem_is_named():
    for call in (kappa_path, reference_kappa):
        with pytest.raises(InvalidInputError, match=r"problem: is of type list. Pass a TrainingProblem."):
            call([[1.0]])
