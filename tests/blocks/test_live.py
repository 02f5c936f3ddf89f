"""Live blocks: parameters that can be moved, constraints by name, and what they print."""

import cvxpy as cp
import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, block_problem
from bcd_implicit import constraints as ready

# So small a tolerance is not always met.
pytestmark = pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
SIZE = (3, 4, 2, 30)
BOTH = ("hidden", "prox-linear")


def solved(live):
    live.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    assert live.status in ("optimal", "optimal_inaccurate")
    return live


def near(problem):
    """Not the start, where A, C and D are zero and much has no effect, nor a feasible point."""
    rng = np.random.default_rng(3)
    matrices = {k: rng.standard_normal(problem.shapes[k]) for k in "ABC"}
    it = problem.initial(0).replace(C=matrices["C"], B=0.5 * matrices["B"])
    # The states draw A to this one in the hidden block.
    return problem.at_equilibrium(it.replace(A=0.15 * matrices["A"])).replace(A=0.1 * matrices["A"])


def posed(**options):
    return random_problem(SIZE, **{"kappa": 0.01, **options})


STACKED = {"group_over": "BD", "ridge": 0.1}
# Block, the problem's other settings, the setting, and the value to which its parameter moves.
SETTINGS = [
    *[(block, {}, "norm_bound", 0.1) for block in BOTH],
    *[(block, {"well_posedness": "measure"}, "norm_bound", 0.05) for block in BOTH],
    *[(block, {"norm_bound": 0.0, "activation": "sigmoid"}, "norm_bound", 0.3) for block in BOTH],
    *[(block, {}, "kappa", 0.2) for block in BOTH],
    *[(block, {"group_form": "constraint", "kappa": 0.0}, "kappa", 0.5) for block in BOTH],
    *[(block, {"groups": "pairs", "group_norm": "inf"}, "kappa", 0.0) for block in BOTH],
    *[(block, {}, "kappa_A", 0.2) for block in BOTH],
    *[(block, {"kappa_A": 0.1, "well_posedness": "measure"}, "kappa_A", 0.001) for block in BOTH],
    *[(block, {}, "ridge_hidden", 0.3) for block in BOTH],
    *[(block, STACKED, "ridge", 0.7) for block in BOTH],
    ("hidden", {}, "fenchel_weight", 3.0),
    ("output", {}, "ridge", 0.5),
    ("output", {"loss": "absolute", "ridge": 0.0}, "ridge", 0.5),
]


