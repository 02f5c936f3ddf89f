"""What is chosen is judged by the loss at hand: errors in cross-validation, criteria, score tests, whole selections."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2

import bcd_implicit as bi
from bcd_implicit.selection.refits import Refit, best_constant, constant_model, folds, run_refit, sample_errors
from bcd_implicit.selection.rules import RULES
from bcd_implicit.selection.significance import entry_p_values

LOSSES = [bi.HuberLoss(0.5), bi.LOSSES["absolute"], bi.QuantileLoss(0.8)]
LIKELIHOODS = [bi.LOSSES[name] for name in ("logistic", "cross-entropy", "poisson")]
EVERY = pytest.mark.parametrize("loss", [*LOSSES, *LIKELIHOODS], ids=lambda loss: loss.name)
OPTIONS = {"max_cycles": 30, "tol": 1e-2, "block_tol": None}


def targets(loss, f, rng):
    """Targets of shape (m, q) that depend on f through the scale that the loss's predictions are on."""
    if loss.name == "logistic":
        return (rng.random(len(f)) < expit(f)).astype(float)[:, None]
    if loss.name == "poisson":
        return rng.poisson(np.exp(0.5 * f)).astype(float)[:, None]
    if loss.name == "cross-entropy":
        return np.eye(3)[(np.column_stack([f, 0 * f, -f]) + rng.gumbel(size=(len(f), 3))).argmax(axis=1)]
    y = f + 0.5 * rng.standard_t(3, len(f))
    return ((y - y.mean()) / y.std())[:, None]


