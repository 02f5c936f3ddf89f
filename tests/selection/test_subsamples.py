"""How often subsamples keep an input."""

import numpy as np


def test_ranking_says_who_stays_longest_and_how_often(short_path, data):
    table = short_path.ranking(4)
    assert set(table["input"][:2]) == {f"u{j}" for j in np.flatnonzero(data.support)}
    assert (np.diff(table["leaves_at"].replace(np.inf, 1e9)) <= 0).all()
    for name, leaves in zip(table["input"], table["leaves_at"], strict=True):
        column = short_path.supports[:, int(name[1:])]
        assert not column[short_path.kappas >= leaves].any()
        assert leaves == short_path.kappas[0] or column[short_path.kappas < leaves][-1]
    assert (table["frequency"][:2] == 1).all()
    assert table["frequency"].between(0, 1).all()
