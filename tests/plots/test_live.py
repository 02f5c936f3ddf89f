"""Sliders and still pictures of a live block."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from bcd_implicit import InvalidInputError, block_problem, plots
from bcd_implicit import constraints as ready


@pytest.fixture
def live(problem):
    return block_problem(problem, problem.initial(), "hidden", parameters=["kappa", "norm_bound"])


def test_stills_show_the_block_at_each_value(problem, live):
    figure = Figure()
    kappas = [0.001, 0.1, 10.0]
    assert plots.stills(live, "kappa", kappas, figure, solver="CLARABEL") is figure
    axes = np.array(figure.axes[:6]).reshape(2, 3)
    for kappa, upper, lower in zip(kappas, *axes, strict=True):
        anew = block_problem(problem.replace(kappa=kappa), problem.initial(), "hidden")
        value = anew.solve(solver="CLARABEL")
        A, B = anew.var_dict["A"].value, anew.var_dict["B"].value
        np.testing.assert_allclose(upper.images[0].get_array(), np.hstack([A, B]), atol=1e-4)
        np.testing.assert_allclose([bar.get_height() for bar in lower.patches], np.linalg.norm(B, axis=0), atol=1e-4)
        assert upper.get_title() == f"kappa = {kappa:.4g}\nobjective {value:.4g}"
    assert live.param_dict["kappa"].value == problem.kappa
    figure.draw_without_rendering()


def test_the_output_block_has_c_and_d(problem):
    live = block_problem(problem.replace(pass_through=True), problem.initial(), "output", parameters="all")
    figure = plots.stills(live, "ridge", [0.1, 1.0], Figure())
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["$C$", "$D$"]
    alone = block_problem(problem, problem.initial(), "output", parameters="all")
    figure = plots.stills(alone, "ridge", [0.1], Figure())
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["$C$"]
    assert figure.axes[1].get_xlabel() == "hidden feature"


def test_a_slider_solves_the_block_and_draws_it(problem, live):
    pytest.importorskip("ipywidgets")
    box = plots.sliders(live, ranges={"kappa": (1e-3, 10.0)}, solver="CLARABEL")
    kappa, bound, message, picture = box.children
    assert (kappa.description, bound.description) == ("kappa", "norm_bound")
    assert (kappa.min, kappa.max) == pytest.approx((-3, 1))
    assert (bound.min, bound.max) == (0.0, 0.99)
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG")
    kappa.value = 0.3
    assert live.param_dict["kappa"].value == pytest.approx(0.3)
    anew = block_problem(problem.replace(kappa=0.3), problem.initial(), "hidden")
    assert float(message.value.split()[1]) == pytest.approx(anew.solve(solver="CLARABEL"), rel=1e-5)
    assert bytes(picture.value) != first
    bound.value = 0.2
    assert live.param_dict["norm_bound"].value == pytest.approx(0.2)


def test_values_without_a_solution_are_told(problem):
    pytest.importorskip("ipywidgets")
    both = problem.replace(constraints=[ready.box("A", lower=0.1)])
    live = block_problem(both, both.initial(), "hidden", parameters=["box(A).lower"])
    slider, message, picture = plots.sliders(live, solver="CLARABEL").children
    before = bytes(picture.value)
    assert slider.min < 0 < slider.max
    slider.value = 0.9  # two entries a row, and a norm bound of 0.5
    assert "is infeasible at box(A).lower = 0.9" in message.value
    assert bytes(picture.value) == before
    with pytest.raises(InvalidInputError, match=r"is infeasible at box\(A\).lower = 0.9"):
        plots.stills(live, "box(A).lower", [0.9], Figure(), solver="CLARABEL")


def test_without_ipywidgets_the_error_says_what_to_do(live, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(InvalidInputError, match=r"not installed. Run pip install 'bcd-implicit\[viz\]', or use stills"):
        plots.sliders(live)


@pytest.mark.parametrize("draw", [lambda live: plots.sliders(live), lambda live: plots.stills(live, "kappa", [1])])
def test_what_cannot_be_drawn_is_refused(problem, draw):
    pytest.importorskip("ipywidgets")
    with pytest.raises(InvalidInputError, match="is of type TrainingProblem"):
        draw(problem)
    fixed = block_problem(problem, problem.initial(), "hidden", parameters=[])
    with pytest.raises(InvalidInputError, match="parameter"):
        draw(fixed)


def test_bad_arguments_are_refused(problem, live):
    with pytest.raises(InvalidInputError, match="parameter"):
        plots.stills(live, "mu", [1.0])
    with pytest.raises(InvalidInputError, match="values: is empty"):
        plots.stills(live, "kappa", [])
    state = block_problem(problem, problem.initial(), "state")
    with pytest.raises(InvalidInputError, match="is the state block, which has no matrices"):
        plots.stills(state, "kappa", [1.0])
