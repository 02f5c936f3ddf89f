"""The gradient loop: its steps by hand, what holds after every cycle, how it ends, and how it goes on."""

import warnings

import numpy as np
import pytest
from patterns import entries_held, network_masks, random_masks
from problems import OPTIONS, random_iterate, random_problem, table_of
from slow_but import every_pair, slow_but
from weights import random_weights

import bcd_implicit as bi
from bcd_implicit import ACTIVATIONS, LOSSES, ConvergenceWarning, InvalidInputError, Status, TrainingProblem, solve
from bcd_implicit.problem.layout import Layout
from bcd_implicit.training import checkpoint
from bcd_implicit.training.gradient_cycle import Steps, batches
from bcd_implicit.training.gradient_options import GradientOptions
from bcd_implicit.training.optimizers import SGD, Adam, Moments

SIZE = (4, 5, 3, 40)


def descend(problem, **options):
    """A run that is as long as it is, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(problem, "gradient", **options)


def steps_of(problem, it, **options):
    layout = Layout(problem)
    return Steps(problem, GradientOptions(**options), it, Moments.none(layout.n_unknowns))


class TestSteps:
    def test_one_of_sgd_by_hand(self):
        problem = random_problem(SIZE, kappa=0.5, norm_bound=0.3)
        it, rate, samples = random_iterate(problem, relaxed=False), 0.1, np.array([3, 5, 11, 30])
        g = bi.gradient(problem.subset(samples), it.replace(X=it.X[:, samples]))
        steps = steps_of(problem, it, optimizer="sgd")
        assert steps.step(samples, rate)
        for letter in "bCDd":
            by_hand = getattr(it, letter) - rate * getattr(g, letter)
            np.testing.assert_allclose(steps.parts[letter], by_hand, rtol=1e-5, atol=1e-9)
        B = it.B - rate * g.B
        B *= np.maximum(1 - rate * 0.5 / np.linalg.norm(B, axis=0), 0)
        np.testing.assert_allclose(steps.parts["B"], B, rtol=1e-5, atol=1e-9)
        A, moved = it.A - rate * g.A, steps.parts["A"]
        outside = np.abs(A).sum(axis=1) > 0.3
        assert outside.any()
        np.testing.assert_allclose(moved[~outside], A[~outside], rtol=1e-5, atol=1e-9)
        # On the boundary, and what was taken off is the same for all entries that stay.
        np.testing.assert_allclose(np.abs(moved[outside]).sum(axis=1), 0.3)
        for row, before in zip(moved[outside], A[outside], strict=True):
            taken = (np.abs(before) - np.abs(row))[row != 0]
            np.testing.assert_allclose(taken, taken[0], rtol=1e-4)
        # The states are those of the point that it left, and only those of its samples moved.
        np.testing.assert_array_equal(np.delete(steps.X, samples, axis=1), np.delete(it.X, samples, axis=1))

    def test_one_of_adam_minimises_its_model(self):
        """No point near it has a lower ``<m, t> + kappa ||B_j|| + sum_i (t_i - theta_i)^2 / (2 r s_i)``."""
        problem = random_problem(SIZE, kappa=0.3, group_over="BD", norm_bound=0.4)
        it, rate = random_iterate(problem, relaxed=False), 0.05
        steps = steps_of(problem, it)
        gradient, layout = steps.gradient(None), steps.layout
        mean, scales = Adam().moves(Moments.none(layout.n_unknowns), gradient)
        start = steps.theta.copy()
        assert steps.step(None, rate)

        def model(theta):
            point = it.replace(**layout.parts(theta))
            smooth = mean @ theta + np.sum((theta - start) ** 2 / scales) / (2 * rate)
            return smooth + problem.group_lasso.value(problem.grouped(point))

        rng, lowest = np.random.default_rng(0), model(steps.theta)
        for size in (1e-1, 1e-3):
            for _ in range(50):
                other = steps.theta + size * np.sqrt(scales) * rng.standard_normal(layout.n_unknowns)
                A = layout.parts(other)["A"]
                A[:] = problem.row_set.repair(A)
                assert model(other) >= lowest - 1e-12 * abs(lowest)

    @pytest.mark.parametrize("activation", ["relu", "tanh"])
    def test_batches_have_each_sample_once_and_the_gradient_as_their_mean(self, activation):
        problem = random_problem(SIZE, sample_weight=random_weights(SIZE[3]), activation=activation)
        it, options = random_iterate(problem, relaxed=False), GradientOptions(batch_size=16)
        some = batches(problem, options, np.random.default_rng(0))
        assert [len(samples) for samples in some] == [14, 13, 13]
        np.testing.assert_array_equal(np.sort(np.concatenate(some)), np.arange(40))
        layout, whole = Layout(problem), bi.gradient(problem, it)
        sums = sum(len(samples) / 40 * steps_of(problem, it).gradient(samples) for samples in some)
        np.testing.assert_allclose(sums, layout.vector(whole), rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(steps_of(problem, it).gradient(None), layout.vector(whole), rtol=1e-5, atol=1e-8)

    @pytest.mark.parametrize("gradient", ["jacobian-free", "neumann"])
    @pytest.mark.parametrize("pattern", [None, network_masks(5, [2, 2], 3)], ids=["full", "layers"])
    def test_approximate_gradients_are_those_of_bi_gradient(self, gradient, pattern):
        problem = random_problem(SIZE, pattern=pattern)
        # No other zeros, which would open cycles that the steps take for closed.
        it = random_iterate(problem, relaxed=False).replace(A=np.full((4, 4), 0.1))
        it = problem.at_equilibrium(problem.pattern.applied(it))
        expected = bi.gradient(problem, it, method=gradient, n_terms=2)
        found = steps_of(problem, it, gradient=gradient, n_terms=2).gradient(None)
        np.testing.assert_allclose(found, Layout(problem).vector(expected), rtol=1e-5, atol=1e-8)

    def test_all_samples_in_every_step(self):
        problem = random_problem(SIZE)
        for size in (None, 40, 64):
            options = GradientOptions(batch_size=size, n_steps=7)
            assert batches(problem, options, np.random.default_rng(0)) == [None] * 7


class TestEveryCycle:
    @pytest.mark.parametrize("name", slow_but(["penalty", "stacked, constraint", "largest"], OPTIONS))
    @pytest.mark.parametrize("masked", [False, True], ids=["free", "masked"])
    def test_constraints_and_zeros_hold(self, name, masked):
        options = OPTIONS[name]
        shapes = {"A": (4, 4), "B": (4, 5), "C": (3, 4), "D": (3, 5)}
        masks = random_masks(shapes, pass_through=options.get("pass_through", True)) if masked else None
        problem = random_problem(SIZE, **options, pattern=masks, sample_weight=random_weights(SIZE[3]))
        seen = []

        def callback(cycle, objective, it):
            assert problem.violation(it) <= 1e-12
            assert not masked or not entries_held(problem, it).any()
            assert problem.pass_through or not it.D.any()
            assert problem.fit_intercept or not (it.b.any() or it.d.any())
            # What the history has is (T), of states at equilibrium.
            assert objective == pytest.approx(problem.equilibrium_objective(it), rel=1e-9)
            seen.append(objective)

        result = descend(problem, max_cycles=15, batch_size=16, callback=callback)
        np.testing.assert_array_equal(result.history["objective"], seen)
        assert result.objective <= min(seen)
        assert min(seen) < 0.95 * problem.objective(problem.initial(0))
        assert result.history["violation"].max() <= 1e-12

    @pytest.mark.parametrize(("activation", "loss"), every_pair([*ACTIVATIONS], [*LOSSES]))
    @pytest.mark.parametrize("optimizer", ["adam", "sgd"])
    def test_the_objective_falls(self, activation, loss, optimizer):
        options = {"activation": activation, "loss": loss, "norm_bound": 0.9, "kappa": 0.01}
        problem = TrainingProblem(*table_of(loss, (3, 4, 3, 40)), 3, **options)
        # Not one whose output block is solved: from there subgradients may lead up first.
        start = random_iterate(problem, relaxed=False)
        result = descend(problem, max_cycles=10, batch_size=20, optimizer=optimizer, learning_rate=0.03, start=start)
        lowest = result.history["objective"].min()
        assert lowest < problem.objective(start)
        assert result.objective <= lowest


class TestEnd:
    @pytest.mark.parametrize("kappa", [0.0, 0.02])
    def test_what_has_converged_is_stationary_and_a_fixed_point_and_others_are_not(self, kappa):
        problem = random_problem(SIZE, activation="tanh", kappa=kappa, ridge_hidden=1e-2)
        result = solve(problem, "gradient", max_cycles=400)
        assert result.status is Status.CONVERGED
        assert {*result.certificates} == {"output", "prox-linear"}
        assert all(c.kkt_residual <= 1e-3 for c in result.certificates.values())
        assert result.history["kkt_residual"].iloc[-1] <= 1e-3
        assert result.history["kkt_residual"].isna().any()

        def moved_by(it, **options):
            steps = steps_of(problem, it, optimizer="sgd", **options)
            before = steps.theta.copy()
            steps.step(None, 0.01)
            return float(np.abs(steps.theta - before).max())

        it = result.iterate
        assert moved_by(it) <= 1e-5
        wrong = problem.at_equilibrium(it.replace(B=1.1 * it.B))
        assert moved_by(wrong) >= 1e-4
        # One whose gradient is cut off is not stationary for it.
        assert moved_by(it, gradient="jacobian-free") > 3 * moved_by(it)
        # Blocks find next to nothing there.
        finished = solve(problem, start=result)
        assert finished.objective == pytest.approx(result.objective, rel=1e-3)
        assert finished.objective <= result.objective

    def test_the_best_iterate_is_returned_though_the_last_is_worse(self):
        problem = random_problem(SIZE, kappa=0.05)
        options = {"max_cycles": 12, "batch_size": 4, "learning_rate": 0.3, "schedule": "constant"}
        seen = {}
        result = descend(problem, exact_output=False, callback=lambda c, T, it: seen.update({T: it}), **options)
        objectives = result.history["objective"]
        assert objectives.iloc[-1] > objectives.min()
        assert result.objective == pytest.approx(objectives.min(), rel=1e-12)
        np.testing.assert_array_equal(result.iterate.C, seen[objectives.min()].C)
        # The output block can be solved on top of it.
        assert descend(problem, **options).objective < result.objective
        assert (result.history["change"] < 0).any()

    def test_rates(self):
        problem = random_problem(SIZE, kappa=0.05)
        call = {"max_cycles": 8, "learning_rate": 0.02}
        rates = {
            name: descend(problem, schedule=name, **call).history["learning_rate"] for name in ("constant", "cosine")
        }
        assert (rates["constant"] == 0.02).all()
        np.testing.assert_allclose(rates["cosine"], 0.01 * (1 + np.cos(np.pi * np.arange(8) / 8)))
        # From a minimum noise leads only up: every ten cycles the rate is halved.
        start = solve(problem, tol=1e-7)
        result = descend(problem, start=start, max_cycles=25, batch_size=8, learning_rate=0.1, exact_output=False)
        assert result.history["objective"].min() > start.objective
        np.testing.assert_array_equal(result.history["learning_rate"], np.repeat([0.1, 0.05, 0.025], [10, 10, 5]))
        assert result.objective == pytest.approx(start.objective, rel=1e-12)
        # One that leads above the loss of predicting zero is halved at once, and the cycle taken back.
        result = descend(problem, start=start, max_cycles=3, schedule="constant", learning_rate=30.0)
        assert result.history["learning_rate"].tolist() == [30.0, 15.0, 7.5]
        np.testing.assert_allclose(result.history["objective"], start.objective, rtol=1e-12)

    @pytest.mark.parametrize(
        ("loss", "pattern"), [("squared", None), ("poisson", None), ("squared", network_masks(4, [1, 1, 1], 3))]
    )
    def test_steps_that_lead_beyond_numbers_are_taken_back(self, loss, pattern):
        problem = TrainingProblem(*table_of(loss, (3, 4, 3, 40)), 3, loss=loss, pattern=pattern)
        with pytest.warns(
            ConvergenceWarning, match="gradient: stopped without progress.*KKT residual: .*for: 1e-03"
        ) as told:
            result = solve(problem, "gradient", learning_rate=1e60, optimizer="sgd", batch_size=8)
        # Nothing of what steps that were taken back met on their way.
        assert len(told) == 1
        assert "try another learning_rate" in str(told[0].message)
        assert result.status is Status.STALLED
        assert result.objective <= problem.objective(problem.initial(0))
        np.testing.assert_allclose(result.history["learning_rate"], 1e60 / 2.0 ** np.arange(result.n_cycles))

    def test_a_run_that_ends_too_early_says_what_would_help(self):
        problem = random_problem(SIZE)
        with pytest.warns(ConvergenceWarning, match="before the KKT residual was small; raise max_cycles, try another"):
            steep = solve(problem, "gradient", max_cycles=2)
        # A change as small as asked says nothing where the point is steep, and a larger tol would not help.
        with pytest.warns(ConvergenceWarning, match='small; .*finish with the method "prox-linear"'):
            solve(problem, "gradient", max_cycles=2, learning_rate=1e-12, tol=1.0)
        with pytest.warns(ConvergenceWarning, match="before it had converged; raise max_cycles or tol"):
            solve(problem, "gradient", max_cycles=2, block_tol=None)
        assert steep.status is Status.MAX_CYCLES

    def test_it_has_its_own_output_block_where_asked(self):
        problem = random_problem(SIZE, kappa=0.05)
        own = descend(problem, max_cycles=3, exact_output=False)
        exact = descend(problem, max_cycles=3)
        assert own.certificates["output"].kkt_residual > 1e-4
        assert exact.certificates["output"].holds(1e-9)
        assert exact.objective < own.objective

    def test_a_time_limit_and_a_callback_end_it(self):
        problem = random_problem(SIZE)
        stopped = solve(problem, "gradient", callback=lambda cycle, *_: cycle == 3)
        assert (stopped.status, stopped.n_cycles) == (Status.STOPPED, 3)
        with pytest.warns(ConvergenceWarning, match="stopped at max_seconds"):
            short = solve(problem, "gradient", max_seconds=1e-9)
        assert short.n_cycles == 0
        assert short.objective <= problem.objective(problem.initial(0))


class TestGoingOn:
    @pytest.fixture(autouse=True)
    def _written_every_cycle(self, monkeypatch):
        monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
        monkeypatch.setattr(checkpoint, "TIMES_A_WRITE", 0.0)

    @pytest.mark.parametrize(
        "options",
        [
            {"batch_size": 8},
            {"batch_size": None, "optimizer": SGD(momentum=0.5), "learning_rate": 0.1},
            {"batch_size": 8, "schedule": "cosine", "max_cycles": 9, "random_state": 3},
        ],
        ids=["batches", "all", "cosine"],
    )
    def test_to_the_last_bit(self, tmp_path, options):
        problem, file = random_problem(SIZE, kappa=0.05), tmp_path / "run.npz"
        call = {"max_cycles": 9, "tol": 1e-12} | options
        whole = descend(problem, **call)

        def callback(cycle, *_):
            if cycle == 5:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            descend(problem, checkpoint=file, callback=callback, **call)
        cycles = []
        resumed = descend(problem, checkpoint=file, callback=lambda c, *_: cycles.append(c), **call)
        assert cycles[0] == 5
        for result in (resumed, descend(problem, checkpoint=file, **call)):
            for letter in "ABbCDdX":
                np.testing.assert_array_equal(getattr(result.iterate, letter), getattr(whole.iterate, letter))
            assert result.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))
            assert result.certificates == whole.certificates

    def test_another_run_is_refused(self, tmp_path):
        problem, file = random_problem(SIZE), tmp_path / "run.npz"
        descend(problem, max_cycles=1, checkpoint=file)
        with pytest.raises(InvalidInputError, match="optimizer was 'adam' and is 'sgd', optimizer momentum was 0.9"):
            descend(problem, max_cycles=1, checkpoint=file, learning_rate=0.02, optimizer="sgd")
        start = problem.initial(1)
        descend(problem, max_cycles=1, checkpoint=tmp_path / "started.npz", start=start)
        # The batches depend on it, too.
        with pytest.raises(InvalidInputError, match="random_state was 0 and is 1"):
            descend(problem, max_cycles=1, checkpoint=tmp_path / "started.npz", start=start, random_state=1)

    def test_seeds_draw_other_batches(self):
        problem = random_problem(SIZE)
        start = problem.initial(0)
        one, same, other = (
            descend(problem, max_cycles=1, batch_size=8, start=start, random_state=seed).objective for seed in (0, 0, 1)
        )
        assert one == same != other


class TestArguments:
    @pytest.mark.parametrize(
        ("method", "options", "message"),
        [
            ("prox-linear", {"max_cycle": 3}, "max_cycle: is not an argument of solve. Perhaps max_cycles was meant."),
            ("prox-linear", {"learning_rat": 3}, "Perhaps learning_rate of method='gradient' was meant."),
            ("fenchel", {"batch_size": 3}, "applies only to method='gradient', but method is 'fenchel'"),
            ("prox-linear", {"zzz": 3}, "method='prox-linear' has no options of its own."),
            ("gradient", {"zzz": 3}, "method='gradient' has the options batch_size, n_steps"),
            ("gradient", {"batch_size": 0}, "batch_size: got 0, must be >= 1. Give 1 or more samples"),
            ("gradient", {"gradient": "rough"}, "gradient: unknown gradient 'rough'. Use one of exact, jacobian-free"),
            ("gradient", {"optimizer": "lbfgs"}, "optimizer: unknown optimizer 'lbfgs'. Use one of adam, sgd."),
            ("gradient", {"optimizer": Adam}, "optimizer: is the class Adam. Pass an instance, such as Adam()."),
            ("gradient", {"learning_rate": 0}, "learning_rate: got 0, must be > 0. Give a number such as 0.01."),
            ("gradient", {"schedule": "linear"}, "unknown schedule 'linear'. Use one of plateau, constant, cosine."),
            ("gradient", {"exact_output": "no"}, "exact_output: must be True or False, got 'no'."),
            ("gradient", {"n_steps": 0}, "n_steps: got 0, must be >= 1."),
            ("gradient", {"n_terms": -1}, "n_terms: got -1, must be >= 0."),
            ("gradient", {"fenchel_schedule": "continuation"}, "but method='gradient' has no Fenchel term"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_named(self, method, options, message):
        with pytest.raises(InvalidInputError) as caught:
            solve(random_problem(SIZE), method, **options)
        assert message in str(caught.value)

    def test_constraints_of_the_user_need_blocks(self):
        problem = random_problem(SIZE, constraints=[bi.constraints.nonnegative("B")])
        for call in (lambda: solve(problem, "gradient"), lambda: bi.kappa_path(problem, method="gradient")):
            with pytest.raises(
                InvalidInputError, match='does not support your own constraints .* Use "prox-linear" or "fenchel"'
            ):
                call()

    def test_a_path_and_an_estimator(self):
        problem = random_problem((3, 5, 2, 60))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            path = bi.kappa_path(problem, n_kappas=5, method="gradient", max_cycles=20)
            model = bi.ImplicitRegressor(3, alpha=1e-2, n_init=1, method="gradient", max_cycles=10)
            model.fit(problem.U.T, problem.Y.T)
        assert path.results[0].method == "gradient"
        assert path.results[-1].objective > path.results[0].objective
        assert model.score(problem.U.T, problem.Y.T) > 0.5
