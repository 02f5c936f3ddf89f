"""Networks of PyTorch as implicit models: the same outputs to rounding."""

from pathlib import Path

import numpy as np
import pytest

import bcd_implicit as bi
from bcd_implicit.networks.pytorch.layers import LAYERS

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")
from torch_modules import Of, drawn, samples  # noqa: E402 (after the question for PyTorch)

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


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


@pytest.mark.parametrize("pool", [nn.AvgPool2d, nn.MaxPool2d])
def test_derivatives_of_lenet_are_those_of_a_backward_pass(pool):
    module, image = drawn(lenet(pool)), samples((1, 32, 32), 1).requires_grad_()
    module(image)[0, 3].backward()
    jacobian = bi.from_torch(module, (1, 32, 32)).jacobian(image.detach().reshape(1, -1).numpy())
    assert jacobian.shape == (1, 10, 1024)
    assert off(jacobian[:, 3], image.grad) < 1e-12


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
    converted(Of(lambda self, x: self.r(x)[0], r=nn.RNN(3, 4, batch_first=True)), (4, 3))


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
