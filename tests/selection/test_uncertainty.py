"""How sure a selection is: halves, bootstrap refits, their percentiles, and what cuts them short."""

from dataclasses import replace

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.selection import uncertainty as module
from bcd_implicit.support.interruption import Stop

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


@pytest.fixture(scope="module")
def chosen(path):
    return path.select(n_folds=2, grow_hidden=False, ridges=[1e-4], tol=0.2, max_cycles=5)


@pytest.fixture(scope="module")
def found(chosen):
    return chosen.uncertainty(n_halves=2, n_refits=20, random_state=1)


@pytest.mark.slow
def test_strong_inputs_are_selected_on_every_half(chosen, found, data):
    assert found.n_halves == 2
    by_name = found.frequencies.set_index("input")
    assert set(by_name.index) == set(chosen.input_names)
    assert (by_name.loc[chosen.names, "frequency"] == 1).all()
    assert by_name["selected"].sum() == chosen.support.sum()
    assert by_name["frequency"].between(0, 1).all()
    assert (chosen.support == data.support).all()


def test_effects_are_mean_slopes_and_their_intervals_percentiles_of_refits(chosen, found, problem, monkeypatch):
    U, step = problem.U.T, 1e-5
    for row in found.effects.itertuples():
        j, i = chosen.input_names.index(row.input), problem.output_names.index(row.output)
        up, down = (U + sign * step * (np.arange(8) == j) for sign in (1, -1))
        slopes = (chosen.model.predict(up) - chosen.model.predict(down))[:, i] / (2 * step)
        assert row.effect == pytest.approx(slopes.mean(), rel=1e-3, abs=1e-4)
        assert row.low < row.high
    assert len(found.effects) == chosen.support.sum() * problem.n_outputs
    # Refits of known effects, in any order.
    known = iter(np.random.default_rng(0).permutation(101) / 100)
    monkeypatch.setattr(module, "_refitted_on", lambda *_: (np.full((6, 8), next(known)), 0.5))
    told = chosen.uncertainty(n_halves=0, n_refits=101, confidence=0.9)
    np.testing.assert_allclose(told.effects[["low", "high"]].drop_duplicates(), [[0.05, 0.95]])
    assert told.score["estimate"] == 0.5
    assert told.frequencies["frequency"].isna().all()


def test_the_score_is_of_samples_that_a_refit_has_not_seen(chosen, problem):
    counts = np.ones(problem.n_samples, dtype=int)
    counts[::3], counts[1::3] = 0, 2
    effects, score = module._refitted_on(chosen, counts, 0)
    assert effects.shape == (6, 8)
    assert not effects[:, ~chosen.support].any()
    # Targets of samples not drawn decide the score, and nothing else.
    path = chosen.evidence.path
    other = problem.subset(np.arange(problem.n_samples))
    other.Y = np.where(counts == 0, other.Y[::-1], other.Y)
    elsewhere = chosen.evidence.told()
    elsewhere.path = replace(path, problem=other)
    again, worse = module._refitted_on(replace(chosen, evidence=elsewhere), counts, 0)
    np.testing.assert_allclose(again, effects)
    assert worse < score - 0.3


@pytest.mark.slow
def test_the_answer_depends_on_the_seed_alone(chosen, found):
    again = chosen.uncertainty(n_halves=2, n_refits=20, random_state=1)
    assert again.table.equals(found.table)


def test_groups_of_samples_are_drawn_whole():
    together = np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    counts = module._drawn(21, np.random.default_rng(0), together)
    by_group = [set(counts[together == g]) for g in range(6)]
    assert all(len(those) == 1 for those in by_group)
    assert sum(those.pop() for those in by_group) == 6


def test_it_prints(chosen, found):
    text = " ".join(repr(found).split())
    assert f"95% of refits from {found.score['low']:.3f} to {found.score['high']:.3f}" in text
    assert "narrower than confidence intervals" in text
    assert all(name in text for name in chosen.names)
    assert "<td>" in found._repr_html_()
    assert len(found.table) == len(found.effects) + int((~chosen.support).sum())


