"""Refits in cross-validation and on all samples."""

import numpy as np
import pytest
from sklearn.preprocessing import scale
from slow_but import slow_but

import bcd_implicit as bi
from bcd_implicit import kappa_path
from bcd_implicit.selection.refits import Fold, Refit, folds, has_faded, run_refit


def test_no_parameter_sees_the_samples_it_is_judged_on(problem):
    # Wreck the targets of one sample: the fits of the fold that judges it, and so its neighbours' errors, stay.
    wrecked = problem.replace()
    wrecked.Y = problem.Y.copy()
    wrecked.Y[:, 7] += 100.0
    chain = [Refit(np.ones(8, dtype=bool), 3, ridge, ridge) for ridge in (1e-3, 1e-2)]
    options = {"max_cycles": 40, "tol": 1e-2}
    fold = next(fold for fold in folds(problem, 4, 0) if 7 in fold.test)
    others = fold.test != 7
    # Errors are in units of the targets' variances, which the wreck changes: compare the fits themselves.
    (before, it), (after, it_after) = (
        Fold(p, fold.train, fold.test).run(chain, 0, options) for p in (problem, wrecked)
    )
    np.testing.assert_array_equal(it.B, it_after.B)
    np.testing.assert_array_equal(it.C, it_after.C)
    assert not np.array_equal(before[:, others], after[:, others])  # only by those units
    elsewhere = next(other for other in folds(problem, 4, 0) if 7 in other.train)
    _, seen = Fold(wrecked, elsewhere.train, elsewhere.test).run(chain, 0, options)
    assert not np.array_equal(seen.C, elsewhere.run(chain, 0, options)[1].C)


def test_cross_validation_trains_on_the_other_folds_and_the_refit_on_all(short_path, monkeypatch):
    import bcd_implicit.selection.refits as module

    trained_on = []
    real = module.solve

    def spy(problem, *args, **options):
        trained_on.append(problem.n_samples)
        return real(problem, *args, **options)

    monkeypatch.setattr(module, "solve", spy)
    short_path.select(
        n_folds=4, level=None, ridges=[1e-4, 1e-2], tol=0.2
    )  # the score test's fits are on all samples, and are not judged on any
    assert set(trained_on[:-1]) == {90}
    assert trained_on[-1] == 120


@pytest.mark.parametrize("ridges", slow_but([[10.0, 0.1, 3e-3]], [[3e-3, 0.1, 10.0], [10.0, 0.1, 3e-3]]))
def test_a_large_ridge_does_not_spoil_the_others(ridges):
    x = np.random.default_rng(0).uniform(-1, 1, (100, 2))
    problem = bi.TrainingProblem(x, scale(np.sin(4 * x[:, 0])), 5)
    path = kappa_path(problem, kappas=[1e-2], tol=1e-2)
    chosen, alone = (path.select(n_folds=2, ridges=these, level=None, grow_hidden=False) for these in (ridges, [3e-3]))
    assert chosen.result.problem.ridge_hidden == 3e-3
    assert chosen.result.objective == alone.result.objective
    # It follows the targets, whose variance is 1.
    assert chosen.result.model.predict(x[:, chosen.support]).var() > 0.5


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
def test_a_start_whose_inputs_faded_is_replaced(problem):
    fresh = problem.initial(0)
    assert has_faded(problem, fresh.replace(B=1e-6 * fresh.B), fresh)
    assert not has_faded(problem, fresh.replace(B=0.1 * fresh.B), fresh)
    # whatever the units
    other = bi.TrainingProblem(problem.U.T * np.r_[1e6, np.ones(7)], problem.Y.T, 3, pass_through=False)
    assert has_faded(other, other.initial(0).replace(B=1e-6 * other.initial(0).B), other.initial(0))
    options = {"max_cycles": 3, "tol": 1e-9}
    everything = Refit(np.ones(8, dtype=bool), 3, 1e-3)
    faded, anew = (run_refit(problem, everything, it, 0, options) for it in (fresh.replace(B=1e-9 * fresh.B), fresh))
    assert faded.objective == anew.objective


@pytest.mark.filterwarnings("ignore:prox-linear. stopped at max_cycles")
@pytest.mark.parametrize("n_hidden", [1, 2, 3, 5])
def test_a_refit_may_have_fewer_or_more_hidden_features_than_its_start(problem, n_hidden, monkeypatch):
    import bcd_implicit.selection.refits as module

    starts = []
    real = module.solve
    monkeypatch.setattr(module, "solve", lambda *a, start, **o: starts.append(start) or real(*a, start=start, **o))
    start = bi.solve(problem, max_cycles=2).iterate
    result = run_refit(problem, Refit(np.ones(8, dtype=bool), n_hidden, 1e-3), start, 0, {"max_cycles": 3, "tol": 1e-9})
    kept = min(n_hidden, 3)
    assert result.problem.n_hidden == n_hidden == len(result.iterate.A)
    np.testing.assert_array_equal(starts[0].A[:kept, :kept], start.A[:kept, :kept])
    np.testing.assert_array_equal(starts[0].B[:kept], start.B[:kept])
    np.testing.assert_array_equal(starts[0].C[:, :kept], start.C[:, :kept])
    # What the start does not have does not reach the output.
    assert not starts[0].C[:, 3:].any()