def drawn(loss, seed, m=200, p=8, effect=0.0):
    """Data of which inputs 0 and 1 matter, input 2 goes with input 0, and input 3 matters if it has an effect."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((m, p))
    U[:, 2] = 0.6 * U[:, 0] + 0.8 * U[:, 2]
    f = 1.5 * U[:, 0] + np.abs(U[:, 1]) - 0.8 + effect * U[:, 3]
    return bi.TrainingProblem(U, targets(loss, f, rng), 4, loss=loss, pass_through=False)


@EVERY
def test_errors_are_in_shares_of_what_the_best_constant_loses(loss):
    problem = drawn(loss, 0)
    constant = np.broadcast_to(best_constant(problem)[:, None], problem.Y.shape)
    assert sample_errors(problem, constant, problem.Y).mean() == pytest.approx(1.0)
    off = constant + np.linspace(-1, 1, problem.n_samples) * np.linspace(1, 2, problem.n_outputs)[:, None]
    expected = loss.value(off, problem.Y) / loss.value(constant, problem.Y).mean()
    np.testing.assert_allclose(sample_errors(problem, off, problem.Y), expected, rtol=1e-9)
    part = np.array([5, 3, 8])
    np.testing.assert_allclose(sample_errors(problem, off[:, part], problem.Y[:, part]), expected[part], rtol=1e-9)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@EVERY
def test_the_empty_model_predicts_the_best_constant(loss):
    problem = drawn(loss, 0)
    result = constant_model(bi.solve(problem, max_cycles=2, tol=1.0, block_tol=None))
    assert problem.mean_loss(result.iterate) == pytest.approx(loss.loss_of_constant(problem.Y, problem.shares))
    if loss in LIKELIHOODS:
        np.testing.assert_allclose(result.model.response(problem.U.T)[0], problem.Y.mean(axis=1), rtol=1e-9)
    (fold, *_), nothing = folds(problem, 2, 0), np.zeros(8, dtype=bool)
    errors, _ = fold.run([Refit(nothing, 2, 1e-3)], 0, OPTIONS)
    train = problem.subset(fold.train)
    constant = loss.best_constant(train.Y, train.shares)[:, None]
    tested = problem.Y[:, fold.test]
    expected = loss.value(np.broadcast_to(constant, tested.shape), tested)
    np.testing.assert_allclose(errors[0], expected / loss.loss_of_constant(problem.Y, problem.shares), rtol=1e-9)


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_have_all_classes(n_folds):
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(4), [40, 13, 5, 1]))
    U = rng.standard_normal((59, 2))
    problem = bi.TrainingProblem(U, np.eye(4)[classes], 2, loss="cross-entropy")
    parts = folds(problem, n_folds, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in parts])), np.arange(59))
    for fold in parts:
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(59))
        counts = np.bincount(classes[fold.test], minlength=4)
        assert (np.abs(counts - np.array([40, 13, 5, 1]) / n_folds) < 1).all()
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(parts, folds(problem, n_folds, 1), strict=True))
    two = bi.TrainingProblem(U, (classes > 1).astype(float), 2, loss="logistic")
    assert {int((classes[fold.test] > 1).sum()) for fold in folds(two, n_folds, 0)} <= {6 // n_folds, -(-6 // n_folds)}
    groups = np.arange(59) // 3
    parts = folds(problem, 3, 0, groups)
    assert all(not set(groups[fold.train]) & set(groups[fold.test]) for fold in parts)


@pytest.mark.parametrize("loss", LIKELIHOODS, ids=lambda loss: loss.name)
def test_information_criteria_are_of_the_likelihood(loss):
    problem = drawn(loss, 0)
    refit = run_refit(problem, Refit(np.arange(8) < 2, 4, 1e-3), problem.initial(0), 0, OPTIONS)
    path = SimpleNamespace(problem=problem)
    supports = np.array([np.arange(8) < 2, np.zeros(8, dtype=bool)])
    evidence = SimpleNamespace(path=path, refits=[refit, None], sizes=supports.sum(axis=1), supports=supports)
    choice = RULES["bic"](evidence)
    np.testing.assert_array_equal(choice.support, supports[0])
    deviances = [
        2 * 200 * refit.problem.mean_loss(refit.iterate) + 4 * 2 * np.log(200),
        2 * 200 * loss.loss_of_constant(problem.Y, problem.shares),
    ]
    np.testing.assert_allclose(choice.columns["criterion"], deviances)


def test_next_to_nothing_the_test_of_a_yes_or_no_is_raos():
    rng = np.random.default_rng(0)
    U, y = rng.standard_normal((400, 1)), (rng.random(400) < 0.1).astype(float)
    U[:, 0] += 0.5 * y
    problem = bi.TrainingProblem(U, y, 2, loss="logistic")
    u = U[:, 0] - U.mean()
    statistic = (u @ (y - y.mean())) ** 2 / (y.mean() * (1 - y.mean()) * (u @ u))
    found = entry_p_values(problem, None, np.zeros(1, dtype=bool))[0]
    # Of two tests, of the input and of its square, doubled.
    assert found == pytest.approx(2 * chi2.sf(statistic, 1), rel=0.15)


def test_a_rare_class_is_not_lost_beside_the_others(monkeypatch):
    rng = np.random.default_rng(1)
    classes = rng.choice(3, 400, p=[0.49, 0.49, 0.02])
    U = rng.standard_normal((400, 5))
    U[:, 4] += 2.5 * (classes == 2)
    problem = bi.TrainingProblem(U, np.eye(3)[classes], 2, loss="cross-entropy")
    nothing = np.zeros(5, dtype=bool)
    p_values = entry_p_values(problem, None, nothing)
    assert p_values[4] < 2e-3
    assert (p_values[:4] > 1e-2).all()
    monkeypatch.setattr("bcd_implicit.selection.significance._in_spreads", lambda problem, residuals: residuals)
    assert entry_p_values(problem, None, nothing)[4] > 100 * p_values[4]


@EVERY
def test_p_values_next_to_nothing_keep_their_level(loss):
    found = []
    for seed in range(40):
        rng = np.random.default_rng([seed, 5])
        problem = bi.TrainingProblem(
            rng.standard_normal((100, 10)), targets(loss, rng.standard_normal(100), rng), 2, loss=loss
        )
        found.append(entry_p_values(problem, None, np.zeros(10, dtype=bool)))
    found = np.concatenate(found)
    for level in (0.1, 0.02):
        assert np.mean(found < level) <= level + 3 * np.sqrt(level / len(found))
    assert np.mean(found < 0.2) >= 0.05


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@EVERY
def test_p_values_beside_inputs_that_matter(loss):
    support, null = np.arange(8) < 2, []
    for seed, effect in ((0, 1.0), (1, 0.0), (2, 0.0), (3, 0.0), (4, 0.0)):
        problem = drawn(loss, seed, effect=effect)
        result = run_refit(problem, Refit(support, 4, 1e-3), problem.initial(0), 0, OPTIONS)
        p_values = entry_p_values(problem, result, support)
        if effect:
            assert p_values.argmin() == 3
            assert p_values[3] < 1e-3
        else:
            null += p_values[~support].tolist()
    # 24 of them, one that goes with a true input among each six.
    assert min(null) > 1e-4
    assert np.mean(np.array(null) < 0.1) < 0.3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@EVERY
def test_a_selection_finds_what_matters_and_nothing_where_nothing_does(loss):
    rng = np.random.default_rng(3)
    U = rng.standard_normal((300, 8))
    f = 2 * U[:, 0] + 2 * np.abs(U[:, 1]) - 1.6
    Y = targets(loss, f, rng)
    for Y_given, expected in ((Y, [0, 1]), (rng.permutation(Y), [])):
        problem = bi.TrainingProblem(U, Y_given, 4, loss=loss, pass_through=False)
        chosen = bi.kappa_path(problem, 10).select(ridges=[1e-3], grow_hidden=False)
        assert np.flatnonzero(chosen.support).tolist() == expected
        assert chosen.model.link == loss.link
