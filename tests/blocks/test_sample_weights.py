"""Sample weights: the same as repeated samples, in every formula; and the same by every solver."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from problems import OPTIONS, at, check_native, random_iterate, random_problem, wrong_point

import bcd_implicit as bi
from bcd_implicit import BLOCKS, InvalidInputError, TrainingProblem, solve, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.problem import statistics
from bcd_implicit.selection.path import kappa_path
from bcd_implicit.selection.refits import Refit, folds, mean_model, run_refit
from bcd_implicit.selection.rules import RULES
from bcd_implicit.selection.significance import entry_p_values
from bcd_implicit.selection.walk import reference_kappa
from bcd_implicit.training.bcd import METHODS

SIZE = (4, 6, 3, 30)
FORMS = {name: OPTIONS[name] for name in ("penalty", "constraint", "plain", "leaky", "clip", "pairs", "stacked")} | {
    "stacked, constraint": OPTIONS["stacked, constraint"],
    "stacked, plain": {"kappa": 0.1, "group_over": "BD", "fit_intercept": False, "ridge_hidden": 0.0},
}


def weighted_and_repeated(**options):
    """A problem with weights 1 to 3, the same with repeated samples, and the sample of each of these."""
    plain = random_problem(SIZE, **options)
    counts = np.random.default_rng(0).integers(1, 4, plain.n_samples)
    rows = np.repeat(np.arange(plain.n_samples), counts)
    return random_problem(SIZE, sample_weight=counts, **options), plain.subset(rows), rows


def random_weights(m, spread=1.0, seed=0):
    return np.random.default_rng([seed, m]).lognormal(0.0, spread, m)


def both(certificate):
    return certificate.gap, certificate.scale, certificate.kkt_residual, certificate.violation


# As repeated samples -------------------------------------------------------------------------------------------


def test_objective_by_hand():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights, kappa=0.0, ridge=0.0, ridge_hidden=0.0, fenchel_weight=2.5)
    it = random_iterate(problem)
    total = 0.0
    for k in range(30):
        x, u = it.X[:, k], problem.U[:, k]
        z = it.A @ x + it.B @ u + it.b
        loss = 0.5 * np.sum((problem.Y[:, k] - it.C @ x - it.D @ u - it.d) ** 2)
        fenchel = np.sum(0.5 * x**2 + 0.5 * np.maximum(z, 0) ** 2 - x * z)
        total += weights[k] * (loss + 2.5 * fenchel) / weights.sum()
    assert problem.objective(it) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_start_and_objectives_are_those_of_repeated_samples(options):
    weighted, repeated, rows = weighted_and_repeated(**options)
    for part in ("A", "B", "b"):
        expected = getattr(repeated.initial(3), part)
        np.testing.assert_allclose(getattr(weighted.initial(3), part), expected, atol=1e-12)
    it = random_iterate(weighted)
    same = it.replace(X=it.X[:, rows])
    for value in ("mean_loss", "fenchel_term", "objective", "equilibrium_objective"):
        assert getattr(weighted, value)(it) == pytest.approx(getattr(repeated, value)(same), rel=1e-12)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_blocks_and_certificates_are_those_of_repeated_samples(options, block):
    weighted, repeated, rows = weighted_and_repeated(**options)
    it = at(weighted, block)
    start = it.replace(X=it.X[:, rows])
    one, other = make_block(weighted, it, block), make_block(repeated, start, block)
    for size in (0.0, 0.01, 1.0):
        point = wrong_point(weighted, one, one.it, size)
        same = point.replace(X=point.X[:, rows])
        assert one.objective(point) == pytest.approx(other.objective(same), rel=1e-9)
        assert both(one.certificate(point)) == pytest.approx(both(other.certificate(same)), rel=1e-6)
    for solver in ("native", "CLARABEL"):
        by_weights, by_samples = solve_block(weighted, it, block, solver), solve_block(repeated, start, block, solver)
        gaps = by_weights.certificate.gap + by_samples.certificate.gap
        assert by_weights.objective == pytest.approx(by_samples.objective, rel=1e-9, abs=gaps)
        assert by_weights.certificate.holds(1e-6)
        if block == "output":  # strictly convex: one solution
            for part in ("C", "D", "d"):
                expected = getattr(by_samples.iterate, part)
                np.testing.assert_allclose(getattr(by_weights.iterate, part), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")  # a few cycles are enough
@pytest.mark.parametrize("method", METHODS)
def test_solve_and_the_scale_of_kappa_are_those_of_repeated_samples(method):
    weighted, repeated, _ = weighted_and_repeated(kappa=0.05)
    results = [solve(p, method, max_cycles=8, tol=1e-2, random_state=1) for p in (weighted, repeated)]
    assert results[0].objective == pytest.approx(results[1].objective, rel=1e-6)
    assert results[0].n_cycles == results[1].n_cycles
    np.testing.assert_array_equal(weighted.selected(results[0].iterate), repeated.selected(results[1].iterate))
    assert reference_kappa(weighted, method) == pytest.approx(reference_kappa(repeated, method), rel=1e-5)
    unweighted = random_problem(SIZE, kappa=0.05)
    assert abs(solve(unweighted, method, max_cycles=8, tol=1e-2).objective / results[0].objective - 1) > 1e-3


def test_a_sample_of_weight_zero_is_left_out():
    rng = np.random.default_rng(0)
    U, Y, weights = rng.standard_normal((20, 3)), rng.standard_normal((20, 2)), random_weights(20)
    weights[[0, 7, 19]] = 0.0
    U[7], Y[7] = 1e9, -1e9
    kept = weights > 0
    whole = TrainingProblem(U, Y, 3, sample_weight=weights)
    fewer = TrainingProblem(U[kept], Y[kept], 3, sample_weight=weights[kept])
    assert whole.n_samples == 17
    for array in ("U", "Y", "shares"):
        np.testing.assert_array_equal(getattr(whole, array), getattr(fewer, array))


@pytest.mark.parametrize("factor", [1e-300, 0.3, 1e307])
def test_only_ratios_of_weights_matter(factor):
    weights = random_weights(30) + 0.1
    one, other = (random_problem(SIZE, sample_weight=w) for w in (weights, factor * weights))
    np.testing.assert_allclose(one.shares, weights / weights.sum(), rtol=1e-14)
    np.testing.assert_allclose(other.shares, one.shares, rtol=1e-12)


def test_equal_weights_are_no_weights():
    for equal in (np.ones(30), [2.5] * 30, pd.Series(np.full(30, 7))):
        np.testing.assert_array_equal(random_problem(SIZE, sample_weight=equal).shares, random_problem(SIZE).shares)


# Native solves and CVXPY ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", [(1, 30, 2, 20), (5, 8, 20, 40), (12, 6, 3, 60)], ids=str)
def test_native_agrees_with_cvxpy(size, options, block):
    problem = random_problem(size, sample_weight=random_weights(size[-1]), **options)
    it = at(problem, block)
    native, reference = check_native(problem, it, block)
    assert native.objective <= reference.objective * (1 + 1e-6)
    prepared = make_block(problem, it, block)
    posed = prepared.cvxpy_problem()
    assert posed.is_dcp(dpp=True)
    for solution in (native.iterate, prepared.it):  # what CVXPY minimises is the objective, everywhere
        for letter, variable in posed.var_dict.items():
            variable.value = getattr(solution, letter)
        assert posed.objective.value == pytest.approx(prepared.objective(solution), rel=1e-8)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "stacked"])
def test_weights_over_many_orders_of_magnitude(form, block):
    weights = random_weights(40, spread=8.0)
    assert weights.max() / weights.min() > 1e12
    problem = random_problem((5, 8, 4, 40), sample_weight=weights, **OPTIONS[form])
    check_native(problem, at(problem, block), block)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", ["penalty", "constraint", "plain", "stacked"])
def test_a_wrong_point_fails_and_the_gap_covers_its_loss(form, block):
    problem = random_problem(SIZE, sample_weight=random_weights(30), **OPTIONS[form])
    prepared = make_block(problem, at(problem, block), block)
    solution = solve_block(problem, prepared.it, block, "native", tol=1e-8)
    unweighted = solve_block(random_problem(SIZE, **OPTIONS[form]), prepared.it, block, "native", tol=1e-8)
    wrong = [wrong_point(problem, prepared, solution.iterate, size) for size in (0.1, 0.01)]
    if block != "state":  # there every sample has an optimum of its own, whatever its weight
        wrong.append(unweighted.iterate)
    for point in wrong:
        certificate = prepared.certificate(point)
        assert not certificate.holds(1e-6)
        assert certificate.gap >= (prepared.objective(point) - solution.objective) * (1 - 1e-6)


def test_an_input_that_is_constant_but_for_samples_of_weight_zero():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((30, 3))
    U[:, 1] = 1e5 / 3
    U[4, 1] = -1.0
    weights = np.where(np.arange(30) == 4, 0.0, random_weights(30))
    problem = TrainingProblem(U, np.abs(U[:, :1]), 3, sample_weight=weights)
    assert (problem.initial().B[:, 1] == 0).all()
    for block in BLOCKS:
        check_native(problem, problem.initial(), block)


# Statistics, and the choice of a support -----------------------------------------------------------------------


def test_statistics_by_hand():
    rng, weights = np.random.default_rng(0), random_weights(30)
    values = rng.standard_normal((4, 30)) + 1e3
    plain, weighted = random_problem(SIZE), random_problem(SIZE, sample_weight=weights)
    np.testing.assert_allclose(statistics.mean(values, plain.shares), values.mean(axis=1), rtol=1e-14)
    np.testing.assert_allclose(statistics.variance(values, plain.shares), values.var(axis=1), rtol=1e-10)
    np.testing.assert_allclose(
        statistics.standard_error(values, plain.shares), values.std(axis=1, ddof=1) / np.sqrt(30), rtol=1e-10
    )
    assert statistics.effective_samples(plain.shares) == pytest.approx(30)
    mean = np.average(values, axis=1, weights=weights)
    np.testing.assert_allclose(statistics.mean(values, weighted.shares), mean, rtol=1e-14)
    spread = np.average((values - mean[:, None]) ** 2, axis=1, weights=weights)
    np.testing.assert_allclose(statistics.variance(values, weighted.shares), spread, rtol=1e-10)
    assert statistics.effective_samples(weighted.shares) == pytest.approx(weights.sum() ** 2 / np.sum(weights**2))
    assert statistics.mean(np.full(30, 1 / 3), weighted.shares) == 1 / 3
    assert (statistics.variance(np.array([[0.1], [1e6 / 3]]) + np.zeros(30), weighted.shares) == 0).all()


def test_the_standard_error_is_the_spread_of_weighted_means():
    problem = random_problem(SIZE, sample_weight=random_weights(30))
    values = np.random.default_rng(0).standard_normal((20_000, 30))
    estimated = np.sqrt(np.mean(statistics.standard_error(values, problem.shares) ** 2))
    assert estimated == pytest.approx(statistics.mean(values, problem.shares).std(), rel=0.05)
    assert estimated > 1.2 / np.sqrt(30)  # not that of 30 samples of equal weight


def test_replace_and_subset_keep_the_weights():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights)
    np.testing.assert_array_equal(problem.replace(kappa=0.5).shares, problem.shares)
    some = np.array([3, 0, 12])
    inputs = np.array([True, False, True, True, False, True])
    smaller = problem.subset(some, inputs)
    np.testing.assert_allclose(smaller.shares, weights[some] / weights[some].sum())
    np.testing.assert_array_equal(problem.subset(inputs=inputs).shares, problem.shares)
    np.testing.assert_allclose(problem.shares, weights / weights.sum())  # the original stays
    assert "n_samples=30 (weighted), " in repr(problem)
    assert "n_samples=30, " in repr(random_problem(SIZE))


def test_refits_and_their_errors_are_weighted():
    weights = random_weights(30)
    problem = random_problem(SIZE, sample_weight=weights)
    result = mean_model(solve(problem, max_cycles=2, tol=1.0))
    np.testing.assert_allclose(result.iterate.d, np.average(problem.Y, axis=1, weights=weights))
    fold = folds(problem, 3, 0)[0]
    errors, _ = fold.run([Refit(np.zeros(6, dtype=bool), 4, 1e-4)], 0, {"tol": 1.0})
    centre = np.average(problem.Y[:, fold.train], axis=1, weights=weights[fold.train])[:, None]
    mean = np.average(problem.Y, axis=1, weights=weights)[:, None]
    variance = np.average((problem.Y - mean) ** 2, axis=1, weights=weights)[:, None]
    np.testing.assert_allclose(errors[0], np.mean((problem.Y[:, fold.test] - centre) ** 2 / variance, axis=0))


@pytest.mark.parametrize("rule", ["min", "bic"])
def test_rules_weigh_the_errors(rule):
    weights = np.where(np.arange(30) < 3, 100.0, 1.0)
    problem = random_problem(SIZE, sample_weight=weights)
    heavy_first = np.where(weights > 1, 0.1, 1.0)  # misses of a candidate that is good where the weight is
    misses = np.array([heavy_first, 1.1 - heavy_first])
    results = [
        SimpleNamespace(problem=SimpleNamespace(prediction=lambda it: it), iterate=problem.Y + miss) for miss in misses
    ]
    evidence = SimpleNamespace(
        path=SimpleNamespace(problem=problem),
        errors=misses**2,
        refits=results,
        sizes=np.array([2, 2]),
        supports=np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=bool),
    )
    assert (misses**2).mean(axis=1).argmin() == 1  # without weights the other one would be chosen
    choice = RULES[rule](evidence)
    np.testing.assert_array_equal(choice.support, evidence.supports[0])
    if rule == "min":
        np.testing.assert_allclose(choice.columns["error"], np.average(misses**2, axis=1, weights=weights))
        np.testing.assert_allclose(
            choice.columns["standard_error"], statistics.standard_error(misses**2, problem.shares)
        )


@pytest.fixture(scope="module")
def spoilt():
    """Targets of 2 of 8 inputs, and where samples are bad of a stranger among the others as well."""
    data = bi.datasets.make_column_sparse(120, 8, 4, 4, 2, noise=0.1, random_state=0)
    Y, bad = data.Y.copy(), np.arange(120) % 4 == 0
    stranger = int(np.flatnonzero(~data.support)[0])
    Y[bad] += 3 * data.U[bad][:, [stranger]]
    return data, Y, bad, stranger


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_select_looks_at_the_weights(spoilt):
    data, Y, bad, stranger = spoilt

    def select(**options):
        problem = TrainingProblem(data.U, Y, 4, pass_through=False, **options)
        return kappa_path(problem, 3, tol=2e-2).select(ridges=[1e-4], grow_hidden=False, max_cycles=20, tol=0.1)

    plain, equal = select(), select(sample_weight=np.full(120, 3.0))
    assert plain.support[stranger]
    np.testing.assert_array_equal(equal.support, plain.support)
    np.testing.assert_array_equal(equal.table["error"], plain.table["error"])
    weighted = select(sample_weight=np.where(bad, 1e-3, 1.0))
    np.testing.assert_array_equal(weighted.support, data.support)


@pytest.fixture(scope="module")
def weighted_path(spoilt):
    """Of the spoilt targets, where the bad samples weigh next to nothing."""
    data, Y, bad, _ = spoilt
    problem = TrainingProblem(data.U, Y, 4, pass_through=False, sample_weight=np.where(bad, 1e-3, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        return kappa_path(problem, 4, tol=2e-2)


@pytest.mark.parametrize("rule", ["paired-one-se", "one-se", "bic"])
@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_other_rules_look_at_the_weights(spoilt, weighted_path, rule):
    data, _, _, stranger = spoilt
    chosen = weighted_path.select(rule, level=None, ridges=[1e-4], grow_hidden=False, max_cycles=20, tol=0.1)
    assert chosen.support[data.support].all()
    assert not chosen.support[stranger]


def p_values_without_a_part(sample_weight, seeds, noise_scale=None, support=True):
    """Of inputs that have no part in the targets, with weights that have none in the inputs."""
    found = []
    for seed in range(seeds):
        data = bi.datasets.make_column_sparse(150, 62, 5, 4, 2, noise=0.0, random_state=seed)
        rng = np.random.default_rng([seed, 9])
        weights = sample_weight(rng)
        noise = rng.standard_normal(data.Y.shape)
        Y = data.Y + 0.5 * (noise if noise_scale is None else noise_scale(weights)[:, None] * noise)
        problem = TrainingProblem(data.U, Y, 2, pass_through=False, sample_weight=weights)
        given = data.support if support else np.zeros(62, dtype=bool)
        result = run_refit(problem, Refit(given, 2, 1e-3), problem.initial(0), 0, {"max_cycles": 15, "tol": 2e-2})
        found.append(entry_p_values(problem, result, given)[~data.support])
    return np.concatenate(found)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@pytest.mark.parametrize("case", ["unrelated", "inverse variances", "a few heavy ones", "empty support"])
def test_p_values_are_uniform_under_the_null_hypothesis(case):
    if case == "a few heavy ones":
        found = p_values_without_a_part(lambda rng: np.where(rng.random(150) < 0.2, 10.0, 1.0), 16)
    elif case == "inverse variances":
        found = p_values_without_a_part(lambda rng: rng.lognormal(0, 1, 150), 16, lambda w: 1 / np.sqrt(w))
    else:
        found = p_values_without_a_part(lambda rng: rng.lognormal(0, 1, 150), 16, support=case == "unrelated")
    assert len(found) == 960
    # The smaller of two p-values, doubled, is below a level in a little less than that share of cases.
    for level in (0.3, 0.1, 0.03):
        error = np.sqrt(level * (1 - level) / len(found))
        assert 0.6 * level - 2 * error <= np.mean(found < level) <= level + 3 * error


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_score_tests_of_weighted_data_have_power_and_know_their_limits():
    data = bi.datasets.make_column_sparse(200, 8, 5, 4, 3, noise=0.3, random_state=0)
    missing = int(np.flatnonzero(data.support)[0])
    support = data.support.copy()
    support[missing] = False

    def p_values(weights):
        problem = TrainingProblem(data.U, data.Y, 3, pass_through=False, sample_weight=weights)
        result = run_refit(problem, Refit(support, 3, 1e-3), problem.initial(0), 0, {"max_cycles": 60, "tol": 1e-3})
        return entry_p_values(problem, result, support)

    found = p_values(random_weights(200))
    assert found.argmin() == missing
    assert found[missing] < 1e-6
    assert (np.delete(found, missing) > 1e-3).all()
    # Three samples that bear all the weight say nothing next to two inputs and an intercept.
    assert (p_values(np.where(np.arange(200) < 3, 1.0, 1e-6)) == 1).all()


# Bad weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0, 3.0], "sample_weight: has 3 weights for 4 samples. Give one number a sample"),
        (2.0, "sample_weight: has 1 weights for 4 samples"),
        (np.ones((4, 2)), r"sample_weight: has shape \(4, 2\) for 4 samples"),
        ([1.0, -0.5, 1.0, 1.0], "sample_weight: is -0.5 at row 1. Weights are 0 or more"),
        ([1.0, 1.0, np.nan, 1.0], "sample_weight: contains nan at row 2"),
        ([1.0, 1.0, 1.0, np.inf], "sample_weight: contains inf at row 3"),
        ([0.0, 0.0, 0.0, 0.0], r"sample_weight: is positive for 0 sample\(s\), at least 2 needed"),
        ([0.0, 0.0, 3.0, 0.0], r"sample_weight: is positive for 1 sample\(s\).*A sample of weight zero is left out"),
        (["a", "b", "c", "d"], "sample_weight: is not a table of numbers"),
        ("balanced", "sample_weight: is not a table of numbers"),
    ],
)
def test_bad_weights_are_named(weights, message):
    with pytest.raises(InvalidInputError, match=message):
        TrainingProblem(np.arange(8.0).reshape(4, 2), np.arange(4.0), 2, sample_weight=weights)


def test_weights_belong_to_the_data():
    with pytest.raises(InvalidInputError, match="sample_weight: cannot be replaced.*build a new problem"):
        random_problem(SIZE).replace(sample_weight=np.ones(30))
