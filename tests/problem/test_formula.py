"""The problem as a formula: a term is there exactly if it is in the objective, and the LaTeX is whole."""

import re

import cvxpy as cp
import numpy as np
import pytest
from problems import random_problem

import bcd_implicit as bi
from bcd_implicit import constraints as ready
from bcd_implicit.problem.formula import relaxed, true
from bcd_implicit.support.formulas import plain

SIZE = (3, 4, 2, 30)


def check_latex(latex):
    """Braces, dollars, environments and columns."""
    bare = re.sub(r"\\[{}$&]", "", latex)
    assert bare.count("{") == bare.count("}")
    depth = np.cumsum([{"{": 1, "}": -1}.get(c, 0) for c in bare])
    assert depth.min() >= 0
    assert bare.count("$$") in (0, 2)
    assert bare.count("$") == 2 * bare.count("$$")
    environments = ["array", "aligned", "aligned"]
    assert re.findall(r"\\begin{(\w+)}", latex) == environments
    assert re.findall(r"\\end{(\w+)}", latex) == environments[::-1]
    assert latex.count(r"\left") == latex.count(r"\right")
    for body in re.findall(r"\\begin{aligned}(.*?)\\end{aligned}", bare, re.DOTALL):
        assert {line.count("&") for line in body.split(r"\\")} in ({3}, {1})
    # A control word that runs into a letter would be another one.
    assert not re.search(r"\\(kappa|cdot|le|ge|sum|phi|ell)[A-Za-z]", latex.replace(r"\left", ""))


def named(formula):
    return {part.name: part for part in (*formula.terms, *formula.constraints)}


def random_point(problem):
    rng = np.random.default_rng(5)
    it = problem.initial(0).replace(**{k: 0.1 * rng.standard_normal(problem.shapes[k]) for k in "ABbCDd"})
    return it.replace(X=np.abs(rng.standard_normal(problem.shapes["X"])))


@pytest.mark.parametrize(
    ("name", "off", "on"),
    [
        ("group_lasso", {"kappa": 0.0}, {"kappa": 0.3}),
        ("group_lasso", {"kappa": 0.3, "group_form": "constraint"}, {"kappa": 0.3}),
        ("ridge", {"ridge": 0.0}, {"ridge": 0.3}),
        ("ridge_hidden", {"ridge_hidden": 0.0}, {"ridge_hidden": 0.3}),
        ("kappa_A", {"kappa_A": 0.0}, {"kappa_A": 0.3}),
        ("kappa_A", {"kappa_A": np.zeros((3, 3))}, {"kappa_A": np.eye(3)}),
        ("l1_penalty(C)", {"constraints": []}, {"constraints": [ready.l1_penalty("C", 0.2)]}),
        ("few", {"constraints": []}, {"constraints": {"few": lambda v: cp.sum(cp.abs(v["B"]))}}),
    ],
)
def test_a_term_is_there_exactly_if_it_is_in_the_objective(name, off, on):
    without, with_it = random_problem(SIZE, **off), random_problem(SIZE, **on)
    it = random_point(without)
    for whole in (true, relaxed):
        assert name not in [term.name for term in whole(without).terms]
        assert name in [term.name for term in whole(with_it).terms]
    assert with_it.objective(it) > without.objective(it) + 1e-3


