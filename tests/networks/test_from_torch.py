"""Networks of PyTorch as implicit models: the same outputs to rounding, or an error that names what is in the way."""

from pathlib import Path

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.networks.pytorch.layers import LAYERS

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")
nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def drawn(module):
    """The module in double precision as it predicts, with batch norms that change something."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            if layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.double().eval()


def samples(shape, n=20):
    return torch.randn(n, *([shape] if isinstance(shape, int) else shape), dtype=torch.double)


def off(found, wanted):
    """The largest difference, as a share of the largest value."""
    wanted = wanted.detach().reshape(len(wanted), -1).numpy()
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() / np.abs(wanted).max()


def converted(module, shape):
    """The model of a module, after its outputs were compared with those of the module."""
    module, u = drawn(module), samples(shape)
    model = bi.from_torch(module, shape)
    assert off(model.predict(u.reshape(len(u), -1).numpy()), module(u)) < 1e-12
    return model


class Of(nn.Module):
    """A module whose forward is a function of it and of its input."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.run(self, x)


def lenet(pool):
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), pool(2), nn.Conv2d(6, 16, 5), nn.ReLU(), pool(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def residual():
    def forward(self, x):
        h = F.relu(self.norm(self.first(x)))
        h = F.relu(h + self.second(h))
        pooled = F.max_pool2d(h, 2)
        joined = torch.cat([pooled.view(pooled.size(0), -1), h.mean((2, 3))], dim=1)
        return self.last(F.dropout(joined, 0.5, self.training))

    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", bias=False), nn.BatchNorm2d(4))
    first, norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
    return Of(forward, first=first, norm=norm, second=block, last=nn.Linear(68, 5))


def last_step(kind, layers=1, **options):
    recurrent = getattr(nn, kind)(3, 6, layers, batch_first=True, **options)
    return Of(lambda self, x: self.last(self.recurrent(x)[0][:, -1]), recurrent=recurrent, last=nn.Linear(6, 2))


# Architectures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "n_states", "n_entries"), [(nn.AvgPool2d, 8084, 304_384), (nn.MaxPool2d, 6508, 340_384)]
)
def test_lenet(pool, n_states, n_entries):
    model = converted(lenet(pool), (1, 32, 32))
    assert (model.n_hidden, model.A.nnz) == (n_states, n_entries)
    assert model.is_well_posed()


def test_lenet_has_five_blocks_where_means_are_multiplied_into_the_layers_behind_them():
    module = drawn(lenet(nn.AvgPool2d))
    model, u = bi.from_torch(module, (1, 32, 32), keep_affine=False), samples((1, 32, 32))
    assert off(model.predict(u.reshape(20, -1).numpy()), module(u)) < 1e-12
    structure = model.structure()
    # Stages from the input on; the outputs are the fifth block.
    assert np.bincount(structure.level).tolist() == [4704, 1600, 120, 84]
    assert model.A.nnz == 1_162_080


def test_depth_40():
    layers = [layer for _ in range(40) for layer in (nn.Linear(16, 16), nn.Tanh())]
    model = converted(nn.Sequential(*layers, nn.Linear(16, 3)), 16)
    assert model.structure().depth == 40


def test_residual_with_batch_norm():
    model = converted(residual(), (3, 8, 8))
    # Two activations and a pool of four; batch norm, shortcut, mean and join are no states.
    assert model.n_hidden == 2 * 256 + (4 - 1 + 1) * 64 + 68


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent(kind, layers):
    converted(last_step(kind, layers), (7, 3))
    converted(last_step(kind, layers, bias=False), (2, 3))


def test_recurrent_layers_also_by_their_last_states():
    converted(Of(lambda self, x: self.r(x)[1][0][-1], r=nn.LSTM(3, 4, 2, batch_first=True)), (5, 3))
    converted(Of(lambda self, x: self.r(x)[1].squeeze(0), r=nn.GRU(3, 4, batch_first=True)), (5, 3))
    converted(last_step("RNN", nonlinearity="relu"), (4, 3))


# Layers and operations -----------------------------------------------------------------------------------------------