def slowly(cases, kept):
    """The same, those that are not kept marked as slow."""
    return [case if kept(case) else pytest.param(*case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    ("block", "options", "name", "value"), slowly(SETTINGS, lambda case: case[0] != "prox-linear" and len(case[1]) < 2)
)
def test_moving_a_parameter_is_building_the_block_anew(block, options, name, value):
    problem = posed(**options)
    it = near(problem)
    live = block_problem(problem, it, block, parameters="all")
    assert live.is_dcp(dpp=True)
    before = solved(live).value
    # By default the values are the problem's, and the block is the same as without parameters.
    plain = solved(block_problem(problem, it, block, parameters=[]))
    assert plain.param_dict == {}
    assert before == pytest.approx(plain.value, rel=1e-6)
    live.param_dict[name].value = value
    anew = block_problem(problem.replace(**{name: value}), it, block, parameters=[])
    assert solved(live).value == pytest.approx(solved(anew).value, rel=1e-6)
    assert live.value != pytest.approx(before, rel=3e-6)
    for letter, variable in anew.var_dict.items():
        if letter in problem.shapes:
            np.testing.assert_allclose(live.var_dict[letter].value, variable.value, atol=2e-3)


def test_the_ratios_of_fenchel_weights_stay():
    problem = posed(fenchel_weight=[1.0, 2.0, 4.0])
    it = near(problem)
    live = block_problem(problem, it, "hidden")
    assert live.param_dict["fenchel_weight"].value == 4
    live.param_dict["fenchel_weight"].value = 8
    anew = block_problem(problem.replace(fenchel_weight=[2.0, 4.0, 8.0]), it, "hidden")
    assert solved(live).value == pytest.approx(solved(anew).value, rel=1e-7)


@pytest.mark.parametrize(
    ("m", "options"),
    slowly([(m, o) for m in (30, 8) for o in ({}, {"loss": "huber"}, STACKED)], lambda case: not case[1]),
)
def test_the_proximal_weight_moves(options, m):
    """By the Gram matrix, and for few samples by residuals."""
    problem = random_problem((3, 4, 2, m), kappa=0.01, **options)
    it = near(problem)
    live = block_problem(problem, it, "prox-linear", parameters=["mu"], mu=0.1)
    assert [*live.param_dict] == ["mu"]
    assert live.is_dcp(dpp=True)
    for mu in (0.1, 2.0):
        live.param_dict["mu"].value = mu
        anew = block_problem(problem, it, "prox-linear", parameters=[], mu=mu)
        assert solved(live).value == pytest.approx(solved(anew).value, rel=1e-6)


@pytest.mark.parametrize(("block", "options"), [("output", {}), ("hidden", STACKED)])
def test_the_threshold_of_the_huber_loss_moves(block, options):
    problem = posed(loss=bi.HuberLoss(0.5), **options)
    it = near(problem)
    live = block_problem(problem, it, block, parameters=["threshold"])
    assert live.is_dcp(dpp=True)
    before = solved(live).value
    live.param_dict["threshold"].value = 0.1
    anew = block_problem(problem.replace(loss=bi.HuberLoss(0.1)), it, block)
    assert solved(live).value == pytest.approx(solved(anew).value, rel=1e-6)
    assert live.value < before
    assert "- threshold, 0)" in str(live)
    assert problem.loss == bi.HuberLoss(0.5)


READY = [
    (ready.box, {"matrix": "A", "lower": -0.1, "upper": 0.1}, {"lower": -0.02, "upper": 0.05}),
    (ready.l1_bound, {"matrix": "B", "bound": 0.2}, {"bound": 0.7}),
    (ready.l1_penalty, {"matrix": "C", "weight": 0.01}, {"weight": 0.04}),
    (ready.nuclear_norm_bound, {"matrix": "B", "bound": 0.2}, {"bound": 0.5}),
    (ready.spectral_norm_bound, {"matrix": "B", "bound": 0.2}, {"bound": 0.5}),
    (ready.row_norm_bound, {"matrix": "B", "bound": 0.2}, {"bound": 0.3}),
    (ready.column_norm_bound, {"matrix": "C", "bound": 0.1, "norm": 1}, {"bound": 0.3}),
    (ready.state_gain_bound, {"gain": 1.0, "max_slope": 1.0}, {"gain": 0.5}),
    (ready.output_gain_bound, {"bound": 0.5, "states": 1.0}, {"bound": 1.0, "states": 2.0}),
    (ready.margin_gain_bound, {"bound": 0.5, "states": 1.0}, {"bound": 1.0, "states": 2.0}),
]


@pytest.mark.parametrize(
    ("made_by", "arguments", "moved"), slowly(READY, lambda case: case[0] in (ready.box, ready.output_gain_bound))
)
def test_bounds_of_ready_made_constraints_move(made_by, arguments, moved):
    first = made_by(**arguments)
    block = "output" if "C" in first.matrices else "hidden"
    problem = posed(constraints=[first])
    it = near(problem)
    live = block_problem(problem, it, block, parameters=[f"{first.name}.{name}" for name in moved])
    assert live.is_dcp(dpp=True)
    before = solved(live).value
    assert before == pytest.approx(solved(block_problem(problem, it, block)).value, rel=1e-6)
    for name, value in moved.items():
        live.param_dict[f"{first.name}.{name}"].value = value
    anew = block_problem(problem.replace(constraints=[made_by(**arguments | moved)]), it, block)
    assert solved(live).value == pytest.approx(solved(anew).value, rel=1e-6)
    assert live.value != pytest.approx(before, rel=3e-6)
    # The names are where the numbers were.
    for name in moved:
        assert f"{first.name}.{name}" in str(live)
        assert "= " + f"{moved[name]:.4g}" in str(live)


def test_bounds_keep_their_names_on_some_inputs():
    whole = posed(constraints={"small": ready.box("B", upper=0.1)})
    problem = whole.subset(inputs=np.array([True, False, True, True]))
    live = block_problem(problem, problem.initial(), "hidden", parameters=["small.upper"])
    live.param_dict["small.upper"].value = 0.05
    assert solved(live).var_dict["B"].value.max() == pytest.approx(0.05, abs=1e-6)
    assert "B_ij <= small.upper" in str(live)


def test_arrays_of_bounds_stay_constants():
    problem = posed(constraints=[ready.column_norm_bound("B", [0.1, 0.2, 0.3, 0.4])])
    live = block_problem(problem, problem.initial(), "hidden", parameters="all")
    assert not [name for name in live.param_dict if "column" in name]
    assert "(0.1, 0.2, 0.3, 0.4)" in str(live)


@pytest.mark.parametrize("block", bi.BLOCKS)
def test_unknown_parameters_are_refused(block):
    problem = posed()
    with pytest.raises(InvalidInputError, match=rf"'gamma', which block '{block}' does not hold") as error:
        block_problem(problem, problem.initial(), block, parameters=["gamma"])
    offered = {
        "output": "Choose from ridge",
        "state": "It has none: numbers enter its proximal term",
        "hidden": "Choose from fenchel_weight, kappa, norm_bound, ridge_hidden",
        "prox-linear": "Choose from kappa, norm_bound, ridge_hidden, mu",
    }
    assert offered[block] in str(error.value)
    message = rf"^parameters: has 'kapa', which block '{block}' does not hold. {offered[block]}"
    with pytest.raises(InvalidInputError, match=message):
        block_problem(problem, problem.initial(), block, parameters="kapa")


def test_a_single_name_needs_no_list():
    problem = posed()
    assert [*block_problem(problem, problem.initial(), "hidden", parameters="norm_bound").param_dict] == ["norm_bound"]


@pytest.mark.parametrize(("block", "value"), [("hidden", 2.0), ("prox-linear", 1.0)])
def test_a_parameter_out_of_range_is_refused_at_solve(block, value):
    problem = posed()
    live = block_problem(problem, near(problem), block, parameters="all")
    live.param_dict["norm_bound"].value = value
    with pytest.raises(InvalidInputError, match=rf"^norm_bound: .*{value:g}"):
        live.solve()
    live.param_dict["norm_bound"].value = 0.7
    live.solve()
    assert live.status == "optimal"


def test_constraints_and_dual_values_by_name():
    def ordered(v):
        return [cp.diff(v["B"], axis=0) >= 0, v["b"] >= 0]

    pattern = {"A": ~np.eye(3, dtype=bool)}
    constraints = [ready.nonnegative("B"), ordered, ready.nonnegative("C")]
    problem = posed(constraints=constraints, pattern=pattern, group_form="constraint", kappa=0.3)
    live = solved(block_problem(problem, near(problem), "hidden"))
    names = ["norm_bound", "group_lasso", "pattern of A", "nonnegative(B)", "ordered[0]", "ordered[1]"]
    assert [*live.constraint_dict] == names
    assert [*live.constraint_dict.values()] == live.constraints
    assert [*live.dual_values] == [*names[:4], "ordered"]
    assert [values.shape for values in live.dual_values["ordered"]] == [(2, 4), (3,)]
    assert live.dual_values["nonnegative(B)"].shape == (3, 4)
    assert live.dual_values["group_lasso"] == live.constraint_dict["group_lasso"].dual_value > 0
    # What it says is what relaxing the bound gains.
    dual = float(live.dual_values["group_lasso"])
    before, live.param_dict["kappa"].value = live.value, 0.3001
    assert (before - solved(live).value) / 1e-4 == pytest.approx(dual, rel=1e-2)


def test_it_prints_what_it_moves():
    problem = posed(constraints=[ready.nonnegative("B"), ready.nonnegative("C")], fit_intercept=False)
    live = block_problem(problem, near(problem), "hidden", parameters=["norm_bound"])
    assert repr(live) == str(live)
    assert (
        str(live)
        == """\
Block 'hidden': A 3 x 3, B 3 x 4; 30 samples, 4 inputs, 2 outputs
minimize over A, B
    0.01 sum_{j=1}^4 ||B e_j||_2                    [group_lasso]
    + 0.0001/2 (||A||_F^2 + ||B||_F^2)              [ridge_hidden]
    + 1/30 sum_{k=1}^30 sum_{i=1}^3 F(x_ik, z_ik)   [fenchel_weight]
subject to
    ||A||_inf = max_i sum_j |A_ij| <= norm_bound   [norm_bound]
    B_ij >= 0                                      [nonnegative(B)]
where
    z_k = A x_k + B u_k
    F(x, z) = g(x) + g^*(z) - x z with (g^*)' = phi, zero where x = phi(z)
    phi(z) = max(z, 0)
parameters: norm_bound = 0.5
fixed: b = 0, C, D, d = 0, X; their terms are constant: not shown, but included in the value"""
    )
    live.param_dict["norm_bound"].value = 0.25
    assert "parameters: norm_bound = 0.25" in str(live)
    assert r"\text{norm}\_\text{bound} = 0.25" in live._repr_latex_()


def test_the_function_is_still_there_after_a_conic_solve():
    problem = random_problem((3, 4, 2, 10))
    bi.solve_block(problem, problem.initial(), "output", solver="CLARABEL")
    assert callable(bi.block_problem)
