"""Starts and iterates whose loss overflows, as that of e^1286 expected counts: training begins all the same."""

import numpy as np
import pytest
from losses import loss_problem

import bcd_implicit as bi

SIZE = (3, 4, 2, 30)
pytestmark = pytest.mark.filterwarnings("ignore:.*stopped at max_cycles")


def poisson(**options):
    return loss_problem(bi.LOSSES["poisson"], SIZE, kappa=0.01, **options)


def with_large(problem, letter, value=1286.0):
    it = problem.initial(0)
    return it.replace(**{letter: np.full_like(getattr(it, letter), value)})


@pytest.mark.parametrize("letter", ["C", "D", "d"])
@pytest.mark.parametrize("group_over", ["B", "BD"])
@pytest.mark.parametrize("method", ["prox-linear", "fenchel"])
def test_training_begins_as_if_there_were_no_outputs(letter, group_over, method):
    problem = poisson(group_over=group_over)
    start = with_large(problem, letter)
    assert problem.overflows(start)
    result = bi.solve(problem, method, start=start, max_cycles=3, tol=0.0, block_tol=1e-5)
    expected = bi.solve(problem, method, max_cycles=3, tol=0.0, block_tol=1e-5)
    assert result.objective == pytest.approx(expected.objective, rel=1e-9)


def test_a_start_that_does_not_overflow_is_kept():
    problem = poisson(group_over="BD")
    begun = bi.solve(problem, max_cycles=2, tol=0.0)
    assert not problem.overflows(begun.iterate)
    again = bi.solve(problem, start=begun, max_cycles=1, tol=0.0)
    assert again.objective <= begun.objective


@pytest.mark.parametrize("options", [{}, {"group_over": "BD"}], ids=["plain", "stacked"])
@pytest.mark.parametrize("block", ["state", "hidden", "prox-linear"])
@pytest.mark.parametrize("solver", ["native", "CLARABEL"])
def test_other_blocks_refuse_to_begin_where_the_loss_overflows(options, block, solver):
    problem = poisson(**options)
    # With NaN among its curvatures, CVXPY would not take the prox-linear block for a convex problem.
    it = with_large(problem, "D")
    with pytest.raises(bi.InvalidInputError) as caught:
        bi.solve_block(problem, it, block, solver)
    assert str(caught.value) == (
        f"iterate: makes the poisson loss overflow, so block '{block}' cannot start from it. Solve the output "
        "block first, or start from problem.initial()."
    )
    with pytest.raises(bi.InvalidInputError, match="poisson loss overflow"):
        bi.block_problem(problem, it, block)


def test_the_output_block_begins_anywhere():
    problem = poisson()
    solution = bi.solve_block(problem, with_large(problem, "D"), "output")
    expected = bi.solve_block(problem, problem.initial(0), "output")
    assert solution.objective == pytest.approx(expected.objective, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "huber", "absolute", "quantile", "logistic", "cross-entropy"])
def test_losses_without_exponentials_take_such_predictions(loss):
    problem = loss_problem(bi.LOSSES[loss], SIZE)
    assert not problem.overflows(with_large(problem, "D", 1e6))
    # Products of what an iterate may hold, 1e100 of each part, are beyond 1e100; softmax sees only differences.
    huge = problem.initial(0)
    huge = huge.replace(X=np.full_like(huge.X, 1e100), C=np.full_like(huge.C, 1e100))
    assert problem.overflows(huge) == (loss != "cross-entropy")
