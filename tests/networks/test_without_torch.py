"""PyTorch is optional: what asks for it says how to get it, and the rest does not load it."""

import sys

import pytest

import bcd_implicit as bi

MODEL = bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])


CALLS = {
    "from": lambda: bi.from_torch(None, 5),
    "to": lambda: bi.to_torch(MODEL),
    "layer": lambda: bi.torch.ImplicitLayer(MODEL),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_error_says_how_to_get_it(monkeypatch, call):
    # As if it were not there.
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        bi.InvalidInputError, match=r"needs PyTorch, which is not installed\. Run pip install 'bcd-impl"
    ):
        call()


def test_the_module_of_layers_lists_its_names_and_has_no_others():
    assert dir(bi.torch) == ["ImplicitLayer"]
    with pytest.raises(AttributeError, match=r"module 'bcd_implicit\.torch' has no attribute 'Layer'"):
        bi.torch.Layer  # noqa: B018
