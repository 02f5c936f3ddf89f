"""Graphs of expressions against the same computed in NumPy, array by array."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

import bcd_implicit as bi
from bcd_implicit.networks import Graph, Node, concatenate


def outputs(graph: Graph, node: Node, U: np.ndarray) -> np.ndarray:
    """What a model built for a node predicts, in the node's shape, for samples U (m, ...)."""
    return graph.build(node).predict(U.reshape(len(U), -1)).reshape(len(U), *node.shape)


def agree(found: np.ndarray, wanted: np.ndarray, tol: float = 1e-13) -> bool:
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() <= tol * max(np.abs(wanted).max(), 1e-300))


def convolved(x, w, b, stride, padding, dilation, groups):
    """A convolution as it is defined, one product at a time: x (channels, height, width)."""
    (s0, s1), (p0, p1), (d0, d1) = stride, padding, dilation
    x = np.pad(x, ((0, 0), (p0, p0), (p1, p1)))
    o, c, h, k = w.shape
    height, width = (x.shape[1] - d0 * (h - 1) - 1) // s0 + 1, (x.shape[2] - d1 * (k - 1) - 1) // s1 + 1
    y = np.zeros((o, height, width))
    for q, i, j in itertools.product(range(o), range(height), range(width)):
        first = q // (o // groups) * c
        y[q, i, j] = b[q] + sum(
            w[q, r, a, e] * x[first + r, i * s0 + a * d0, j * s1 + e * d1]
            for r, a, e in itertools.product(range(c), range(h), range(k))
        )
    return y


def pooled(x, size, stride, padding, reduce, dilation=(1, 1)):
    """Windows of x (channels, height, width), padding as NaN, one at a time."""
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=np.nan)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    height, width = ((n - r) // s + 1 for n, r, s in zip(x.shape[1:], reach, stride, strict=True))
    y = np.zeros((len(x), height, width))
    for c, i, j in np.ndindex(*y.shape):
        rows = slice(i * stride[0], i * stride[0] + reach[0], dilation[0])
        columns = slice(j * stride[1], j * stride[1] + reach[1], dilation[1])
        y[c, i, j] = reduce(x[c, rows, columns])
    return y


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40)
@given(
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 999),
)
def test_convolution_is_what_it_is_defined_as(kernel, stride, padding, dilation, groups, seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.normal(size=(1, 4, 6, 5)), rng.normal(size=(4, 4 // groups, *kernel)), rng.normal(size=4)
    graph = Graph((4, 6, 5))
    node = graph.input.conv2d(w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    wanted = convolved(x[0], w, b, stride, padding, dilation, groups)[None]
    assert agree(outputs(graph, node, x), wanted)
    # Weights that are turned round are another convolution, unless there is nothing to turn.
    turned = convolved(x[0], w[:, :, ::-1, ::-1], b, stride, padding, dilation, groups)[None]
    assert kernel == (1, 1) or not agree(outputs(graph, node, x), turned)


def test_convolution_of_one_axis_is_that_of_two_of_which_one_is_single():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 2, 11)), rng.normal(size=(6, 1, 3))
    graph = Graph((2, 11))
    found = outputs(graph, graph.input.conv1d(w, stride=2, padding=1, dilation=2, groups=2), x)
    other = Graph((2, 11, 1))
    options = {"stride": (2, 1), "padding": (1, 0), "dilation": (2, 1), "groups": 2}
    assert agree(found, outputs(other, other.input.conv2d(w[..., None], **options), x)[..., 0])


def test_entries_of_a_convolution_are_constant_along_diagonals():
    graph = Graph((1, 8, 8))
    B = graph.build(graph.input.conv2d(np.arange(1.0, 10).reshape(1, 1, 3, 3), padding=1)).B.toarray()
    for offset in range(-9, 10):
        assert len({*np.diag(B, offset)} - {0.0}) <= 1
    assert len({*B.ravel()} - {0.0}) == 9


@settings(max_examples=25)
@given(size=pairs, stride=pairs, data=st.data(), seed=st.integers(0, 999))
def test_pools_take_means_and_maxima_of_windows(size, stride, data, seed):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in size)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1, 2, 6, 7))
    graph = Graph((2, 6, 7))
    inside = outputs(graph, graph.input.avg_pool2d(size, stride, padding, count_padding=False), x)
    assert agree(inside[0], pooled(x[0], size, stride, padding, np.nanmean))
    counted = outputs(graph, graph.input.avg_pool2d(size, stride, padding), x)
    assert agree(counted[0], pooled(x[0], size, stride, padding, lambda v: np.nansum(v) / v.size))
    dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    wanted = pooled(x[0], size, stride, padding, np.nanmax, dilation)
    assert agree(outputs(graph, graph.input.max_pool2d(size, stride, padding, dilation), x)[0], wanted)