def test_the_terms_are_those_of_the_objective():
    """Their values, read from the formulas by hand, sum to it."""
    problem = random_problem(
        SIZE, kappa=0.3, ridge=0.2, ridge_hidden=0.1, kappa_A=0.4, activation="tanh", fenchel_weight=2.0, groups="pairs"
    )
    it = random_point(problem)
    it = it.replace(X=np.tanh(it.X))
    A, B, C, D, m = it.A, it.B, it.C, it.D, 30
    f, Z = C @ it.X + D @ problem.U + it.d[:, None], A @ it.X + B @ problem.U + it.b[:, None]
    X = it.X
    g = 0.5 * ((1 + X) * np.log1p(X) + (1 - X) * np.log1p(-X))
    values = {
        r"\frac{1}{30} \sum_{k=1}^{30} \ell(f_k, y_k)": 0.5 * np.sum((f - problem.Y) ** 2) / m,
        r"0.3 \sum_{g=1}^{2} w_g \|B_g\|_2": 0.3 * np.sqrt(2) * sum(np.linalg.norm(B[:, j : j + 2]) for j in (0, 2)),
        r"\frac{0.2}{2} (\|C\|_F^2 + \|D\|_F^2)": 0.1 * (np.sum(C**2) + np.sum(D**2)),
        r"\frac{0.1}{2} (\|A\|_F^2 + \|B\|_F^2)": 0.05 * (np.sum(A**2) + np.sum(B**2)),
        r"0.4 \sum_{i,j} |A_{ij}|": 0.4 * np.abs(A).sum(),
        r"2 \cdot \frac{1}{30} \sum_{k=1}^{30} \sum_{i=1}^{3} F(x_{ik}, z_{ik})": 2
        * np.sum(g + np.log(np.cosh(Z)) - X * Z)
        / m,
    }
    formula = relaxed(problem)
    assert [term.latex for term in formula.terms] == [*values]
    assert sum(values.values()) == pytest.approx(problem.objective(it), rel=1e-12)
    assert {r"\ell(f, y) = \tfrac{1}{2} \|f - y\|_2^2", r"\phi(z) = \tanh z"} <= {*formula.needed}


VARIANTS = [
    {"norm_bound": 0.9, "activation": "sigmoid"},
    {"well_posedness": "measure", "kappa_A": 0.2},
    {"kappa_A": np.arange(9.0).reshape(3, 3)},
    {"group_form": "constraint", "group_norm": "inf", "group_over": "BD", "groups": "pairs", "kappa": 3e-5},
    {"group_weights": [0.0, 1.0, 2.0, 1.0], "input_names": ["a_b", "c$", "x{y}", "50%"]},
    {"fenchel_weight": [1.0, 2.0, 3.0], "sample_weight": np.arange(30.0)},
    {"fit_intercept": False, "pass_through": False, "kappa": 0.0, "ridge": 0.0, "ridge_hidden": 0.0},
    {"pattern": {"A": np.tri(3) - np.eye(3) > 0}},
    {"pattern": {"A": np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]) > 0}, "well_posedness": "measure"},
    {"constraints": {"50% of $B$ & {C}_i^~\\": lambda v: v["B"] <= 1, "pen": lambda v: cp.sum(cp.abs(v["C"]))}},
    {"loss": bi.HuberLoss(0.3)},
    {"loss": bi.QuantileLoss(0.9)},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_the_latex_is_whole(options):
    problem = random_problem(SIZE, **options)
    for latex in (problem._repr_latex_(), relaxed(problem).latex(), problem.explain()._repr_latex_()):
        check_latex(latex)
    for block in bi.BLOCKS.values():
        check_latex(block(problem, problem.initial()).formula().latex())
    text, markdown = str(problem.explain()), problem.explain()._repr_markdown_()
    # Nothing of LaTeX is left, but for a name that a person chose.
    assert "\\" not in text.replace("{C}_i^~\\", "")
    for part in (*true(problem).terms, *true(problem).constraints):
        assert f"[{part.label}]" in text
        assert part.latex in markdown
    assert '<div class="math">$$' in problem._repr_html_()


