"""What a plot cannot show is refused with the argument's name."""

import numpy as np
import pytest

from bcd_implicit import ImplicitRegressor, InvalidInputError, plots

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def test_what_holds_what_a_plot_needs_is_told_so(ax, path, chosen):
    fitted = ImplicitRegressor(2, alpha=0.1, tol=1e-2).fit(chosen.result.problem.U.T, chosen.result.problem.Y[0])
    for draw, message in (
        (
            lambda: plots.states(fitted, ax=ax),
            r"of: is of type ImplicitRegressor\. .*, for example its \.model_ or \.result_",
        ),
        (lambda: plots.column_norms(fitted, ax=ax), r"of: is of type ImplicitRegressor"),
        (lambda: plots.history(chosen, ax=ax), r"result: is of type Selection\. .*, for example its \.result\.$"),
        (
            lambda: plots.column_norms(path, ax=ax),
            r"of: is of type PathResult\. Pass one of type ImplicitModel, .*Selection\.$",
        ),
        (
            lambda: plots.kappa_path(path, "x", ax=ax),
            r"chosen: must be a number, got 'x'\. Pass a Selection, or a kappa",
        ),
        (lambda: plots.kappa_path(path, -1, ax=ax), "chosen: got -1"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda r, p, m, ax: plots.history(m, ax), "result: is of type ImplicitModel. Pass one of type BcdResult."),
        (lambda r, p, m, ax: plots.certificates(p, ax), "result: is of type PathResult. Pass one of type BcdResult."),
        (lambda r, p, m, ax: plots.kappa_path(r, ax=ax), "path: is of type BcdResult. Pass one of type PathResult."),
        (lambda r, p, m, ax: plots.sparsity(p, ax=ax), "of: is of type PathResult. Pass one of type ImplicitModel, "),
        (lambda r, p, m, ax: plots.sparsity(m, "E", ax), "matrix: unknown matrix 'E'. Use one of all, A, B, C, D."),
        (lambda r, p, m, ax: plots.residuals(r, ax=ax, kind="odd"), "kind: unknown kind 'odd'. Use one of residual_"),
        (
            lambda r, p, m, ax: plots.column_norms("B", ax=ax),
            "of: is of type str. Pass one of type ImplicitModel, BcdResult, Selection.",
        ),
        (
            lambda r, p, m, ax: plots.column_norms([1.0, np.nan], ax=ax),
            "of: contains missing values (NaN): 1 (first at row 1)",
        ),
        (
            lambda r, p, m, ax: plots.column_norms(m, [True], ax=ax),
            "highlight: is an array of bool of shape (1,). Pass",
        ),
        (
            lambda r, p, m, ax: plots.column_norms(m, truth=[0.0, 1.0, 2.0], ax=ax),
            "truth: is an array of float64 of shape (3,).",
        ),
        (
            lambda r, p, m, ax: plots.column_norms(m, truth=[0, 1, 1], ax=ax),
            "truth: is of integers, but not of different indices.",
        ),
        (
            lambda r, p, m, ax: plots.column_norms(m, truth=[0, 3], ax=ax),
            "truth: has indices that are not from 0 to 2.",
        ),
        (lambda r, p, m, ax: plots.column_norms(m, names=["a"], ax=ax), "names: has 1 names for 3 variables."),
        (lambda r, p, m, ax: plots.kappa_path(p, highlight=[True], ax=ax), "highlight: is an array of bool of shape"),
        (lambda r, p, m, ax: plots.kappa_path(p, names=["a"], ax=ax), "names: has 1 names for 4 variables."),
        (lambda r, p, m, ax: plots.states(m, ax=ax), "U: is missing. A model holds no samples: pass some, or"),
        (lambda r, p, m, ax: plots.states(m, np.ones((2, 7)), ax), "U: has 7 columns, 3 needed."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), ax=ax), "Y: is missing. Pass both U and Y."),
        (lambda r, p, m, ax: plots.residuals(r, Y=[1.0], ax=ax), "U: is missing. Pass both U and Y."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), [1.0], ax), "Y: has 1 samples but U has 2."),
        (lambda r, p, m, ax: plots.residuals(m, np.ones((2, 3)), np.ones((2, 2)), ax), "Y: has 2 columns, 1 needed."),
        (lambda r, p, m, ax: plots.picard_convergence(m, ax=ax), "U: is missing."),
        (lambda r, p, m, ax: plots.picard_convergence(r, ax=ax, n_steps=0), "n_steps: got 0"),
        (lambda r, p, m, ax: plots.solver_convergence(m, ax=ax), "U: is missing."),
        (lambda r, p, m, ax: plots.solver_convergence(r, ax=ax, n_steps=0), "n_steps: got 0"),
        (lambda r, p, m, ax: plots.solver_convergence(r, ax=ax, solvers=[]), "solvers: is empty. Name one or more"),
        (lambda r, p, m, ax: plots.solver_convergence(r, ax=ax, solvers="odd"), "solver: unknown solver 'odd'."),
        (
            lambda r, p, m, ax: plots.history(r, [ax]),
            "ax: is of type list. Pass one Axes of matplotlib, such as",
        ),
    ],
)
def test_bad_input_is_named(result, path, model, ax, draw, message):
    with pytest.raises(InvalidInputError) as error:
        draw(result, path, model, ax)
    assert str(error.value).startswith(message)