def test_adaptive_pool_cuts_axes_into_equal_parts():
    x = np.arange(2.0 * 6 * 7).reshape(1, 2, 6, 7)
    graph = Graph((2, 6, 7))
    found = outputs(graph, graph.input.adaptive_avg_pool((3, 1)), x)
    assert agree(found, x.reshape(1, 2, 3, 2, 7).mean(axis=(3, 4))[..., None])
    # Parts of an axis of 7 in 3: 0-3, 2-5 and 4-7.
    found = outputs(graph, graph.input.adaptive_avg_pool((6, 3)), x)
    assert agree(found, np.stack([x[..., i : i + 3].mean(axis=-1) for i in (0, 2, 4)], axis=-1))


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
def test_max_pool_behind_an_activation_costs_four_states_a_cell_of_four_not_seven(name):
    x = np.random.default_rng(0).normal(size=(5, 1, 4, 6))
    graph = Graph((1, 4, 6))
    node = graph.input.activate(name)
    fused = graph.build(node.max_pool2d(2))
    assert fused.n_hidden == 6 * 4
    apart = graph.build((node + 0.0).max_pool2d(2))
    assert apart.n_hidden == 6 * 7
    phi = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": expit}[name]
    wanted = pooled(phi(x[0]), (2, 2), (2, 2), (0, 0), np.max).ravel()
    for model in (fused, apart):
        assert agree(model.predict(x.reshape(5, -1))[0], wanted)


def test_max_pool_of_what_is_not_monotone_is_not_taken_before_it():
    x = np.array([[-3.0, 1.0, 2.0, 0.5]])
    graph = Graph((1, 4))
    node = graph.input.activate("square").max_pool1d(2)
    assert outputs(graph, node, x).tolist() == [[[9.0, 4.0]]]


def test_a_layer_through_batch_norm_relu_and_a_shortcut():
    rng = np.random.default_rng(1)
    x, w, v = rng.normal(size=(7, 3, 5, 5)), rng.normal(size=(3, 3, 3, 3)), rng.normal(size=(2, 75))
    mean, var, weight, bias = rng.normal(size=3), rng.uniform(0.5, 2, 3), rng.normal(size=3), rng.normal(size=3)
    graph = Graph((3, 5, 5))
    h = graph.input.conv2d(w, padding=1).batch_norm(mean, var, weight, bias, eps=0.1).activate("relu")
    node = (h + graph.input).flatten().linear(v, [1.0, 2.0])
    across = (slice(None), None, None)
    z = np.stack([convolved(u, w, np.zeros(3), (1, 1), (1, 1), (1, 1), 1) for u in x])
    z = weight[across] * (z - mean[across]) / np.sqrt(var[across] + 0.1) + bias[across]
    wanted = (np.maximum(z, 0) + x).reshape(7, -1) @ v.T + [1.0, 2.0]
    assert agree(outputs(graph, node, x), wanted)
    # Batch norm and the shortcut are no states.
    assert graph.build(node).n_hidden == h.size


def test_weights_may_be_sparse_and_go_along_the_last_axis():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(4, 3, 5)), np.where(rng.random((2, 5)) < 0.5, rng.normal(size=(2, 5)), 0.0)
    graph = Graph((3, 5))
    nodes = [graph.input.linear(given, [1.0, 2.0]) for given in (weight, sp.coo_array(weight))]
    for node in nodes:
        assert agree(outputs(graph, node, x), x @ weight.T + [1.0, 2.0])
    with pytest.raises(bi.InvalidInputError, match="weight: contains NaN or infinity, first in row 1"):
        graph.input.linear(sp.csr_array([[0.0] * 5, [np.nan] * 5]))


