"""A table of activation x loss x block x solver: every cell is solved as well as by CVXPY, or says why it is not."""

import functools
import warnings
from pathlib import Path

import pytest
from problems import TOL, at, table_of

from bcd_implicit import (
    ACTIVATIONS,
    BLOCKS,
    LOSSES,
    SOLVERS,
    BlockSolution,
    BlockSolveError,
    ConvergenceWarning,
    TrainingProblem,
)
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.base import Block
from bcd_implicit.blocks.solve import solve_prepared
from bcd_implicit.support.threads import one_blas_thread

PAGE = Path(__file__).parents[2] / "docs" / "choosing.md"
SIZE = (3, 3, 3, 16)
AGREEMENT = 1e-5
STACKED = "hidden, groups over B and D"
# What is solved, by the words of the table: a block, and options of the problem.
ROWS = {name: (name, {}) for name in BLOCKS} | {
    STACKED: ("hidden", {"group_over": "BD"}),
    "prox-linear, groups over B and D": ("prox-linear", {"group_over": "BD"}),
}
# Blocks that hold the Fenchel pair, activations whose pair no cone can say, losses with a kink.
WITH_PAIR = ("state", "hidden", STACKED)
NO_CONES = ("softplus", "arctan")
KINKED = ("absolute", "quantile")
# Where the loss and a pair share a block SCS, of first order, may stop too early: it says so, and is held to less.
LOOSE = {(STACKED, "SCS"): 1e-4}


def takes(row: str, activation: str, loss: str, solver: str) -> bool:
    """Whether a solver takes a cell itself."""
    if solver == "native":
        return row != STACKED or loss not in KINKED
    return row not in WITH_PAIR or activation not in NO_CONES


@functools.cache
def posed(row: str, activation: str, loss: str) -> Block:
    """A cell's block; CVXPY's form of it is made once for all solvers."""
    name, options = ROWS[row]
    weights = [0.5, 1.0, 3.0]
    problem = TrainingProblem(
        *table_of(loss, SIZE), 3, activation=activation, loss=loss, norm_bound=0.9, kappa=0.05, fenchel_weight=weights,
        **options,
    )  # fmt: skip
    block = make_block(problem, at(problem, name), name)
    block.cvxpy_problem = functools.cache(block.cvxpy_problem)
    return block


@functools.cache
def solved(row: str, activation: str, loss: str, solver: str) -> tuple[BlockSolution, list[str]]:
    """A cell's solution, and the library's warnings."""
    with warnings.catch_warnings(record=True) as caught, one_blas_thread():
        warnings.simplefilter("always", ConvergenceWarning)
        solution = solve_prepared(posed(row, activation, loss), solver, TOL)
    return solution, [str(warning.message) for warning in caught]


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["native", *SOLVERS])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("row", ROWS)
def test_cell(row, activation, loss, solver):
    able = [name for name in ("native", *SOLVERS) if takes(row, activation, loss, name)]
    if solver not in able and (solver != "native" or not able):
        with pytest.raises(BlockSolveError, match=f"cannot take the Fenchel pair of {activation}") as caught:
            solved(row, activation, loss, solver)
        assert caught.value.unfit
        assert ('Use solver="native"' in str(caught.value)) == bool(able)
        return
    solution, said = solved(row, activation, loss, solver)
    best = min(solved(row, activation, loss, name)[0].objective for name in able)
    # True whether or not the tolerance is met: nobody finds a point that is better by more than the gap.
    assert solution.objective - best <= solution.certificate.gap + 1e-9 * abs(best)
    assert solution.certificate.violation <= 1e-8
    assert solution.objective == pytest.approx(best, rel=LOOSE.get((row, solver), AGREEMENT))
    if solution.certificate.holds(TOL) and not said:
        # Without a solver of the block's own a conic one stands in, in silence.
        assert solution.solver == solver if solver in able else solution.solver in SOLVERS
    else:
        # A conic solver stops by its own measures: where our certificate asks for more, the user hears of it.
        assert solver in SOLVERS
        assert said
        assert all(f"{solver} ended" in words and "with relative gap" in words for words in said)


def table() -> str:
    """Which solver takes which cells, in Markdown: each cell of it names what is left out."""

    def what(row: str, solver: str) -> str:
        pairs = [phi for phi in ACTIVATIONS if not any(takes(row, phi, loss, solver) for loss in LOSSES)]
        losses = [loss for loss in LOSSES if not any(takes(row, phi, loss, solver) for phi in ACTIVATIONS)]
        return f"all but {', '.join(pairs + losses)}" if pairs or losses else "all"

    lines = ["| block | native | CLARABEL, ECOS, SCS |", "|---|---|---|"]
    for row in ROWS:
        (conic,) = {what(row, solver) for solver in SOLVERS}
        lines.append(f"| {row} | {what(row, 'native')} | {conic} |")
    return "\n".join(lines)


def test_the_table_is_that_of_the_documentation():
    assert table() in PAGE.read_text()
