"""Score tests of weighted samples: their level and their power."""

import numpy as np
import pytest
from slow_but import slow_but
from weights import random_weights

import bcd_implicit as bi
from bcd_implicit import TrainingProblem
from bcd_implicit.selection.refits import Refit, run_refit
from bcd_implicit.selection.significance import entry_p_values

CASES = ["unrelated", "inverse variances", "a few heavy ones", "empty support"]


def p_values_without_a_part(sample_weight, seeds, noise_scale=None, support=True):
    """Of inputs that have no part in the targets, with weights that have none in the inputs."""
    found = []
    for seed in range(seeds):
        data = bi.datasets.make_column_sparse(150, 62, 5, 4, 2, noise=0.0, random_state=seed)
        rng = np.random.default_rng([seed, 9])
        weights = sample_weight(rng)
        noise = rng.standard_normal(data.Y.shape)
        Y = data.Y + 0.5 * (noise if noise_scale is None else noise_scale(weights)[:, None] * noise)
        problem = TrainingProblem(data.U, Y, 2, pass_through=False, sample_weight=weights)
        given = data.support if support else np.zeros(62, dtype=bool)
        result = run_refit(problem, Refit(given, 2, 1e-3), problem.initial(0), 0, {"max_cycles": 15, "tol": 2e-2})
        found.append(entry_p_values(problem, result, given)[~data.support])
    return np.concatenate(found)


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
@pytest.mark.parametrize("case", slow_but(["unrelated", "empty support"], CASES))
def test_p_values_are_uniform_under_the_null_hypothesis(case):
    if case == "a few heavy ones":
        found = p_values_without_a_part(lambda rng: np.where(rng.random(150) < 0.2, 10.0, 1.0), 16)
    elif case == "inverse variances":
        found = p_values_without_a_part(lambda rng: rng.lognormal(0, 1, 150), 16, lambda w: 1 / np.sqrt(w))
    else:
        found = p_values_without_a_part(lambda rng: rng.lognormal(0, 1, 150), 16, support=case == "unrelated")
    assert len(found) == 960
    # The smaller of two p-values, doubled, is below a level in a little less than that share of cases.
    for level in (0.3, 0.1, 0.03):
        error = np.sqrt(level * (1 - level) / len(found))
        assert 0.6 * level - 2 * error <= np.mean(found < level) <= level + 3 * error


@pytest.mark.filterwarnings("ignore::bcd_implicit.ConvergenceWarning")
def test_score_tests_of_weighted_data_have_power_and_know_their_limits():
    data = bi.datasets.make_column_sparse(200, 8, 5, 4, 3, noise=0.3, random_state=0)
    missing = int(np.flatnonzero(data.support)[0])
    support = data.support.copy()
    support[missing] = False

    def p_values(weights):
        problem = TrainingProblem(data.U, data.Y, 3, pass_through=False, sample_weight=weights)
        result = run_refit(problem, Refit(support, 3, 1e-3), problem.initial(0), 0, {"max_cycles": 60, "tol": 1e-3})
        return entry_p_values(problem, result, support)

    found = p_values(random_weights(200))
    assert found.argmin() == missing
    assert found[missing] < 1e-6
    assert (np.delete(found, missing) > 1e-3).all()
    # Three samples that bear all the weight say nothing next to two inputs and an intercept.
    assert (p_values(np.where(np.arange(200) < 3, 1.0, 1e-6)) == 1).all()