def test_products_are_two_squares_each():
    x = np.random.default_rng(0).normal(size=(9, 6))
    graph = Graph(6)
    a, b = graph.input[:3], graph.input[3:]
    model = graph.build(a * b)
    assert agree(model.predict(x), x[:, :3] * x[:, 3:])
    assert model.n_hidden == 6
    assert model.activation.name == "square"
    # Squares have no Lipschitz constant, and need none: no state depends on itself.
    assert model.is_well_posed()
    # Along axes of length 1 as NumPy does it.
    node = a.reshape(3, 1) * b
    assert agree(outputs(graph, node, x), x[:, :3, None] * x[:, None, 3:])


def test_arithmetic_is_that_of_arrays():
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    graph = Graph((2, 3))
    node, row, column = graph.input, np.array([1.0, 2, 3]), np.array([[0.5], [-2]])
    cases = {
        "sum": (2 * node + row - node / 4, 2 * x + row - x / 4),
        "reversed": (row - node, row - x),
        "array first": (column * node + 1, column * x + 1),
        "negative": (-node - 3, -x - 3),
        "broadcast": (node[0] + node, x[:, :1] + x),
        "power": (node**2, x**2),
        "transpose": (node.transpose() + 0, x.transpose(0, 2, 1)),
        "index": (node[:, [2, 0, 0]], x[:, :, [2, 0, 0]]),
        "one": (node[1, 2], x[:, 1, 2]),
        "loop": (sum(row for row in node), x.sum(axis=1)),
        "join": (concatenate([node, node[:, :1] * 2], axis=1), np.concatenate([x, x[:, :, :1] * 2], axis=2)),
        "flatten": (node.flatten().reshape(3, -1), x.reshape(4, 3, 2)),
    }
    for name, (found, wanted) in cases.items():
        assert agree(outputs(graph, found, x), wanted), name


def test_weights_are_applied_by_at_as_in_numpy():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 2, 3, 5))
    graph = Graph((2, 3, 5))
    node = graph.input
    W, V, w = rng.normal(size=(6, 3)), rng.normal(size=(5, 4)), rng.normal(size=3)
    cases = [(W @ node, W @ x), (node @ V, x @ V), (w @ node, w @ x), (node @ V[:, 0], x @ V[:, 0])]
    cases += [(W @ node[0, :, 0], x[:, 0, :, 0] @ W.T), (w @ node[0, :, 0], x[:, 0, :, 0] @ w)]
    for found, wanted in cases:
        assert agree(outputs(graph, found, x), wanted)


def test_padding_may_keep_the_lengths():
    image, w = Graph((2, 6, 7)).input, np.random.default_rng(0).normal(size=(1, 2, 3, 5))
    same, by_number = image.conv2d(w, padding="same", dilation=(2, 1)), image.conv2d(w, padding=2, dilation=(2, 1))
    assert same.shape == (1, 6, 7)
    assert abs(same._rows.parts[0] - by_number._rows.parts[0]).max() == 0
    assert image.conv2d(w, padding="valid").shape == (1, 4, 3)


def test_products_lose_digits_where_factors_have_different_sizes():
    graph = Graph(2)
    a, b, u = graph.input[0], graph.input[1], np.array([[1e9, 1e-3]])
    off = [abs(graph.build(node).predict(u).item() / 1e6 - 1) for node in (a * b, 1e6 * ((1e-9 * a) * (1e3 * b)))]
    assert 1e-5 < off[0] < 1e-4
    assert off[1] < 1e-15


def test_a_node_of_one_value_has_no_length():
    with pytest.raises(TypeError, match="has no length"):
        len(Graph(3).input[0])


def test_affine_values_become_states_where_that_halves_the_entries():
    rng = np.random.default_rng(0)
    x, down, up = rng.normal(size=(6, 40)), rng.normal(size=(2, 40)), rng.normal(size=(40, 2))
    wanted = np.maximum(np.maximum(x, 0) @ down.T @ up.T, 0)
    built = {}
    for keep in (False, True, "auto"):
        graph = Graph(40, keep_affine=keep)
        built[keep] = graph.build(graph.input.activate("relu").linear(down).linear(up).activate("relu"))
        assert agree(built[keep].predict(x), wanted)
    # 40 x 40 entries, or 2 x 40 twice and two states more.
    assert (built[False].A.nnz, built[False].n_hidden) == (1600, 80)
    assert (built["auto"].A.nnz, built["auto"].n_hidden) == (160, 82)
    # Where nothing is gained, no states: a product of square matrices has as many entries as each.
    graph = Graph(3)
    square = graph.build(graph.input.linear(rng.normal(size=(3, 3))).linear(rng.normal(size=(3, 3))).activate("tanh"))
    assert square.n_hidden == 3
    # By hand.
    kept = Graph(3, keep_affine=False)
    assert kept.build(kept.input.linear(np.ones((1, 3))).keep().activate("relu")).n_hidden == 2