CASES = {
    "ReLU": [{}],
    "ReLU6": [{}],
    "LeakyReLU": [{}, {"negative_slope": -0.3}],
    "PReLU": [{}, {"num_parameters": 7}],
    "Tanh": [{}],
    "Sigmoid": [{}],
    "Softplus": [{}, {"beta": 2}],
    "ELU": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "Hardtanh": [{}, {"min_val": -1, "max_val": 3}],
    "Softsign": [{}],
    "Softshrink": [{}, {"lambd": 0.1}, {"lambd": 0.0}],
    "SiLU": [{}],
    "Identity": [{}],
    "Dropout": [{}],
    "AlphaDropout": [{}],
}


@pytest.mark.parametrize(("name", "options"), [(name, options) for name, drawn in CASES.items() for options in drawn])
def test_functions_of_each_value(name, options):
    converted(nn.Sequential(nn.Linear(5, 7), getattr(nn, name)(**options)), 5)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([nn.Conv1d(2, 4, 3, stride=2, dilation=2, groups=2), nn.ReLU(), nn.MaxPool1d(3, 2, 1)], (2, 30)),
        (
            [nn.Conv1d(2, 4, 4, padding="valid"), nn.BatchNorm1d(4), nn.AvgPool1d(2, 1, 1, count_include_pad=False)],
            (2, 9),
        ),
        ([nn.Conv2d(2, 4, 3, padding=(1, 0), stride=(2, 1)), nn.Tanh(), nn.AdaptiveAvgPool2d((2, None))], (2, 9, 7)),
        (
            [nn.Conv2d(2, 4, 3), nn.Sigmoid(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(4, 2, 1), nn.MaxPool2d((2, 1))],
            (2, 9, 8),
        ),
        ([nn.AdaptiveAvgPool1d(3), nn.Flatten(), nn.Unflatten(1, (2, 3)), nn.Linear(3, 2), nn.Dropout1d()], (2, 10)),
        ([nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False)], 4),
        ([nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(2), nn.Dropout2d()], (2, 5, 5)),
    ],
    ids=str,
)
def test_layers_with_their_options(layers, shape):
    converted(nn.Sequential(*layers), shape)


def test_every_known_layer_is_in_these_tests():
    text = Path(__file__).read_text()
    assert [name for name in LAYERS if f"nn.{name}(" not in text and name not in CASES] == []


