"""What a composition says of its parts: which states are whose, and whose fault it is if it is not well-posed."""

import pickle

import numpy as np
import pytest
from composed import drawn_graph

from bcd_implicit import ImplicitModel, InvalidInputError, NotWellPosedError, compose
from bcd_implicit.compose import labelled
from bcd_implicit.model.matrices import dense


def cycle(gain, n=1, activation="relu"):
    """n states in a circle of this gain, driven by one input; y is their sum."""
    return ImplicitModel(
        gain * np.roll(np.eye(n), 1, axis=0), np.ones((n, 1)), None, np.ones((1, n)), None, None, activation
    )


f, g = labelled(cycle(0.5, 2), name="f"), labelled(cycle(0.3, 3), name="g")
layer = ImplicitModel(np.zeros((2, 2)), [[1.0], [-0.5]], None, [[1.0, 1.0]], activation="tanh")
places = {
    "f | g": (f | g, [0, 1], [2, 3, 4]),
    "g @ f": (g @ f, [3, 4], [0, 1, 2]),
    "g @ f again": ([[2]] @ (g @ f) + 1, [3, 4], [0, 1, 2]),
}


@pytest.mark.parametrize(("model", "of_f", "of_g"), places.values(), ids=places)
def test_states_are_told_by_part(model, of_f, of_g):
    parts = model.structure().parts
    assert list(parts) == ["f", "g"]
    np.testing.assert_array_equal(parts["f"], of_f)
    np.testing.assert_array_equal(parts["g"], of_g)
    assert "<td" in (shown := model.structure()._repr_html_())
    assert "f (2), g (3)" in shown


@pytest.mark.parametrize("seed", range(30))
def test_without_feedback_each_part_is_in_the_whole_as_it_was_and_the_fault_is_that_of_a_part(seed):
    rng = np.random.default_rng(seed)
    whole = drawn_graph(rng, int(rng.integers(2, 8)), ill_posed=0.15, feedback=False)
    structure, A = whole.model.structure(), dense(whole.model.A)
    owners = np.full(len(A), -1)
    for k, part in enumerate(whole.model._parts):
        np.testing.assert_array_equal(A[np.ix_(part.states, part.states)], dense(part.A))
        assert (owners[part.states] == -1).all()
        owners[part.states] = k
    assert (owners >= 0).all()
    for states in structure.cycles:
        assert len(set(owners[states])) == 1
    assert ("well-posed on its own" in structure.reason) == (not whole.well_posed)
    assert "feedback" not in structure.reason
    if not whole.well_posed:
        name = list(structure.parts)[owners[structure._worst[0][0]]]
        assert structure.reason.endswith(f"{len(structure._worst[0])} of {name}; {name} is not well-posed on its own")
        with pytest.raises(
            NotWellPosedError, match=rf"\. Scale A of {name} down, or train it with norm_bound < 1\.\nSee"
        ):
            structure.check()


def test_a_feedback_that_makes_a_cycle_of_two_parts_is_told_from_them():
    closed = (g @ f).feedback(0.4)
    radius = np.abs(np.linalg.eigvals(np.abs(closed.A))).max()
    assert radius > 1
    assert closed.structure().reason == (
        f"not known to be well-posed: the spectral radius of L |A| is {radius:.4g}, not below 1, on its states: 2 of f "
        "and 3 of g; f and g are well-posed on their own, but a feedback makes this cycle"
    )
    beside = layer | closed
    with pytest.raises(NotWellPosedError) as caught:
        beside.predict([[1.0]])
    assert str(caught.value) == (
        f"A: spectral radius of |A| is {radius:.6g} on the component of 5 states (2, 3, 4, 5, 6): 2 of f and 3 of g "
        "(||A||_inf = 2.3), not below 1, so an equilibrium need not exist; f and g are well-posed on their own, but a "
        "feedback makes this cycle. Scale the feedback down."
    )
    # Smaller, it is well-posed, and says so of the same parts.
    assert (
        (layer | (g @ f).feedback(0.01))
        .structure()
        .reason.endswith("below 1, on the component with a cycle (5 of 7 states: 2 of f and 3 of g)")
    )


def test_parts_of_a_cycle_that_fail_by_themselves_are_blamed_first():
    bad = labelled(cycle(1.2), name="bad")
    reason = bad.feedback(0.01 * g).structure().reason
    assert reason.endswith("on its states: 1 of bad and 3 of g; bad is not well-posed on its own")
    reason = bad.feedback(0.01 * (cycle(1.3) @ g)).structure().reason
    assert reason.endswith("1 of bad, 3 of g and 1 of part 3; bad and part 3 are not well-posed on their own")