@settings(max_examples=40)
@given(st.data())
def test_random_networks_are_what_arrays_say(data):
    """Up to a dozen steps on values that were made before, on nodes and on arrays alike."""
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.normal(size=(5, 4))
    graph = Graph(4, keep_affine=data.draw(st.sampled_from([True, False, "auto"])))
    made = [(graph.input, x)]
    phi = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": expit, "abs": np.abs}
    for _ in range(data.draw(st.integers(1, 12))):
        (a, u), (b, v) = data.draw(st.tuples(st.sampled_from(made), st.sampled_from(made)))
        step = data.draw(st.sampled_from(["linear", "activate", "sum", "product", "join", "slice", "keep"]))
        if step == "linear":
            weight, bias = rng.normal(size=(3, a.size)) / a.size, rng.normal(size=3)
            made.append((a.linear(weight, bias), u @ weight.T + bias))
        elif step == "activate":
            name = data.draw(st.sampled_from([*phi]))
            made.append((a.activate(name), phi[name](u)))
        elif step == "join":
            made.append((concatenate([a, b]), np.concatenate([u, v], axis=1)))
        elif step == "slice":
            made.append((a[::2], u[:, ::2]))
        elif step == "keep":
            made.append((a.keep(), u))
        else:
            n = min(a.size, b.size)
            (a, u), (b, v) = (a[:n], u[:, :n]), (b[:n], v[:, :n])
            # The tanh keeps values small: squares of sums lose digits of the smaller factor.
            made.append((a - 2 * b, u - 2 * v) if step == "sum" else ((a * b).activate("tanh"), np.tanh(u * v)))
    node, wanted = made[-1]
    model = graph.build(node)
    largest = max(np.abs(value).max() for _, value in made)
    assert np.abs(model.predict(x) - wanted).max() <= 1e-13 * max(largest**2, 1)
    assert model.structure().acyclic


def test_states_come_last_block_first_and_dead_blocks_are_left_out():
    graph = Graph(2)
    first = graph.input.linear(np.ones((3, 2))).activate("tanh")
    first.linear(np.ones((7, 3))).activate("relu")
    last = first.linear(np.ones((4, 3))).activate("sigmoid")
    model = graph.build(last.linear(np.ones((1, 4))), link="logit", input_names=["a", "b"], output_names=["y"])
    assert [(function.name, size) for function, size in model.activation.blocks] == [("sigmoid", 4), ("tanh", 3)]
    assert (model.link, model.input_names, model.output_names) == ("logit", ["a", "b"], ["y"])
    assert np.array_equal(model.A.toarray() != 0, np.block([[np.zeros((4, 4)), np.ones((4, 3))], [np.zeros((3, 7))]]))
    assert agree(model.C.toarray(), np.array([[1.0, 1, 1, 1, 0, 0, 0]]))


def test_a_network_without_activations_has_its_outputs_as_states():
    graph = Graph(2)
    model = graph.build(graph.input.linear([[1.0, 2.0]], [3.0]))
    assert model.predict(np.array([[1.0, 1.0]])) == [[6.0]]
    assert (model.n_hidden, model.activation.name) == (1, "identity")


