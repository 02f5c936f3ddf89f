"""Every rule finds the inputs of an easy problem."""

from types import SimpleNamespace

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.rules import RULES


@pytest.mark.parametrize(("rule", "spread"), [("one-se", "standard_error"), ("paired-one-se", "standard_error_above")])
def test_rules_with_a_standard_error_take_the_sparsest_support_within_it(by_rule, rule, spread):
    table = by_rule(rule).table
    best = table["error"].idxmin()
    limits = table[spread] if rule == "paired-one-se" else table[spread][best]
    allowed = table[table["above_best"] <= limits]
    assert table.loc[table["chosen"], "n_selected"].item() == allowed["n_selected"].min()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_the_inputs_of_an_easy_problem(by_rule, data, rule):
    chosen = by_rule(rule)
    assert chosen.rule == rule
    if rule in ("bic", "ebic"):  # they keep too much where the model is wrong
        assert chosen.support[data.support].all()
    else:
        np.testing.assert_array_equal(chosen.support, data.support)


@pytest.mark.parametrize("constant", [False, True])
def test_a_constant_input_is_none_of_all_inputs(data, constant):
    U = np.column_stack([data.U, np.ones(120)]) if constant else data.U
    supports = np.zeros((4, U.shape[1]), dtype=bool)
    supports[:, :8] = np.array([8, 8, 3, 0])[:, None] > np.arange(8)
    walk = SimpleNamespace(problem=bi.TrainingProblem(U, data.Y, 3), supports=supports, kappas=np.geomspace(1, 1e3, 4))
    walk.plateau = lambda: PathRecord.plateau(walk)
    assert RULES["plateau"](SimpleNamespace(path=walk)).support.sum() == 3
