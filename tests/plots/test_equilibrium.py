"""States, and how Picard's iteration and other solvers reach them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from shown import legend

from bcd_implicit import ImplicitModel, NotWellPosedError, plots

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def test_states_are_the_equilibrium(ax, problem, result):
    assert plots.states(result, ax=ax) is ax
    (image,) = ax.images
    X, (A, B, b) = np.asarray(image.get_array()), (result.iterate.A, result.iterate.B, result.iterate.b)
    np.testing.assert_allclose(X, np.maximum(A @ X + B @ problem.U + b[:, None], 0), atol=1e-9)
    assert X.shape == (2, 40)
    assert (image.norm.vmin, image.norm.vmax) == (0.0, X.max())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("sample", "hidden feature $i$")


def test_signed_states_have_zero_in_the_middle(ax):
    model = ImplicitModel([[0.0]], [[1.0]], None, [[1.0]], activation="identity")
    plots.states(model, [[-3.0], [1.0]], ax)
    np.testing.assert_allclose(ax.images[0].get_array(), [[-3.0, 1.0]])
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (-3.0, 3.0)
    assert [tick for tick in ax.get_yticks() if abs(tick) <= 0.5] == [0]


def picard_by_hand(model, U, n_steps):
    """Errors, last changes and the first change, by an own loop against a solution of much more steps."""
    drive = (U @ model.B.T + model.b).T
    X, steps = np.zeros_like(drive), []
    for _ in range(400):
        steps.append(np.maximum(model.A @ X + drive, 0))
        X = steps[-1]
    changes = [np.abs(b - a).max() for a, b in zip([0 * X, *steps[: n_steps - 1]], steps[:n_steps], strict=True)]
    return [np.abs(step - X).max() for step in steps[:n_steps]], changes


def test_picards_error_lies_under_its_bounds(ax, model):
    U = np.random.default_rng(0).standard_normal((6, 3))
    assert plots.picard_convergence(model, U, ax, n_steps=12) is ax
    a_priori, bound, error = (line.get_ydata() for line in ax.lines)
    errors, changes = picard_by_hand(model, U, 12)
    nu = 0.75  # the first row of A
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(1, 13))
    np.testing.assert_allclose(error, errors, atol=1e-14)
    np.testing.assert_allclose(bound, nu / (1 - nu) * np.array(changes), rtol=1e-6)
    np.testing.assert_allclose(a_priori, nu ** np.arange(1, 13) / (1 - nu) * changes[0])
    assert np.all(error <= bound)
    assert np.all(bound <= a_priori * (1 + 1e-12))
    assert ax.get_yscale() == "log"
    labels = legend(ax)
    assert [label.split()[0] for label in labels] == ["first", "last", "error"]
    assert ax.get_xlabel().endswith(r"$\nu$ = 0.75")
    ax.figure.draw_without_rendering()


def test_picards_bounds_hold_where_only_the_perron_frobenius_test_does():
    model = ImplicitModel([[0.0, 2.0], [0.125, 0.3]], np.eye(2), None, [[1.0, 1.0]])
    table = model.picard_convergence(np.random.default_rng(0).standard_normal((5, 2)), 30)
    assert model.norm_inf() > 1
    assert np.all(table["error"] <= table["bound"])
    assert np.all(table["bound"] <= table["a_priori"] * (1 + 1e-12))
    assert table["error"].iloc[-1] < 1e-4 * table["error"].iloc[0]


def test_picard_stops_at_rounding_and_after_one_step_where_A_is_zero(model):
    U = np.ones((2, 3))
    table = model.picard_convergence(U, 500)
    assert table["step"].tolist() == list(range(1, len(table) + 1))
    assert len(table) < 200
    assert table["error"].iloc[-1] < 1e-12
    still = ImplicitModel(np.zeros((2, 2)), model.B, model.b, model.C)
    assert still.picard_convergence(U).to_numpy().tolist() == [[1, 0.0, 0.0, 0.0]]
    ax = Figure().subplots()
    plots.picard_convergence(still, U, ax)
    ax.figure.draw_without_rendering()
    low, high = ax.get_xlim()
    assert [tick for tick in ax.get_xticks() if low <= tick <= high] == [1]


def test_picard_of_a_result_takes_its_inputs(ax, problem, result):
    plots.picard_convergence(result, ax=ax)
    errors, _ = picard_by_hand(result.model, problem.U.T, 3)
    np.testing.assert_allclose(ax.lines[2].get_ydata()[:3], errors, atol=1e-12)


def test_errors_of_solvers_lie_under_their_bounds(ax, model):
    U = np.random.default_rng(0).standard_normal((6, 3))
    assert plots.solver_convergence(model, U, ax) is ax
    exact = picard_by_hand(model, U, 400)[0]
    assert exact[-1] == 0.0
    *lines, key = ax.lines
    assert [line.get_label() for line in lines[::2]] == ["picard", "anderson", "broyden", "newton"]
    assert key.get_label() == "certified bound"
    for error, bound in zip(lines[::2], lines[1::2], strict=True):
        assert (error.get_linestyle(), bound.get_linestyle()) == ("-", "--")
        assert error.get_color() == bound.get_color()
        np.testing.assert_array_equal(error.get_xdata(), bound.get_xdata())
        assert np.all(error.get_ydata() <= bound.get_ydata())
        assert error.get_ydata()[-1] < 1e-14
    # The first step is from phi(Bu + b), which is Picard's own first step from zero.
    np.testing.assert_allclose(lines[0].get_ydata()[:10], exact[1:11], atol=1e-14)
    assert len(lines[6].get_xdata()) < len(lines[0].get_xdata())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ax.figure.draw_without_rendering()


def test_one_solver_alone_of_a_result(ax, problem, result):
    plots.solver_convergence(result, ax=ax, solvers="picard", n_steps=4)
    assert [line.get_label() for line in ax.lines[::2]] == ["picard", "certified bound"]
    errors, _ = picard_by_hand(result.model, problem.U.T, 5)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), errors[1:5], atol=1e-12)


def test_models_without_equilibrium_are_refused(ax):
    model = ImplicitModel([[2.0]], [[1.0]], None, [[1.0]])
    for draw in (plots.states, plots.picard_convergence, plots.solver_convergence):
        with pytest.raises(NotWellPosedError, match="spectral radius"):
            draw(model, [[1.0]], ax)
    plots.sparsity(model, ax=ax)  # it can be looked at


def test_damped_steps_are_called_so(ax):
    held_back = ImplicitModel([[-3.0, 3.5], [1.0, -0.5]], np.eye(2), None, [[1.0, 1.0]])
    U = np.random.default_rng(0).standard_normal((6, 2))
    plots.picard_convergence(held_back, U, ax, n_steps=30)
    # alpha = 1/4 and 2/3, and rows of measure 0.5: 1 - alpha / 2 at most.
    assert ax.get_xlabel() == r"damped step $k$,  $\nu$ = 0.875"
    a_priori, bound, error = (line.get_ydata() for line in ax.lines)
    assert np.all(error <= bound)
    assert np.all(error <= a_priori)
    ax.clear()
    plots.solver_convergence(held_back, U, ax)
    labels = legend(ax)
    assert labels == ["forward-backward", "anderson", "broyden", "newton", "certified bound"]