def test_every_setting_shows():
    def shown(**options):
        return str(random_problem(SIZE, **options).explain())

    steep = " ".join(shown(norm_bound=0.9, activation="sigmoid").split())
    assert "<= 3.6 [norm_bound: 0.9 over the largest slope of phi, 0.25]" in steep
    measure = shown(well_posedness="measure", kappa_A=0.2)
    assert "mu_inf(A) = max_i (A_ii + sum_{j != i} |A_ij|) <= 0.5" in measure
    assert "0.2 sum_{i != j} |A_ij|" in measure
    entries = shown(kappa_A=np.arange(9.0).reshape(3, 3))
    assert "sum_{i,j} kappa_{A,ij} |A_ij|" in entries
    assert "    kappa_{A,ij} from 0 to 8\n" in entries
    groups = shown(group_form="constraint", group_norm="inf", group_over="BD", groups="pairs", kappa=0.3)
    assert "sum_{g=1}^2 w_g ||(B; D)_g||_max <= 0.3" in groups
    assert "[group_lasso: 2 groups of inputs]" in groups
    assert "    w_g = 1.414\n" in groups
    weights = shown(group_weights=[0.0, 1.0, 2.0, 1.0])
    assert "[group_lasso: not penalised: u0]" in weights
    assert "    w_j from 0 to 2\n" in weights
    samples = shown(sample_weight=np.arange(1, 31.0), fenchel_weight=[1.0, 2.0, 3.0])
    assert "sum_{k=1}^30 omega_k l(f_k, y_k)" in samples
    assert "omega_k = w_k / sum_l w_l, from 0.002151 to 0.06452" in samples
    assert "    lambda_i from 1 to 3\n" in samples
    # (sum w)^2 / sum w^2
    assert f"count like {np.arange(31).sum() ** 2 / (np.arange(31) ** 2).sum():.4g} equally weighted" in samples
    bare = shown(fit_intercept=False, pass_through=False)
    assert "f_k = C x_k\n" in bare
    assert "held at 0: D (pass_through=False), b (fit_intercept=False), d (fit_intercept=False)" in bare
    assert "minimize over A, B, C\n" in bare
    pattern = shown(pattern={"A": np.tri(3) - np.eye(3) > 0})
    assert "A_ij = 0 for 6 of 9 entries" in pattern
    assert "norm_bound has no effect" in pattern
    assert "[norm_bound" not in pattern


def test_users_constraints_are_told_in_words():
    def ordered(v):
        """Low is at most high.

        More of it.
        """
        return v["C"][0] <= v["C"][1]

    made = {
        "ordered": ordered,
        "short": lambda v: v["b"] <= 1,
        "long": lambda v: v["B"] <= np.arange(12.0).reshape(3, 4),
    }
    parts = named(true(random_problem(SIZE, constraints=made | {"mine": ready.box("A", -0.1)})))
    assert parts["ordered"].words == "Low is at most high"
    assert parts["ordered"].latex == r"C \in \text{ordered}"
    assert parts["short"].words == "b <= 1.0"
    assert parts["long"].words == "a CVXPY term"
    assert plain(parts["mine"].latex) == "-0.1 <= A_ij"


@pytest.mark.parametrize("of", [bi.LOSSES, bi.ACTIVATIONS])
def test_every_built_in_function_has_its_formula(of):
    for function in of.values():
        assert "latex" in {name for kind in type(function).__mro__[:-2] for name in vars(kind)}
        assert not function.latex.startswith(r"\text")


def test_what_has_no_formula_shows_its_name():
    class Unknown(bi.Loss):
        name = "my_loss"

    assert plain(Unknown().latex) == "my_loss(f, y)"


def test_an_explanation_says_what_the_settings_mean():
    problem = random_problem(SIZE, kappa=0.2, norm_bound=0.5)
    explanation = problem.explain()
    assert repr(explanation) == str(explanation)
    assert explanation.free == {"A": 9, "B": 12, "b": 3, "C": 6, "D": 8, "d": 2}
    loss = 0.5 * problem.Y.var(axis=1).sum()
    assert f"the best constant prediction, has the mean loss {loss:.4g}." in str(explanation)
    assert f"adds 0.2 to the objective, {0.2 / loss:.2g} times that loss." in str(explanation)
    assert "20 steps reduce it to a millionth" in str(explanation)
    wide = bi.TrainingProblem(problem.U.T * [1, 100, 1, 1], problem.Y.T, 3)
    assert "the spreads of its columns differ" in str(wide.explain())
    assert "Pass standardize=True" in str(wide.explain())
    assert "without this warning" not in str(wide.explain())
    assert "standardize" not in str(explanation)
