"""What of PyTorch no implicit model is made of: an error that names it, and what to do."""

import numpy as np
import pytest

import bcd_implicit as bi

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")
from torch_modules import Of, drawn  # noqa: E402 (after the question for PyTorch)

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def message(module, shape=5):
    with pytest.raises(bi.InvalidInputError) as caught:
        bi.from_torch(module, shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("forward", "part"),
    [
        (lambda s, x: torch.softmax(x, -1) * 2, "softmax is not the last step"),
        (lambda s, x: x / x.size(0), "differs from its trace"),
        (lambda s, x: x - x.mean(0), "dim 0 is the axis of samples"),
        (lambda s, x: x.sum() + x, "dim None adds up samples"),
        (lambda s, x: x[0], "index 0 chooses among samples"),
        (lambda s, x: x.view(-1), "(-1,) of ('samples', 5) mixes samples"),
        (lambda s, x: x.transpose(0, 1), "dim 0 is the axis of samples"),
        (lambda s, x: x if x.sum() > 0 else -x, "torch.fx cannot trace it (TraceError"),
        (lambda s, x: F.dropout(x), "dropout is called with training=True"),
        (lambda s, x: (x, x), "returns tuple, not one tensor"),
        (lambda s, x: s.linear.weight, "returns ndarray, not one tensor"),
        (
            lambda s, x: torch.erf(x) + torch.erf(x.cumsum(1)),
            "function erf ('erf'), method cumsum ('cumsum'), function erf",
        ),
        (lambda s, x: x**3, "at 'pow_1': exponent must be 2, got 3"),
        (lambda s, x: F.relu(x, bogus=1), "cannot trace it"),
        (lambda s, x: torch.add(x, 1, out=x), "at 'add': out has no counterpart"),
        (
            lambda s, x: torch.div(x, 2, rounding_mode="floor"),
            "not supported (got an unexpected keyword argument 'rounding_mode')",
        ),
        (lambda s, x: F.softplus(x, 1, 3.0), "at 'softplus': threshold 3.0 is not supported"),
        (lambda s, x: s.linear.weight @ x.T, "T of a Node has no counterpart"),
        (lambda s, x: x.t(), "t would reorder samples"),
        (lambda s, x: x.unsqueeze(2) @ x.unsqueeze(1), "at 'matmul': product is supported only as x @ W"),
        (lambda s, x: torch.stack([x, x]), "dim 0 is the axis of samples"),
        (lambda s, x: 1 / x, "at 'truediv': node divides, but a quotient"),
        (lambda s, x: x.clamp(0, 1, out=x), "at 'clamp': is called in a way that is not supported"),
    ],
)
def test_operations_without_a_counterpart_are_named(forward, part):
    assert part in message(drawn(Of(forward, linear=nn.Linear(5, 5))))


def test_layers_without_a_counterpart_are_all_named_and_the_known_ones_listed():
    text = message(nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5), nn.Sequential(nn.MultiheadAttention(5, 1))))
    assert "layer '1' (LayerNorm), layer '2.0' (MultiheadAttention)" in text
    assert "Known layers are AdaptiveAvgPool1d, " in text


