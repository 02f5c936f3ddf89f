"""Whatever is drawn stays inside its figure and is large enough to read, with many inputs of long names."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from problems import FOR_SPARSE_A, random_problem
from sklearn.linear_model import LogisticRegression

from bcd_implicit import (
    ImplicitModel,
    TrainingProblem,
    architecture_path,
    block_problem,
    compress,
    kappa_path,
    plots,
    solve,
)
from bcd_implicit.selection.uncertainty import Uncertainty
from bcd_implicit.tradeoff import RobustnessCurve, RobustPoint

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")]

INPUTS = [f"concentration of the blood serum marker no. {j}" for j in range(30)]
OUTPUTS = ["progression of the disease after one year", "costs of the treatment in the first year"]
# Neither draws on axes of a figure that it is given.
NO_AXES = {"sliders"}


class Things:
    """What the plots draw: each is made when it is first asked for."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.U = pd.DataFrame(rng.standard_normal((60, 30)), columns=INPUTS)
        hidden = np.maximum(self.U.to_numpy()[:, :3] @ np.array([[2.0, 1], [1, -1], [-1, 1]]), 0)
        self.Y = pd.DataFrame(hidden + 0.1 * rng.standard_normal((60, 2)), columns=OUTPUTS)
        self.model = ImplicitModel(
            0.1 * rng.standard_normal((6, 6)), rng.standard_normal((6, 30)), None, rng.standard_normal((2, 6)),
            input_names=INPUTS, output_names=OUTPUTS,
        )  # fmt: skip
        self.problem = TrainingProblem(self.U, self.Y, 1, pass_through=False)
        self.result = solve(self.problem, max_cycles=3)
        self.path = kappa_path(self.problem, kappas=[0.01, 0.1, 0.3], max_cycles=3, tol=1.0)
        self.chosen = self.path.select(n_folds=2, ridges=[0.1], grow_hidden=False, max_cycles=5)
        inputs = pd.DataFrame({"input": INPUTS, "selected": [True] * 30, "frequency": 0.9})
        effects = pd.DataFrame({"input": INPUTS, "output": OUTPUTS[0], "effect": 1.0, "low": 0.5, "high": 2.0})
        self.uncertainty = Uncertainty(inputs, effects, pd.Series(dtype=float), 0.95, 10, 20)
        small = random_problem((3, 3, 2, 40), **FOR_SPARSE_A)
        self.architectures = architecture_path(small, 2, unseen=(small.U.T, small.Y.T), tol=1e-2)
        self.compression = compress(self.model, self.U.to_numpy(), alpha=[0.0, 0.1])
        classes = np.array(["no sign of the disease", "progression of the disease"])[(self.Y > 1).to_numpy()[:, 0] + 0]
        self.classifier = LogisticRegression().fit(self.U.iloc[:, :2], classes)
        self.classes = classes
        points = [RobustPoint(name, 2.0, self.model, 1) for name in ("with the norm bounded by 2", "without a bound")]
        self.curve = RobustnessCurve(tuple(points), 0.2, False, (self.U.to_numpy(), self.Y.to_numpy()), 0)


@pytest.fixture(scope="module")
def things():
    return Things()


def stills(of, ax):
    ax.figure.clear()
    live = block_problem(of.problem, of.problem.initial(), "hidden", parameters=["kappa"])
    plots.stills(live, "kappa", [0.001, 0.2, 100.0], ax.figure, solver="CLARABEL")


def bands(of, ax):
    x = of.U.iloc[:, 0]
    plots.quantile_bands(x, {0.1: x - 1, 0.9: x + 1}, of.Y.iloc[:, 0], ax)


def reliability(of, ax):
    plots.reliability(of.classifier, of.U.iloc[:, :2], of.classes, ax, label="logistic regression")


DRAWN = {
    "animate_cobweb": lambda of, ax: plots.animate_cobweb(of.model, of.U.iloc[0], ax, n_steps=2)._draw_was_started,
    "animate_path": lambda of, ax: plots.animate_path(of.path, of.chosen, ax=ax),
    "architecture": lambda of, ax: plots.architecture(of.model, ax),
    "architecture_path": lambda of, ax: plots.architecture_path(of.architectures, ax),
    "bounds": lambda of, ax: plots.bounds(of.model.bounds(of.U, 0.1), ax, truth=of.Y),
    "certificates": lambda of, ax: plots.certificates(of.result, ax),
    "cobweb": lambda of, ax: plots.cobweb(of.model, of.U.iloc[0], ax),
    "column_norms": lambda of, ax: plots.column_norms(of.model, ax=ax, truth=[0, 1, 2]),
    "compression": lambda of, ax: plots.compression(of.compression, ax, error="agreement"),
    "decision_regions": lambda of, ax: plots.decision_regions(of.classifier, of.U.iloc[:, :2], of.classes, ax),
    "effects": lambda of, ax: plots.effects(of.uncertainty, ax=ax),
    "entries": lambda of, ax: plots.entries(of.model, ax=ax),
    "explanation": lambda of, ax: plots.explanation(of.model.explain(of.U.iloc[:1], 0.1), ax=ax),
    "history": lambda of, ax: plots.history(of.result, ax),
    "importance": lambda of, ax: plots.importance(of.model.importance(of.U, of.Y), ax),
    "kappa_path": lambda of, ax: plots.kappa_path(of.path, of.chosen, ax=ax),
    "matrix": lambda of, ax: plots.matrix(of.model, ax, parts="all"),
    "p_values": lambda of, ax: plots.p_values(of.chosen, ax),
    "picard_convergence": lambda of, ax: plots.picard_convergence(of.model, of.U, ax),
    "quantile_bands": bands,
    "reliability": reliability,
    "residuals": lambda of, ax: plots.residuals(of.model, of.U, of.Y, ax),
    "robustness": lambda of, ax: plots.robustness(of.curve, ax),
    "sensitivity": lambda of, ax: plots.sensitivity(of.model, ax),
    "solver_convergence": lambda of, ax: plots.solver_convergence(of.model, of.U, ax, n_steps=20),
    "sparsity": lambda of, ax: plots.sparsity(of.model, ax=ax),
    "stability": lambda of, ax: plots.stability(of.uncertainty, ax),
    "states": lambda of, ax: plots.states(of.model, of.U, ax),
    "stills": stills,
}  # fmt: skip


def test_each_plot_is_looked_at():
    functions = {name for name in plots.__all__ if callable(getattr(plots, name))}
    assert functions == {*DRAWN} | NO_AXES


@pytest.mark.filterwarnings("ignore:Animation was deleted")
@pytest.mark.parametrize("size", [(4, 3), (8, 5)])
@pytest.mark.parametrize("name", DRAWN)
def test_all_is_inside_the_figure_and_the_axes_are_large(things, name, size):
    figure = Figure(size, layout="constrained")
    DRAWN[name](things, figure.subplots())
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), size
    # Inches; a fiftieth is hardly seen.
    assert min(drawn.x0, drawn.y0) > -0.02
    assert drawn.x1 < width + 0.02
    assert drawn.y1 < height + 0.02
    boxes = [ax.get_position() for ax in figure.axes if not hasattr(ax, "_colorbar")]
    assert sum(box.width * box.height for box in boxes) >= 1 / 3