OPERATIONS = {
    "products": lambda s, x: s.linear(x) * x * s.row,
    "bounds": lambda s, x: torch.maximum(x, 2 * s.linear(x)).clamp(min=0.1) - torch.minimum(x, s.row).clamp(max=1.0),
    "squares": lambda s, x: x**2 - torch.square(x).sum(1, keepdim=True) / 3 + x.abs(),
    "outer product": lambda s, x: (x.unsqueeze(1) * s.linear(x).unsqueeze(-1)).flatten(1),
    "slices": lambda s, x: x[:, 1:4] + x[..., :3] + x[:, [0, 1, 2]] + x[:, 4, None],
    "axes": lambda s, x: (x.view(-1, 5, 1) + s.linear(x)[:, None, :]).transpose(1, 2).permute(0, 2, 1)[:, 1:].squeeze(),
    "shape": lambda s, x: torch.reshape(x[:, :4], (x.shape[0], 2, -1)).mean(-1),
    "in place": lambda s, x: F.relu_(s.linear(x)).add_(1).mul_(2),
    "functions": lambda s, x: F.hardtanh(x, -2, 0.5) + F.leaky_relu(x, 0.2) + F.elu(x) + F.silu(x) + x.sigmoid(),
    "more functions": lambda s, x: (
        x.tanh() + torch.relu(x) + F.softplus(x) + F.softsign(x) + F.relu6(x) + F.softshrink(x)
    ),
    "numbers": lambda s, x: 1 - x * 2 + torch.neg(x) / 4 + torch.add(x, x, alpha=3) + torch.sub(1.0, x),
    "weights": lambda s, x: F.linear(x, s.linear.weight, s.linear.bias),
    "parts": lambda s, x: torch.cat([x.chunk(2, 1)[1], torch.split(x, 2, dim=1)[2] * x.split([1, 4], 1)[0]], 1),
    "more bounds": lambda s, x: (
        x.clamp(0.3, 0.1) + x.clamp_min(0.2) + torch.clip(x, -1, 1) + F.hardtanh(x, 0, np.inf) + x.clamp_max(s.row)
    ),
    "constant first": lambda s, x: torch.maximum(s.row, x) + torch.minimum(s.row, 2 * x),
    "stack": lambda s, x: torch.stack([x, s.linear(x)], 1) - torch.stack([x, 2 * x], dim=-1).transpose(1, 2),
    "constant matrices": lambda s, x: x @ s.linear.weight + torch.matmul(x, s.linear.weight.T) + x.mm(s.square.t()),
    "constant vector": lambda s, x: (x @ s.row[0]).unsqueeze(1) * x,
    "loop": lambda s, x: sum(layer(x) for layer in [s.linear, s.linear]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    row, square = nn.Parameter(torch.randn(1, 5)), nn.Parameter(torch.randn(5, 5))
    converted(Of(OPERATIONS[name], linear=nn.Linear(5, 5), row=row, square=square), 5)


def test_convolutions_and_pools_as_functions():
    def forward(self, x):
        x = F.batch_norm(F.conv2d(x, self.weight, stride=2, padding=1, groups=2), self.mean, self.var, eps=0.1)
        return F.adaptive_avg_pool2d(F.avg_pool2d(F.max_pool2d(x, 2, 1), 2, 1), 2) + F.max_pool2d(x, 2)[:, :, :2, :2]

    parts = {"mean": torch.randn(4).double(), "var": torch.rand(4).double()}
    converted(Of(forward, weight=nn.Parameter(torch.randn(4, 1, 3, 3)), **parts), (2, 11, 11))


def convolution_cases(n):
    rng = np.random.default_rng(0)
    for _ in range(n):
        groups = int(rng.choice([1, 2, 3]))
        options = {name: tuple(map(int, rng.integers(low, 4, 2))) for name, low in (("stride", 1), ("padding", 0))}
        kernel = tuple(map(int, rng.integers(1, 4, 2)))
        dilation = tuple(map(int, rng.integers(1, 3, 2)))
        yield torch.randn(6, 6 // groups, *kernel), options | {"dilation": dilation, "groups": groups}


def test_convolution_equals_that_of_torch_whatever_its_options():
    for weight, options in convolution_cases(40):
        weight, x, bias = weight.double(), samples((6, 7, 8), 2), torch.randn(6, dtype=torch.double)
        graph = bi.networks.Graph((6, 7, 8))
        model = graph.build(graph.input.conv2d(weight.numpy(), bias.numpy(), **options))
        assert off(model.predict(x.reshape(2, -1).numpy()), F.conv2d(x, weight, bias, **options)) < 1e-13, options


def test_a_softmax_at_the_end_becomes_the_link():
    u = samples(5)
    for layer in (nn.Softmax(dim=1), nn.LogSoftmax(dim=-1), Of(lambda self, x: torch.softmax(x, 1))):
        module = drawn(nn.Sequential(nn.Linear(5, 3), layer))
        model = bi.from_torch(module, 5, output_names=["a", "b", "c"])
        given = module(u)
        assert off(model.response(u.numpy()), given.exp() if isinstance(layer, nn.LogSoftmax) else given) < 1e-12
        assert (model.link, model.output_names) == ("softmax", ["a", "b", "c"])


def test_weights_of_single_precision_are_taken_exactly():
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).eval()
    model = bi.from_torch(module, 3)
    assert np.array_equal(model.B.toarray(), module[0].weight.detach().double().numpy())
    u = samples(3)
    assert off(model.predict(u.numpy()), module.double()(u)) < 1e-12


# What is in the way --------------------------------------------------------------------------------------------------


def message(module, shape=5):
    with pytest.raises(bi.InvalidInputError) as caught:
        bi.from_torch(module, shape)
    return str(caught.value)


@pytest.mark.parametrize(
    ("forward", "part"),
    [
        (lambda s, x: torch.softmax(x, -1) * 2, "softmax is not the last step"),
        (lambda s, x: x / x.size(0), "gives other outputs than its trace says"),
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
        (lambda s, x: F.softplus(x, 1, 3.0), "at 'softplus': threshold 3.0 has no counterpart"),
        (lambda s, x: s.linear.weight @ x.T, "T of a Node has no counterpart"),
        (lambda s, x: x.t(), "t would let samples change places"),
        (lambda s, x: x.unsqueeze(2) @ x.unsqueeze(1), "at 'matmul': product has a counterpart only as x @ W"),
        (lambda s, x: torch.stack([x, x]), "dim 0 is the axis of samples"),
        (lambda s, x: 1 / x, "at 'truediv': node divides, and a quotient"),
        (lambda s, x: x.clamp(0, 1, out=x), "at 'clamp': is called in a way that has no counterpart"),
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
        (nn.Softplus(threshold=1), 5, "at '0': threshold 1 has no counterpart: beyond it the function jumps. Use thr"),
        (nn.Conv2d(1, 1, 3, dtype=torch.complex128), (1, 5, 5), "its '0.weight' is of torch.complex128. Complex"),
        (nn.LazyLinear(3), 5, "its '0.weight' has no values yet. Call the module once"),
        (nn.Linear(5, 3, device="meta"), 5, "its '0.weight' is on the device meta, and has no values"),
        (nn.Flatten(0), (1, 5), "dim 0 is the axis of samples"),
        (nn.MaxPool1d(2, return_indices=True), (1, 5), "return_indices True"),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 5, 5), "at '0': ceil_mode True has no counterpart"),
        (nn.MaxPool2d(2, return_indices=True), (1, 5, 5), "return_indices True"),
        (nn.AvgPool2d(2, divisor_override=3), (1, 5, 5), "divisor_override 3 of AvgPool2d"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "padding_mode 'reflect' of Conv2d"),
        (nn.Conv2d(1, 1, 2, padding="same"), (1, 5, 5), "pads one side more than the other"),
        (nn.Conv2d(1, 1, 3), (5, 5), "conv2d got the shape (5, 5). It takes (channels, height, width)"),
        (nn.LSTM(3, 2, batch_first=True, bidirectional=True), (4, 3), "bidirectional True of LSTM"),
        (nn.LSTM(3, 4, batch_first=True, proj_size=2), (4, 3), "proj_size 2 of LSTM"),
        (nn.RNN(3, 2), (4, 3), "batch_first False of RNN has no counterpart. Use batch_first=True"),
        (nn.GRU(3, 2, batch_first=True), (4, 3), "returns tuple, not one tensor"),
        (nn.BatchNorm1d(5, track_running_stats=False), 5, "Use track_running_stats=True"),
        (nn.Linear(4, 4), 5, "at '0': weight is for 4 features, the node of shape (5,) has 5"),
        (nn.Softmax(dim=2), (2, 3), "a softmax has a counterpart over all outputs of a sample alone"),
    ],
    ids=str,
)
def test_options_without_a_counterpart_are_named(layer, shape, part):
    assert part in message(nn.Sequential(layer).eval(), shape)


@pytest.mark.parametrize(
    ("layer", "part"),
    [
        (nn.BatchNorm1d(5), "its BatchNorm1d '1' does not give what it predicts. Call module.eval() first"),
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
    assert "Let no hook, number of samples or global value take part" in message(module)
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
    assert "Leave out inplace=True and methods that end in _, or else: let no hook" in text


def test_what_a_trace_takes_for_a_sum_may_be_a_change_in_place():
    assert "nor += on what is read elsewhere" in message(Of(added, linear=nn.Linear(5, 5)))


def test_a_forward_that_is_another_in_training_is_refused_in_training():
    module = Of(lambda self, x: 2 * x if self.training else x)
    assert "is in training mode, in which it does not give what it predicts. Call module.eval() first" in message(
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
    assert "Its path must not depend on values; " in text
    text = message(Of(lambda self, x: F.relu(x, bogus=1)))
    assert "Its path" not in text
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
