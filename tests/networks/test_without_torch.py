"""PyTorch is optional: what asks for it says how to get it, and the rest does not load it."""

import sys

import pytest

import bcd_implicit as bi

MODEL = bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])


@pytest.mark.parametrize("call", [lambda: bi.from_torch(None, 5), lambda: bi.to_torch(MODEL)], ids=["from", "to"])
def test_the_error_says_how_to_get_it(monkeypatch, call):
    # As if it were not there.
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        bi.InvalidInputError, match=r"needs PyTorch, which is not installed\. Run pip install 'bcd-impl"
    ):
        call()