def test_a_model_with_a_feedback_around_itself():
    assert cycle(0.5).feedback(0.7).structure().reason == (
        "not known to be well-posed: the spectral radius of L |A| is 1.2, not below 1, on its states; the inner model "
        "is well-posed on its own, but a feedback makes this cycle"
    )
    assert (
        labelled(cycle(0.5), name="pump")
        .feedback(0.7)
        .structure()
        .reason.endswith("; pump is well-posed on its own, but a feedback makes this cycle")
    )
    # Nothing was put together here that could be told.
    for whole in (cycle(1.5), 2 * cycle(1.5)):
        assert whole.structure().reason.endswith("is 1.5, not below 1, on its states")


def test_the_squares_of_a_product_are_a_part():
    closed = (layer * f).feedback(0.1)
    with pytest.raises(NotWellPosedError) as caught:
        closed.predict([[1.0]])
    assert str(caught.value) == (
        "activation: square, which has no Lipschitz constant, is in the cycle of 6 states (0, 1, 2, 3, 4, 5): 2 of "
        "part 1, 2 of f and 2 of the product, so an equilibrium need not exist; part 1, f and the product are "
        "well-posed on their own, but a feedback makes this cycle. Break the cycle, or give its states functions of "
        "bounded slope, such as tanh."
    )
    assert "; part 1, f and the product are well-posed" in closed.structure().reason


def test_parts_are_numbered_as_data_pass_and_a_name_given_twice_has_its_number():
    h = compose.cascade(cycle(0.1, 1), cycle(0.1, 2), cycle(0.1, 3))
    assert {name: len(states) for name, states in h.structure().parts.items()} == {
        "part 1": 1,
        "part 2": 2,
        "part 3": 3,
    }
    assert {name: len(states) for name, states in (h @ f | f).structure().parts.items()} == {
        "f (part 1)": 2, "part 2": 1, "part 3": 2, "part 4": 3, "f (part 5)": 2,
    }  # fmt: skip
    odd = labelled(f, name="part 2") | f | g
    assert list(odd.structure().parts) == ["part 2 (part 1)", "f", "g"]
    # A model of many parts is one if it is named, and many are cut in messages.
    assert list((labelled(h, name="h") | f).structure().parts) == ["h", "f"]
    told = compose.stack(*[cycle(0.2)] * 9).structure().reason
    assert told.endswith("(9 of 9 states: 1 of part 1, 1 of part 2, 1 of part 3, 1 of part 4, 1 of part 5 and 4 more)")


def test_affine_maps_have_no_states_and_are_no_parts():
    M = compose.affine([[2.0]], [1.0])
    assert list((M @ g @ M @ f @ M).structure().parts) == ["f", "g"]
    assert M.structure().parts == (M @ M).structure().parts == {}
    assert labelled(M, name="M").structure().parts == {}


def test_what_becomes_of_the_parts(tmp_path):
    # The states are the same in other units, or the same.
    whole = ImplicitModel([[0.0, 2.0], [0.3, 0.0]], [[1.0], [1.0]], None, [[1.0, 1.0]]) @ f
    scaled = whole.rescaled()
    assert {name: list(states) for name, states in scaled.structure().parts.items()} == {"f": [2, 3], "part 2": [0, 1]}
    assert (
        scaled.feedback(0.2)
        .structure()
        .reason.endswith("f and part 2 are well-posed on their own, but a feedback makes this cycle")
    )
    again = whole.unstandardized(np.zeros(1), np.ones(1), np.zeros(1), np.ones(1))
    assert list(again.structure().parts) == list(pickle.loads(pickle.dumps(whole)).structure().parts) == ["f", "part 2"]
    # Pruned, states may be of several parts at once: it is a model by itself.
    twice = (f | f).pruned()
    assert twice.structure().parts == {}
    assert twice.n_hidden == 1  # the two states of f are equal, too
    assert (
        ([[1, 1]] @ twice)
        .feedback(0.5)
        .structure()
        .reason.endswith("; the inner model is well-posed on its own, but a feedback makes this cycle")
    )
    # Files keep the model alone.
    whole.save(tmp_path / "m.npz")
    loaded = ImplicitModel.load(tmp_path / "m.npz")
    assert loaded.structure().parts == {}
    assert all(
        np.array_equal(getattr(loaded, letter), getattr(whole, letter)) for letter in ("A", "B", "b", "C", "D", "d")
    )


@pytest.mark.parametrize("name", ["", "  ", 3, ["f"]])
def test_a_name_is_a_text(name):
    with pytest.raises(InvalidInputError, match="^name: must be a text that is not empty, got"):
        labelled(f, name=name)