@pytest.mark.parametrize(
    ("layer", "shape", "part"),
    [
        (
            nn.Softplus(threshold=1),
            5,
            "at '0': threshold 1 is not supported: the function jumps at the threshold. Use thr",
        ),
        (nn.Conv2d(1, 1, 3, dtype=torch.complex128), (1, 5, 5), "its '0.weight' is of torch.complex128. Complex"),
        (nn.LazyLinear(3), 5, "its '0.weight' has no values yet. Call the module once"),
        (nn.Linear(5, 3, device="meta"), 5, "its '0.weight' is on the device meta, which holds no values"),
        (nn.Flatten(0), (1, 5), "dim 0 is the axis of samples"),
        (nn.MaxPool1d(2, return_indices=True), (1, 5), "return_indices True"),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 5, 5), "at '0': ceil_mode True has no counterpart"),
        (nn.MaxPool2d(2, return_indices=True), (1, 5, 5), "return_indices True"),
        (nn.AvgPool2d(2, divisor_override=3), (1, 5, 5), "divisor_override 3 of AvgPool2d"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "padding_mode 'reflect' of Conv2d"),
        (nn.Conv2d(1, 1, 2, padding="same"), (1, 5, 5), "would pad one side more than the other"),
        (nn.Conv2d(1, 1, 3), (5, 5), "conv2d got shape (5, 5). It takes (channels, height, width)"),
        (nn.LSTM(3, 2, batch_first=True, bidirectional=True), (4, 3), "bidirectional True of LSTM"),
        (nn.LSTM(3, 4, batch_first=True, proj_size=2), (4, 3), "proj_size 2 of LSTM"),
        (nn.RNN(3, 2), (4, 3), "batch_first False of RNN has no counterpart. Use batch_first=True"),
        (nn.GRU(3, 2, batch_first=True), (4, 3), "returns tuple, not one tensor"),
        (nn.BatchNorm1d(5, track_running_stats=False), 5, "Use track_running_stats=True"),
        (nn.Linear(4, 4), 5, "at '0': weight is for 4 features, but the node of shape (5,) has 5"),
        (nn.Softmax(dim=2), (2, 3), "a softmax is supported only over all outputs of a sample"),
    ],
    ids=str,
)
def test_options_without_a_counterpart_are_named(layer, shape, part):
    assert part in message(nn.Sequential(layer).eval(), shape)


@pytest.mark.parametrize(
    ("take", "part"),
    [
        (
            lambda found: found[1][1][-1],
            "cell states of an LSTM have no counterpart. Take its hidden state, [1][0][-1]",
        ),
        (lambda found: found[1][1], "at 'output': cell states of an LSTM"),
        (lambda found: found[1][0].permute(1, 0, 2), "at 'permute': hidden states of a recurrent layer do not have"),
        (lambda found: found[1][0] + 1, "hidden states of a recurrent layer"),
        (lambda found: torch.cat([found[1][0], found[1][0]]), "at 'cat': hidden states of a recurrent layer"),
        (lambda found: found[1][0], "at 'output': hidden states of a recurrent layer"),
    ],
)
def test_states_of_recurrent_layers_that_are_no_tensor_of_samples_say_what_to_take(take, part):
    module = drawn(Of(lambda self, x: take(self.lstm(x)), lstm=nn.LSTM(3, 2, batch_first=True)))
    assert part in message(module, (4, 3))


def test_a_tuple_as_the_input_of_a_layer_says_what_to_take():
    module = nn.Sequential(nn.LSTM(3, 2, batch_first=True), nn.Linear(2, 1))
    assert "at '1': hidden states of a recurrent layer" in message(module, (4, 3))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: nn.ModuleList([nn.Linear(5, 5)]), "layer '0' (ModuleList)"),
        (lambda: nn.TransformerEncoderLayer(5, 1, batch_first=True).eval(), "layer '0' (TransformerEncoderLayer)"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 5)), "parametrize.remove_parametrizations(layer, "),
        (lambda: nn.Sequential(bi.to_torch(bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]]))), "g @ f is g after f"),
    ],
)
def test_modules_that_cannot_be_traced_are_named_without_an_error_of_others(make, part):
    text = message(make())
    assert part in text
    assert "cannot trace it" not in text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_modules_are_refused():
    scripted = torch.jit.script(nn.Linear(5, 5))
    assert "is compiled by torch.jit. Pass the module that it was made from" in message(scripted)
    assert "is compiled by torch.compile. Pass the module" in message(torch.compile(nn.Linear(5, 5)))


@pytest.mark.parametrize(
    ("layer", "part"),
    [
        (nn.BatchNorm1d(5), "its BatchNorm1d '1' does not return its predictions. Call module.eval() first"),
        (nn.Dropout(), "its Dropout '1' does not"),
        (nn.LSTM(5, 3, 2, batch_first=True, dropout=0.1), "its LSTM '1' does not"),
    ],
    ids=str,
)
def test_training_mode_is_refused_where_it_matters(layer, part):
    assert part in message(nn.Sequential(nn.Linear(5, 5), layer))
    bi.from_torch(nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Dropout(0.0)), 5)


