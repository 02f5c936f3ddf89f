"""The feature selector names its own arguments."""

from __future__ import annotations

import numpy as np
import pytest

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.estimators import ImplicitFeatureSelector


@pytest.mark.parametrize("number", [0, 3, 0.5])
def test_a_number_of_features_that_cannot_be_is_refused(number):
    X = np.random.default_rng(0).standard_normal((20, 2))
    with pytest.raises(InvalidInputError, match=r"^n_features_to_select: .* Between 1 and all inputs\.$"):
        ImplicitFeatureSelector(n_features_to_select=number).fit(X, X[:, 0])