@pytest.mark.parametrize(
    ("call", "argument", "part"),
    [
        (lambda x: x.linear(np.ones((2, 3))), "weight", "is for 3 features, but the node of shape (2, 6, 6) has 6"),
        (lambda x: x.linear(np.ones(3)), "weight", "must be an array of numbers with 2 axes, got shape (3,)"),
        (lambda x: x.linear(np.full((2, 6), np.nan)), "weight", "contains NaN or infinity"),
        (lambda x: x.linear(np.ones((2, 6)), ["a", "b"]), "bias", "must be a list of numbers, got text"),
        (lambda x: x.linear(np.ones((2, 6)), [1.0]), "bias", "is for 1 outputs"),
        (lambda x: x.conv2d(np.ones((2, 3, 3, 3))), "weight", "is for 3 channels in"),
        (lambda x: x.conv2d(np.ones((3, 1, 3, 3)), groups=2), "groups", "2 groups do not divide 3 channels out"),
        (lambda x: x.conv2d(np.ones((3, 1, 3, 3)), groups=0), "groups", "got 0"),
        (lambda x: x.batch_norm([0.0, 0.0], [1.0, -1.0]), "var", "has -1, with eps 1e-05 not above 0"),
        (lambda x: x.conv2d(np.ones((2, 2, 7, 7))), "size", "a window reaches over 7 positions, but the padded input"),
        (lambda x: x.conv2d(np.ones((2, 2, 3, 3)), stride=0), "stride", "got 0"),
        (lambda x: x.conv2d(np.ones((2, 2, 3, 3)), stride=(1, 2, 3)), "stride", "has 3 numbers for 2 axes"),
        (
            lambda x: Graph((512, 32, 32)).input.conv2d(np.ones((512, 512, 3, 3))),
            "weight",
            "makes a matrix of 2,123,366,400 entries, but the limit is 200,000,000",
        ),
        (lambda x: x.conv1d(np.ones((2, 2, 3))), "conv1d", "It takes (channels, length): reshape first"),
        (lambda x: x.max_pool2d(2, padding=2), "padding", "2 is more than half of the window, 2"),
        (lambda x: x.batch_norm([0.0], [1.0]), "mean", "is for 1 channels"),
        (lambda x: x.activate("softmax"), "activation", "unknown activation 'softmax'"),
        (lambda x: x + np.ones(5), "node", "has shape (2, 6, 6), which does not fit shape (5,)"),
        (lambda x: x + "a", "constant", "must be numbers, got text"),
        (lambda x: x * Graph((2, 6, 6)).input, "nodes", "belong to different graphs"),
        (lambda x: x / x, "node", "divides, but a quotient is not a sum of states"),
        (lambda x: x / 0, "constant", "is zero, and divides"),
        (lambda x: x / 1e-320, "constant", "is too small to divide by"),
        (lambda x: x**3, "exponent", "must be 2, got 3"),
        (lambda x: x.reshape(5, -1), "shape", "(5, -1) does not hold the values of (2, 6, 6)"),
        (lambda x: x[3], "node", "has shape (2, 6, 6), and no element 3"),
        (lambda x: x[:, :0], "node", "selects nothing"),
        (lambda x: concatenate([x, x[:1, :1]]), "nodes", "have the shapes (2, 6, 6), (1, 1, 6), which do not"),
        (lambda x: x.linear(1j * np.ones((2, 6))), "weight", "with 2 axes, got complex numbers. Give real numbers"),
        (lambda x: x.conv2d(1j * np.ones((2, 2, 3, 3))), "weight", "with 4 axes, got complex numbers"),
        (lambda x: x.linear([["3"] * 6]), "weight", "got text"),
        (lambda x: x.linear(np.ones((0, 6))), "weight", "is empty (shape (0, 6))"),
        (lambda x: x.linear(x), "node", "is not an array: it has formulas instead of values. Use a node's own methods"),
        (lambda x: x + "1", "constant", "must be numbers, got text"),
        (lambda x: x + None, "constant", "must be numbers, got NoneType"),
        (lambda x: x * [1.0, None], "constant", "must be numbers, got NoneType"),
        (lambda x: x * [[1.0, 2.0], [3.0]], "constant", "has rows of different lengths"),
        (lambda x: x + 10**400, "constant", "contains NaN or infinity"),
        (lambda x: x.avg_pool2d(2, count_padding="no"), "count_padding", "must be True or False, got 'no'"),
        (lambda x: x.reshape("a"), "shape", "must be a whole number, got 'a'. Give lengths"),
        (lambda x: x.reshape(2.0, 36), "shape", "must be a whole number, got 2.0"),
        (lambda x: x.reshape(10**400), "shape", "does not hold the values of (2, 6, 6)"),
        (
            lambda x: x.transpose(0, 0, 1),
            "axes",
            "(0, 0, 1) is not an order of the axes of (2, 6, 6). Give each number below 3",
        ),
        (lambda x: x.transpose(5), "axes", "(5,) is not an order"),
        (lambda x: x.transpose("a"), "axes", "must be a whole number"),
        (lambda x: x.broadcast_to((3, 3)), "shape", "(3, 3) is not a shape to which (2, 6, 6) can be broadcast"),
        (lambda x: x.broadcast_to((0, 2, 6, 6)), "shape", "got 0"),
        (lambda x: x.broadcast_to((10**12, 2, 6, 6)), "shape", "makes a node of 72,000,000,000,000 entries"),
        (lambda x: x.batch_norm([0, 0], [1, 1], eps="x"), "eps", "must be a number, got 'x'"),
        (lambda x: x[0, 0, 0].batch_norm([0], [1]), "batch_norm", "got shape (). It takes (channels,)"),
        (lambda x: x[0, 0].adaptive_avg_pool(1), "adaptive_avg_pool", "It takes (channels, length)"),
        (lambda x: x["a"], "node", "no element 'a'"),
        (lambda x: x ** np.ones(2), "exponent", "must be 2, got an array of shape (2,)"),
        (lambda x: x.times(3), "other", "is 3, not a node. Multiply by numbers with *"),
        (lambda x: x > 0, "node", "has formulas, not values to compare"),
        (lambda x: np.ones(6) > x, "node", "has formulas, not values to compare"),
        (lambda x: np.tanh(x), "node", "numpy.tanh accepts arrays, not nodes. Use a node's own methods, such as"),
        (lambda x: x @ x, "node", "is multiplied by another node with @. Use *"),
        (lambda x: x @ np.ones((2, 2, 2)), "weight", "has shape (2, 2, 2)"),
        (
            lambda x: concatenate([x, np.ones(3)]),
            "nodes",
            "has an array of shape (3,) at position 1, which is not a node",
        ),
        (lambda x: concatenate([x], axis="0"), "axis", "must be a whole number, got '0'"),
        (lambda x: concatenate(x), "nodes", "is a single node. Give a list of nodes"),
        (lambda x: concatenate(5), "nodes", "must be a list of nodes, got 5"),
        (
            lambda x: Graph(10**12),
            "input_shape",
            "makes a node of 1,000,000,000,000 entries, but the limit is 200,000,000",
        ),
        (lambda x: x.linear(np.full((1, 6), 1e200)).linear([[1e200]]), "node", "products or sums overflow"),
        (lambda x: x * 1e200 * 1e200, "node", "products or sums overflow"),
        (lambda x: x + 1e308 + 1e308, "node", "products or sums overflow"),
        (
            lambda x: x.conv2d(np.ones((1, 2, 2, 3)), padding="same"),
            "padding",
            "'same' with the kernel (2, 3) would pad one",
        ),
        (lambda x: x.conv2d(np.ones((1, 2, 3, 3)), padding="same", stride=2), "padding", "strides divide them"),
        (lambda x: x.conv2d(np.ones((1, 2, 3, 3)), padding="full"), "padding", "unknown padding 'full'"),
        (lambda x: Graph((2, 6, 6)).build(x), "output", "is not a node of this graph"),
        (lambda x: Graph((2, 0)), "input_shape", "got 0"),
        (lambda x: Graph(()), "input_shape", "is empty"),
        (lambda x: Graph(2, keep_affine="yes"), "keep_affine", "unknown 'yes'"),
    ],
)
def test_what_does_not_fit_is_named(call, argument, part):
    with pytest.raises(bi.InvalidInputError) as caught:
        call(Graph((2, 6, 6)).input)
    assert caught.value.argument == argument
    assert part in str(caught.value)


def test_options_of_convolutions_are_named_and_no_others_are_taken():
    image = bi.networks.Graph((2, 6, 6)).input
    with pytest.raises(TypeError, match="strides"):
        image.conv2d(np.ones((1, 2, 3, 3)), strides=2)
    assert image.conv2d(np.ones((1, 2, 3, 3)), stride=2).shape == (1, 2, 2)
    with pytest.raises(bi.InvalidInputError, match="groups: 3 groups do not divide 2 channels in"):
        image.conv2d(np.ones((3, 1, 3, 3)), groups=3)


def test_what_no_node_is_made_of_is_told():
    x = bi.networks.Graph(3).input
    with pytest.raises(bi.InvalidInputError, match="nodes: there are none. Give one node or more"):
        bi.networks.concatenate([])
    with pytest.raises(bi.InvalidInputError, match="a quotient is not a sum of states"):
        2 / x
    with pytest.raises(bi.InvalidInputError, match=r"node: has shape \(3,\), and no element 5"):
        x[5]