def test_what_a_trace_does_not_see_does_not_pass():
    module = nn.Sequential(nn.Linear(5, 3))
    module[0].register_forward_hook(lambda layer, given, output: output * 2)
    assert "avoid hooks, global values, the number of samples" in message(module)
    # The shortcut adds what relu has changed in place by then.
    shortcut = Of(lambda self, x: self.relu(self.linear(x)) + x.add_(1), linear=nn.Linear(5, 5), relu=nn.ReLU())
    bi.from_torch(shortcut, 5)
    changed = Of(lambda self, x: self.relu(x) + x, relu=nn.ReLU(inplace=True))
    assert "; what 'relu' change in place is read afterwards" in message(changed)


def added(s, x):
    h = s.linear(x)
    k = h.view(-1, 5)
    h += 1
    return k + h


@pytest.mark.parametrize(
    ("forward", "name"),
    [
        (lambda s, x: F.relu_(x) + x, "relu_"),
        (lambda s, x: x.mul_(2) + x, "mul_"),
        (lambda s, x: F.relu(x, inplace=True) + x, "relu"),
    ],
)
def test_what_changes_values_in_place_that_are_read_elsewhere_is_named(forward, name):
    text = message(Of(forward, linear=nn.Linear(5, 5)))
    assert f"on random inputs; what '{name}' change in place" in text
    assert "Avoid inplace=True and methods that end in _. Otherwise in forward, avoid hooks" in text


def test_what_a_trace_takes_for_a_sum_may_be_a_change_in_place():
    assert "and += on tensors read elsewhere" in message(Of(added, linear=nn.Linear(5, 5)))


def test_a_forward_that_is_another_in_training_is_refused_in_training():
    module = Of(lambda self, x: 2 * x if self.training else x)
    assert "is in training mode, in which it does not return its predictions. Call module.eval() first" in message(
        module
    )
    assert module.training
    assert bi.from_torch(module.eval(), 5).predict(np.ones((1, 5))).tolist() == [[1.0] * 5]
    part = nn.Sequential(nn.Linear(5, 5).eval(), nn.ReLU())
    bi.from_torch(part, 5)
    assert [layer.training for layer in part.modules()] == [True, False, True]


def test_a_path_that_depends_on_values_is_named_by_its_layer_and_line():
    gate = Of(lambda self, x: x if x.sum() > 0 else -x)
    text = message(nn.Sequential(nn.Linear(5, 5), gate))
    assert ", in its layer '1', at `gate = Of(lambda self, x: x if x.sum() > 0 else -x)`)" in text
    assert "Its control flow must not depend on values; " in text
    text = message(Of(lambda self, x: F.relu(x, bogus=1)))
    assert "Its control flow" not in text
    assert "Rewrite forward, or" in text
    assert "at `text = message(Of(lambda self, x: F.relu(x, bogus=1)))`)" in text


def test_known_functions_are_listed_for_functions_and_known_layers_for_layers():
    text = message(Of(lambda self, x: x.exp()))
    assert "Known functions are abs, adaptive_avg_pool1d, " in text
    assert "Known layers" not in text
    assert "Graph" not in text
    assert "Known functions" not in message(nn.Sequential(nn.LayerNorm(5)))


def test_no_module_and_weights_that_are_no_numbers():
    assert "module: is the class Linear. Pass a torch.nn.Module" in message(nn.Linear)
    assert "module: is list" in message([nn.Linear(5, 5)])
    broken = nn.Linear(5, 3)
    broken.weight.data[1, 2] = np.nan
    assert "at '0': weight contains NaN or infinity" in message(nn.Sequential(broken))
    assert "must be >= 1" in message(nn.Linear(5, 3), (5, -1))


def test_what_torch_itself_refuses_is_told():
    # Samples would meet the values of others: NumPy's rules, without the axis of samples, allow what torch's do not.
    assert "cannot take samples of shape (3, 4)" in message(Of(lambda self, x: x + x[:, 0]), (3, 4))


def test_a_second_input_is_named():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    assert "at 'y': y is a second input" in message(Two())
