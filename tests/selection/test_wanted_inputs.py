"""Paths to a wanted number of inputs, and what a path says where inputs are few or none."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from sklearn.preprocessing import scale
from slow_but import slow_but

import bcd_implicit as bi
from bcd_implicit import InvalidInputError, kappa_path
from bcd_implicit.selection import grid as grid_module
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.walk import MOST_BISECTIONS, PASSING_CYCLES, warn_if_collapsed

COIL20 = Path(__file__).parents[3] / "shared" / "data" / "COIL20.mat"

pytestmark = pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")


def sizes_of(path):
    return path.supports.sum(axis=1).tolist()


@pytest.fixture(scope="module")
def wide():
    """60 samples of 1,000 inputs, of which five matter."""
    data = bi.datasets.make_column_sparse(
        n_samples=60, n_features=1000, n_outputs=3, n_hidden=3, n_informative=5, noise=0.1, random_state=0
    )
    return bi.TrainingProblem(data.U, data.Y, 2, pass_through=False)


@pytest.fixture(scope="module")
def empties():
    """Noise, and one hidden feature: from a cold start a tenth of the reference empties B."""
    rng = np.random.default_rng(0)
    U = rng.standard_normal((40, 200))
    rng.integers(0, 4, 40)
    return bi.TrainingProblem(U, scale(rng.standard_normal(40)), 1, pass_through=False)


def record(problem, rows):
    """A path as data, with the given supports."""
    it = problem.initial(0)
    results = tuple(
        bi.BcdResult(
            problem.replace(kappa=float(k)), "prox-linear", "native", bi.Status.CONVERGED,
            it.replace(B=np.outer(np.ones(len(it.B)), np.asarray(row, dtype=float))), None, {},
        )
        for k, row in enumerate(rows, start=1)
    )  # fmt: skip
    return PathRecord(problem, results)


def test_a_path_ends_where_the_wanted_number_of_inputs_is_in(path, problem):
    short = kappa_path(problem, 6, n_features=3)
    sizes = sizes_of(short)
    assert sizes[-1] <= 3 < min(sizes[:-1])
    assert np.all(np.diff(short.kappas) > 0)
    assert short.kappas[-1] < path.kappas[-1]
    # The same grid, so the same models up to the end but for those found in between.
    np.testing.assert_array_equal(short.kappas[0], path.kappas[0])
    chosen = short.select(n_features=3, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.support.sum() == 3
    assert (chosen.support >= short.supports[-1]).all()


@pytest.mark.parametrize("form", slow_but(["penalty"], ["penalty", "constraint"]))
def test_between_many_inputs_and_few_the_walk_looks_for_the_wanted_number(problem, form):
    kappas = [1e-4, 1.0] if form == "penalty" else [50.0, 0.5]
    jump = kappa_path(problem.replace(group_form=form), kappas=kappas)
    assert sizes_of(jump)[0] > 5 > sizes_of(jump)[-1] + 1  # or there is nothing to look for
    path = kappa_path(problem.replace(group_form=form), kappas=kappas, n_features=5)
    sizes = sizes_of(path)
    assert sizes[-1] <= 5 < min(sizes[:-1])
    assert sizes[-1] > sizes_of(jump)[-1]
    assert 2 <= len(sizes) <= 2 + MOST_BISECTIONS
    steps = np.diff(path.kappas)
    assert np.all(steps > 0) if form == "penalty" else np.all(steps < 0)


def test_the_automatic_grid_goes_on_until_the_wanted_number_is_reached(problem, monkeypatch):
    monkeypatch.setattr("bcd_implicit.selection.solve_path.automatic_grid", lambda *args: np.array([0.01, 0.02]))
    assert sizes_of(kappa_path(problem, 2))[-1] > 6
    with pytest.warns(
        UserWarning, match=r"at the last kappa \(0.08\) \d inputs are in, more than n_features=2"
    ) as seen:
        longer = kappa_path(problem, 2, n_features=2)
    assert seen[0].filename == __file__
    # Twice the length at most.
    np.testing.assert_allclose(longer.kappas, [0.01, 0.02, 0.04, 0.08])


def test_a_number_that_unpenalised_inputs_exceed_is_told(problem):
    free = problem.replace(group_weights=[0.0, 0.0, 0.0, 1, 1, 1, 1, 1])
    with pytest.warns(UserWarning, match="3 inputs have weight 0 and are never dropped: ask for more"):
        kappa_path(free, kappas=[0.1, 10.0], n_features=2)


def test_kappas_with_too_many_inputs_are_passed_quickly(problem):
    path = kappa_path(problem, kappas=[1e-3, 3e-3, 0.1, 0.3], max_features=3, tol=1e-6)
    sizes, table = np.array(sizes_of(path)), path.table
    assert sizes[0] > 3 >= sizes[-1]  # or one of the two says nothing
    assert (table["status"][sizes > 3] == "STOPPED").all()
    assert table["n_cycles"][:2].tolist() == [PASSING_CYCLES, PASSING_CYCLES]
    assert table["n_cycles"].iloc[-1] > PASSING_CYCLES
    assert table["status"].iloc[-1] != "STOPPED"
    chosen = path.select(level=None, grow_hidden=False, ridges=[1e-4], tol=0.2)
    assert chosen.table["n_selected"].max() <= 3
    assert path.reweighted(2).max_features == 3
    assert path.frequencies(2).shape == (len(sizes), 8)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n_features": 0}, r"^n_features: got 0, must be >= 1\. Give a number from 1 to the number of inputs\.$"),
        ({"n_features": 9}, r"^n_features: got 9, must be <= 8\."),
        ({"n_features": 2.0}, r"^n_features: must be a whole number, got 2\.0\."),
        ({"max_features": 0}, r"^max_features: got 0, must be >= 1\. Give 1 or more\.$"),
        ({"n_features": 3, "max_features": 2}, r"^max_features: 2 is less than n_features=3\. Give as many or more\.$"),
    ],
)
def test_bad_numbers_of_inputs_are_named_before_anything_is_solved(problem, monkeypatch, wanted, message):
    monkeypatch.setattr(grid_module, "solve", None)
    monkeypatch.setattr("bcd_implicit.selection.walk.solve", None)
    with pytest.raises(InvalidInputError, match=message):
        kappa_path(problem, **wanted)


def test_a_grid_that_empties_B_at_once_starts_again_lower(empties):
    first = grid_module.automatic_grid(empties, 3, 0, {"method": "prox-linear"})
    with pytest.warns(UserWarning, match=rf"kappa_path: no input is in even at the first kappa \({first[0]:.3g}\)"):
        collapsed = kappa_path(empties, kappas=first, max_cycles=3)
    assert sizes_of(collapsed) == [0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", bi.ConvergenceWarning)
        path = kappa_path(empties, 3, max_cycles=3)
    assert sizes_of(path)[0] > 5
    np.testing.assert_allclose(path.kappas[[0, -1]], [first[0] / 10, first[-1]])
    with pytest.raises(InvalidInputError, match=r"n_features: asks for 5, but no input was ever in on the path"):
        collapsed.longest(5)
    with pytest.raises(
        InvalidInputError, match=rf"from kappa {first[0]:.3g} on\. Compute the path with smaller kappas\.$"
    ):
        collapsed.select(n_features=5)


def test_where_no_kappa_keeps_an_input_that_is_said(problem):
    still = bi.TrainingProblem(problem.U.T, np.full(120, 7.0), 2, pass_through=False)
    with pytest.warns(UserWarning, match="check that the targets vary"):
        path = kappa_path(still, 3)
    assert sizes_of(path) == [0]
    assert path.kappas[0] == pytest.approx(1e-3 / 30)  # three times ten times lower
    with pytest.warns(UserWarning, match="next to zero at every kappa.* The targets do not vary: check them"):
        kappa_path(still.replace(group_form="constraint"), 3)


def test_a_radius_that_keeps_no_input_is_said(problem):
    collapsed = record(problem.replace(group_form="constraint"), [[0] * 8])
    with pytest.warns(UserWarning, match=r"the first radius \(1\).* larger kappas, such as kappas=\[1e\+03"):
        warn_if_collapsed(collapsed.results)


def test_a_reference_without_a_fit_behind_it_is_said(problem):
    assert bi.reference_kappa(problem) > 0  # without a warning
    still = bi.TrainingProblem(problem.U.T, np.full(120, 7.0), 2, pass_through=False)
    with pytest.warns(UserWarning, match="reference_kappa: two cycles without group lasso end with B next to zero"):
        assert bi.reference_kappa(still) == pytest.approx(0.0, abs=1e-6)


def test_inputs_that_were_never_in_are_never_the_answer(problem):
    path = record(problem, [[0, 3, 0, 1, 2, 0, 0, 0], [0, 1, 0, 0, 2, 0, 0, 0], [0] * 8])
    assert np.flatnonzero(path.longest(2)).tolist() == [1, 4]
    assert np.flatnonzero(path.longest(3)).tolist() == [1, 3, 4]
    with pytest.warns(UserWarning, match=r"n_features=6: only 3 inputs were ever in on the path, from kappa 1 on"):
        assert np.flatnonzero(path.longest(6)).tolist() == [1, 3, 4]
    with pytest.raises(InvalidInputError, match="n_features: asks for 2, but no input was ever in"):
        record(problem, [[0] * 8]).longest(2)
    assert [path.enough(least) for least in (0, 1, 3, 6)] == [0, 1, 3, 3]


def test_groups_and_inputs_of_weight_zero_are_counted_whole(problem):
    grouped = problem.replace(groups=[0, 0, 0, 1, 1, 2, 2, 3], group_weights=[1.0, 1.0, 1.0, 0.0])
    # The last input has no weight and is in all along.
    path = record(grouped, [[1, 0, 1, 1, 1, 0, 0, 1], [1, 1, 1, 0, 0, 0, 0, 1]])
    assert np.flatnonzero(path.longest(1)).tolist() == [7]
    assert np.flatnonzero(path.longest(4)).tolist() == [0, 1, 2, 7]
    assert np.flatnonzero(path.longest(5)).tolist() == [0, 1, 2, 7]  # the next group does not fit
    assert [path.enough(least) for least in (1, 2, 5, 8)] == [1, 4, 6, 6]
    with pytest.warns(UserWarning, match="n_features=7: only 6 inputs were ever in"):
        assert path.longest(7).sum() == 6


def test_the_ranking_puts_inputs_that_were_never_in_last(problem):
    full = kappa_path(problem, kappas=[0.2, 0.4])
    out = ~full.ever_in
    assert 0 < out.sum() < 8  # or one of the two says nothing
    ranking = full.ranking()
    never = ranking.tail(out.sum())
    assert set(never["input"]) == {f"u{j}" for j in np.flatnonzero(out)}
    assert (never["leaves_at"] == 0.2).all()
    assert (never["norm"] == 0).all()
    assert (ranking.head(8 - out.sum())["leaves_at"] > 0.2).all()


def test_progress_moves_within_a_kappa_and_never_back(empties):
    told = []
    # With a start that has to be lowered, and kappas in between.
    path = kappa_path(empties, 4, n_features=20, max_cycles=3, progress=lambda share, text: told.append((share, text)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert told[-1][1] == f"{path.supports[-1].sum()} of 200 inputs at the last kappa"
    kappa = f"kappa {path.kappas[1]:.3g}:"
    cycles = [share for share, text in told if text.startswith(f"{kappa} cycle")]
    assert len(cycles) >= 2
    assert cycles[0] < cycles[-1]


def test_wide_data_to_a_few_inputs(wide):
    path = kappa_path(wide, 4, n_features=20, max_features=40, max_cycles=3)
    assert sizes_of(path)[0] > 20
    assert 0 < sizes_of(path)[-1] <= 20
    assert path.longest(20).sum() == 20
    assert (path.longest(20) <= path.ever_in).all()


@pytest.mark.slow
@pytest.mark.skipif(not COIL20.exists(), reason="needs the table COIL20.mat beside the repository")
def test_images_do_not_empty_the_path():
    table = loadmat(COIL20)
    rows = np.random.default_rng(0).permutation(len(table["X"]))[:100]
    labels = table["Y"].ravel()[rows]
    U, Y = scale(table["X"][rows].astype(float)), np.eye(20)[labels - 1]
    path = kappa_path(bi.TrainingProblem(U, Y, 5, pass_through=False), 6, n_features=50, max_features=100, max_cycles=5)
    assert sizes_of(path)[0] > 50
    assert 40 <= sizes_of(path)[-1] <= 50
    assert path.longest(50).sum() == 50


@pytest.mark.slow
def test_three_inputs_of_a_thousand_are_found_with_sixty_samples():
    rng = np.random.default_rng(0)
    U = rng.standard_normal((60, 1000))
    y = 3 * U[:, 0] - 2 * U[:, 1] + 2 * U[:, 2] + 0.1 * rng.standard_normal(60)
    path = kappa_path(bi.TrainingProblem(U, y, 10, pass_through=False), random_state=0)
    assert not path.supports[0].all()
    assert np.flatnonzero(path.select(random_state=0).support).tolist() == [0, 1, 2]


def test_a_path_whose_ridges_empty_B_is_said(problem):
    tiny = bi.TrainingProblem(problem.U.T, 1e-9 * problem.Y.T, 2, pass_through=False)
    with pytest.warns(
        UserWarning, match=r"kappa_path: B is next to zero at every kappa.* standard deviation is .*e-09"
    ):
        kappa_path(tiny, 3)