def test_it_tells_its_progress(chosen, monkeypatch):
    monkeypatch.setattr(module, "_refitted_on", lambda *_: (np.zeros((6, 8)), 0.5))
    told = []
    chosen.uncertainty(n_halves=0, n_refits=20, progress=lambda share, text: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1


def test_time_that_ends_it_leaves_what_was_done(chosen, monkeypatch):
    with pytest.raises(bi.NothingYetError):
        chosen.uncertainty(max_seconds=1e-6)
    done = []

    def refit(*arguments):
        done.append(1)
        if len(done) > 25:
            raise Stop("TIME_LIMIT")
        return np.zeros((6, 8)), 0.1

    monkeypatch.setattr(module, "_refitted_on", refit)
    found = chosen.uncertainty(n_halves=0, n_refits=40)
    assert (found.n_refits, found.status) == (25, bi.Status.TIME_LIMIT)
    assert "stopped at max_seconds" in repr(found)


def test_a_few_refits_are_a_first_look_with_a_warning(chosen, monkeypatch):
    slopes = iter(np.arange(1.0, 6.0))
    monkeypatch.setattr(module, "_refitted_on", lambda *_: (np.full((6, 8), next(slopes)), 0.1))

    def half(*_):
        raise Stop("TIME_LIMIT")

    monkeypatch.setattr(module, "_selected_on", half)
    # The refits come first, so that they are there when the time is over.
    with pytest.warns(UserWarning, match="5 refits are too few for intervals") as told:
        found = chosen.uncertainty(n_halves=2, n_refits=5, confidence=1 - 1e-9)
    assert told[0].filename == __file__
    assert (found.n_halves, found.n_refits) == (0, 5)
    np.testing.assert_allclose(found.effects[["low", "high"]].drop_duplicates(), [[1, 5]])
    assert found.frequencies["frequency"].isna().all()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"n_halves": 1}, "n_halves: one half is too few for a frequency. Give 2 or more"),
        ({"n_refits": 1}, "n_refits: one refit is too few for an interval. Give 20 or more"),
        ({"n_halves": 0, "n_refits": 0}, "n_refits: is 0, as n_halves is. Give one of them 2 or more"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_bad_numbers_are_named(chosen, numbers, message):
    with pytest.raises(bi.InvalidInputError, match=message):
        chosen.uncertainty(**numbers)


@pytest.mark.slow
def test_persons_with_several_rows_are_halved_whole():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 3))
    together = np.repeat(np.arange(30), 2)
    Y = U[:, :1] + 0.2 * rng.standard_normal((60, 1))
    path = bi.kappa_path(bi.TrainingProblem(U, Y, 2, pass_through=False), 4)
    chosen = path.select(sample_groups=together, n_folds=2, grow_hidden=False, ridges=[1e-3], tol=0.2, max_cycles=5)
    found = chosen.uncertainty(n_halves=2, n_refits=0)
    assert found.frequencies.set_index("input").loc["u0", "frequency"] == 1
    assert found.effects["low"].isna().all()


@pytest.mark.slow
def test_a_standardised_problem_tells_effects_in_the_data_s_units():
    rng = np.random.default_rng(0)
    U = rng.normal(size=(60, 3)) * [1, 1000, 0.01] + [3, 100, 0]
    Y = 40 * np.maximum(U[:, 0] - 3, 0) + 0.02 * U[:, 1] + rng.normal(size=60)
    u, y = ((part - part.mean(axis=0)) / part.std(axis=0) for part in (U, Y))
    told = []
    for problem in (bi.TrainingProblem(U, Y, 2, standardize=True), bi.TrainingProblem(u, y, 2)):
        problem = problem.replace(kappa=0.02, pass_through=False)
        chosen = bi.kappa_path(problem, 3).select(n_features=2, grow_hidden=False, n_folds=2, tol=0.2, max_cycles=5)
        told.append((chosen, chosen.uncertainty(n_halves=0, n_refits=20, random_state=1)))
    (chosen, raw), (_, by_hand) = told
    units = Y.std() / U.std(axis=0)[chosen.support]
    for column in ("effect", "low", "high"):
        np.testing.assert_allclose(raw.effects[column], by_hand.effects[column] * units, rtol=1e-6)
    np.testing.assert_allclose(raw.score, by_hand.score, rtol=1e-6)
    assert raw.score["estimate"] > 0.8
    slope = (chosen.model.predict(U + 1e-5 * np.eye(3)[0]) - chosen.model.predict(U - 1e-5 * np.eye(3)[0])) / 2e-5
    assert raw.effects["effect"][0] == pytest.approx(slope.mean(), rel=1e-3)
    assert "Units: kappa, norms" in repr(chosen.explain())
    assert "Units: kappa, norms" in repr(chosen.result.explain())
