"""Blocks with every activation: native against CVXPY, certificates, and what CVXPY cannot state."""

import numpy as np
import pytest
from problems import TOL, at, by_clarabel, check_native, random_iterate, random_problem, wrong_point
from slow_but import every_pair, slow_but

from bcd_implicit import (
    ACTIVATIONS,
    BlockSolveError,
    ConvergenceWarning,
    InvalidInputError,
    block_problem,
    solve,
    solve_block,
)
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.hidden import HiddenBlock

SIZE = (4, 5, 2, 40)
FORMS = {
    "penalty": {"kappa": 0.1},
    "constraint": {"kappa": 0.5, "group_form": "constraint"},
    "no intercept, no ridge": {"kappa": 0.05, "fit_intercept": False, "ridge_hidden": 0.0},
    "stacked": {"kappa": 0.1, "group_over": "BD"},
    "a weight a feature": {"kappa": 0.1, "fenchel_weight": [1.0, 3.0, 10.0, 0.3]},
    "a weight a feature, stacked": {"kappa": 0.1, "fenchel_weight": [1.0, 3.0, 10.0, 0.3], "group_over": "BD"},
}
NATIVE_ONLY = [name for name, phi in ACTIVATIONS.items() if not phi.conic]


def problem_of(activation, form="penalty", norm_bound=0.9):
    return random_problem(SIZE, activation=activation, norm_bound=norm_bound, **FORMS[form])


@pytest.mark.parametrize(("activation", "form"), every_pair([*ACTIVATIONS], [*FORMS]))
def test_hidden_block(activation, form):
    """Native against CLARABEL, and wrong points against their own excess."""
    problem = problem_of(activation, form)
    it = at(problem, "hidden")
    native, reference = check_native(problem, it, "hidden")
    assert (reference is None) == (activation in NATIVE_ONLY)
    block = make_block(problem, it, "hidden")
    gaps = []
    for size in (1.0, 0.1, 0.01):
        point = wrong_point(problem, block, native.iterate, size)
        certificate, excess = block.certificate(point), block.objective(point) - native.objective
        assert certificate.gap >= excess - 1e-9 * abs(native.objective)
        assert not certificate.holds(TOL)
        gaps.append(certificate.gap)
    assert gaps[0] > gaps[1] > gaps[2]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_value_of_the_posed_hidden_block_is_the_objective(activation):
    problem = problem_of(activation, "a weight a feature")
    it = at(problem, "hidden")
    if activation in NATIVE_ONLY:
        with pytest.raises(InvalidInputError, match=f"{activation} has no CVXPY form"):
            block_problem(problem, it, "hidden")
    else:
        live = block_problem(problem, it, "hidden")
        value = live.solve(solver="CLARABEL")
        found = it.replace(**{letter: live.var_dict[letter].value for letter in "ABb"})
        assert value == pytest.approx(problem.objective(found), rel=1e-6)
        assert live.param_dict["fenchel_weight"].value == 10.0


@pytest.mark.parametrize(("activation", "block"), every_pair([*ACTIVATIONS], ["output", "prox-linear"]))
def test_other_blocks_need_no_cones_of_the_activation(activation, block):
    problem = problem_of(activation)
    _, reference = check_native(problem, at(problem, block), block)
    assert reference.solver == "CLARABEL"


@pytest.mark.parametrize(("activation", "scale"), every_pair([*ACTIVATIONS], [1e-6, 1e6]))
def test_hidden_block_of_saturated_states_in_any_units(activation, scale):
    problem = problem_of(activation)
    problem.U *= scale
    rng = np.random.default_rng(0)
    it = random_iterate(problem, relaxed=False)
    it = problem.at_equilibrium(it.replace(B=30 / scale * rng.standard_normal(it.B.shape)))
    native = solve_block(problem, it, "hidden", "native")
    assert native.certificate.holds(TOL)
    block = make_block(problem, it, "hidden")
    for size in (1.0, 0.01):
        point = wrong_point(problem, block, native.iterate, size)
        excess = block.objective(point) - native.objective
        assert block.certificate(point).gap >= excess - 1e-9 * abs(native.objective)


@pytest.mark.parametrize(
    "activation",
    slow_but(["relu", "clip", "tanh", "softplus"], [name for name, phi in ACTIVATIONS.items() if phi.conic]),
)
def test_hidden_block_under_a_constraint(activation):
    problem = problem_of(activation).replace(constraints={"signs": lambda v: v["B"] >= 0})
    it = at(problem, "hidden")
    solution = solve_block(problem, it, "hidden")
    assert solution.solver == "SCS"
    assert solution.certificate.holds(TOL)
    assert solution.iterate.B.min() >= 0
    free = solve_block(problem_of(activation), it, "hidden")
    assert solution.objective >= free.objective - TOL * abs(free.objective)


@pytest.mark.parametrize("block", ["hidden", "state"])
@pytest.mark.parametrize("activation", NATIVE_ONLY)
class TestNativeOnly:
    def test_a_conic_solver_that_is_named_is_refused(self, activation, block):
        problem = problem_of(activation)
        it = at(problem, block)
        for solver in ("CLARABEL", "SCS", "cvxpy"):
            words = f"'{block}'.*cannot take the Fenchel pair of {activation}.*Use solver=\"native\""
            with pytest.raises(BlockSolveError, match=words) as caught:
                solve_block(problem, it, block, solver)
            assert caught.value.unfit
        with pytest.raises(InvalidInputError, match=f"{activation} has no CVXPY form: its Fenchel pair is native only"):
            block_problem(problem, it, block)

    # How well is tested elsewhere.
    @pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
    def test_auto_is_native(self, activation, block):
        problem = problem_of(activation)
        assert solve_block(problem, at(problem, block), block).solver == "native"


@pytest.mark.parametrize("activation", NATIVE_ONLY)
def test_a_native_miss_warns_and_asks_no_conic_solver(activation, monkeypatch):
    monkeypatch.setattr(HiddenBlock, "solve_native", lambda self, tol, met: (self.it, met(self.it), {}))
    problem = problem_of(activation)
    it = at(problem, "hidden")
    with pytest.warns(ConvergenceWarning, match="block 'hidden': native ended 'no further progress'"):
        assert solve_block(problem, it, "hidden").solver == "native"


@pytest.mark.parametrize("activation", NATIVE_ONLY)
def test_a_constraint_on_a_native_only_block_is_an_error_of_that_block(activation):
    problem = problem_of(activation).replace(constraints=[lambda v: v["A"] >= 0])
    it = at(problem, "hidden")
    with pytest.raises(BlockSolveError, match="one of your own constraints acts on this block") as caught:
        solve_block(problem, it, "hidden")
    assert caught.value.unfit
    with pytest.raises(BlockSolveError, match="cannot take the Fenchel pair"):
        solve(problem, method="fenchel", max_cycles=3)
    assert by_clarabel(problem, at(problem, "prox-linear"), "prox-linear").certificate.holds(TOL)
    result = solve(problem, tol=1e-1, max_cycles=20)
    assert result.iterate.A.min() >= -1e-6
