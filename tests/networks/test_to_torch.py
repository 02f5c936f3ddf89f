"""Implicit models as PyTorch modules: the same predictions, and gradients that differences confirm."""

import numpy as np
import pytest

import bcd_implicit as bi

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")

# Along cycles both the model and the module stop at a tolerance.
TOLERANCE = 1e-9


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(n, p, q, activation, *, cycles, seed=0):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.normal(size=(n, n)), 1)
    if cycles:
        # Two components with a cycle, the states of neither next to each other, and states without one around them.
        for component in (np.arange(1, n // 2, 2), np.arange(n // 2, n, 2)):
            A[np.ix_(component, component)] = rng.uniform(-1, 1, (len(component),) * 2) / (len(component) + 1)
    order = rng.permutation(n)
    shapes = ((n, p), n, (q, n), (q, p), q)
    return bi.ImplicitModel(A[order][:, order], *(rng.normal(size=shape) for shape in shapes), activation)


def jacobian(module, u):
    u = torch.from_numpy(u).requires_grad_()
    rows = [torch.autograd.grad(module(u)[:, k].sum(), u)[0] for k in range(module(u).shape[1])]
    return torch.stack(rows, dim=1).numpy()


@pytest.mark.parametrize("name", [*bi.ACTIVATIONS, "square", "abs"])
def test_every_function_of_states_has_its_counterpart(name):
    if name not in ("square", "abs") and not type(bi.ACTIVATIONS[name]).__module__.startswith("bcd_implicit"):
        pytest.skip("registered by another test")
    model = drawn(6, 3, 2, name, cycles=False)
    u = np.random.default_rng(1).normal(size=(30, 3))
    module = bi.to_torch(model)
    wanted = model.predict(u)
    assert np.abs(module(torch.from_numpy(u)).detach().numpy() - wanted).max() <= 1e-13 * np.abs(wanted).max()
    slopes = model.jacobian(u)
    assert np.abs(jacobian(module, u) - slopes).max() <= 1e-12 * np.abs(slopes).max()


@pytest.mark.parametrize("cycles", [False, True])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", [("tanh", 5), ("leaky_relu", 4), ("clip", 6)]], ids=str)
def test_predictions_and_gradients_are_those_of_the_model(activation, cycles):
    model = drawn(15, 4, 3, activation, cycles=cycles)
    assert model.structure().acyclic == (not cycles)
    u = np.random.default_rng(1).normal(size=(8, 4))
    module = bi.to_torch(model)
    with torch.no_grad():
        found = module(torch.from_numpy(u)).numpy()
    assert np.abs(found - model.predict(u)).max() <= TOLERANCE * np.abs(found).max()
    slopes = model.jacobian(u)
    assert np.abs(jacobian(module, u) - slopes).max() <= 10 * TOLERANCE * np.abs(slopes).max()


@pytest.mark.parametrize("cycles", [False, True])
def test_first_and_second_derivatives_by_inputs_and_parameters_agree_with_differences(cycles):
    model = drawn(6, 2, 2, [("tanh", 4), ("sigmoid", 2)], cycles=cycles)
    module = bi.to_torch(model)
    names, parameters = zip(*module.named_parameters(), strict=True)
    u = torch.from_numpy(np.random.default_rng(1).normal(size=(2, 2))).requires_grad_()

    def outputs(u, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (u,))

    assert torch.autograd.gradcheck(outputs, (u, *parameters))
    assert torch.autograd.gradgradcheck(outputs, (u, *parameters))


def test_models_that_only_their_measure_proves_well_posed_are_solved_and_differentiated():
    rng = np.random.default_rng(4)
    A = 4 * np.abs(rng.normal(size=(4, 4)))
    np.fill_diagonal(A, 0.0)
    np.fill_diagonal(A, 0.5 - A.sum(axis=1))
    B, b, C = rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=(2, 4))
    given = bi.ImplicitModel(A, B, b, C, activation=[("tanh", 2), ("relu", 2)])
    assert given.measure_inf() == pytest.approx(0.5)
    assert given.norm_inf() > 10
    module, u = bi.to_torch(given), rng.normal(size=(2, 2))
    inputs = torch.from_numpy(u).requires_grad_()
    assert np.abs(module(inputs).detach().numpy() - given.predict(u)).max() <= TOLERANCE
    assert np.abs(jacobian(module, u) - given.jacobian(u)).max() <= TOLERANCE
    parameters = tuple(module.parameters())
    assert torch.autograd.gradcheck(lambda u, *_: module(u), (inputs, *parameters))
    assert torch.autograd.gradgradcheck(module, (inputs,))


def test_the_second_derivative_through_a_cycle_is_that_of_the_formula():
    # x = tanh(x/2 + u): with s = 1 - x^2, x' = s / (1 - s/2) and x'' = -2 x s / (1 - s/2)^3.
    model = bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]], activation="tanh")
    u = torch.tensor([0.3], dtype=torch.double)
    found = torch.autograd.functional.hessian(lambda z: bi.to_torch(model)(z[None]).sum(), u).item()
    x = model.predict([[0.3]]).item()
    s = 1 - x**2
    assert abs(found + 2 * x * s / (1 - s / 2) ** 3) < 1e-8
    assert round(found, 4) == -3.0676


def test_parameters_are_the_entries_that_are_not_zero_and_training_keeps_the_pattern():
    model = drawn(10, 3, 2, "relu", cycles=False)
    sizes = [np.count_nonzero(getattr(model, letter)) for letter in "ABCD"] + [10, 2]
    module = bi.to_torch(model)
    assert sum(parameter.numel() for parameter in module.parameters()) == sum(sizes)
    u = torch.from_numpy(np.random.default_rng(1).normal(size=(40, 3)))
    wanted = u[:, :2] ** 2
    losses = []
    for _ in range(5):
        loss = ((module(u) - wanted) ** 2).mean()
        losses.append(loss.item())
        loss.backward()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-5 * parameter.grad
        module.zero_grad()
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    pattern = [np.count_nonzero(stage.before.matrix().to_dense().detach()) for stage in module.stages]
    assert sum(pattern) == sizes[0]


def test_there_and_back():
    layers = [
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(18, 3),
    ]
    module = torch.nn.Sequential(*layers).double().eval()
    back = bi.to_torch(bi.from_torch(module, (1, 8, 8)))
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 1, 8, 8)))
    assert torch.allclose(back(images), module(images), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cycles", [False, True])
def test_a_trained_module_goes_back_to_a_model_of_its_parameters(cycles):
    model = drawn(15, 4, 3, [("tanh", 5), ("leaky_relu", 4), ("clip", 6)], cycles=cycles)
    model = bi.ImplicitModel(
        *(getattr(model, k) for k in "ABbCDd"), model.activation, link="softmax", output_names=["a", "b", "c"]
    )
    module = bi.to_torch(model)
    same = bi.from_torch(module, 4)
    for letter in "ABbCDd":
        found = getattr(same, letter)
        found = found.toarray() if letter.isupper() else found
        np.testing.assert_array_equal(found, getattr(model, letter))
    assert (same.link, same.output_names, str(same.activation)) == ("softmax", ["a", "b", "c"], str(model.activation))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 0.9
    trained, u = bi.from_torch(module, 4, output_names=["d", "e", "f"]), np.random.default_rng(1).normal(size=(8, 4))
    assert np.abs(trained.A.toarray() - 0.9 * model.A).max() < 1e-15
    assert np.abs(trained.predict(u) - module(torch.from_numpy(u)).detach().numpy()).max() < TOLERANCE
    assert trained.output_names == ["d", "e", "f"]
    with pytest.raises(bi.InvalidInputError, match="input_shape: has 6 values, but the module takes 4"):
        bi.from_torch(module, (2, 3))


def test_tensors_with_gradients_are_read_as_arrays():
    layer = torch.nn.Linear(3, 2)
    graph = bi.networks.Graph(3)
    model = graph.build(graph.input.linear(layer.weight, layer.bias))
    u = torch.ones(4, 3, requires_grad=True)
    wanted = layer(u).detach().numpy()
    assert np.abs(model.predict(u) - wanted).max() < 1e-6
    assert np.abs(model.predict(list(u)) - wanted).max() < 1e-6
    halves = graph.input.linear(layer.weight.to(torch.bfloat16))
    assert graph.build(halves).n_hidden == 2
    for tensor in (torch.ones(2, 3, device="meta"), torch.ones(2, 3).to_sparse()):
        with pytest.raises(bi.InvalidInputError, match="weight: is a tensor of layout .*, whose values cannot be read"):
            graph.input.linear(tensor)
    with pytest.raises(bi.InvalidInputError, match="U: .*complex"):
        model.predict(torch.ones(4, 3, dtype=torch.complex128))


def test_models_that_are_not_well_posed_and_functions_of_your_own_are_refused():
    with pytest.raises(bi.NotWellPosedError, match="spectral radius"):
        bi.to_torch(bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]]))

    class Cube(type(bi.ImplicitModel([[0.0]], [[1.0]], None, [[1.0]], activation="square").activation)):
        name = "cube"

    model = bi.ImplicitModel([[0.0]], [[1.0]], None, [[1.0]], activation=Cube())
    with pytest.raises(bi.InvalidInputError, match=r"cube has no counterpart in PyTorch\. The known ones are relu"):
        bi.to_torch(model)


def test_an_iteration_that_does_not_settle_warns_with_numbers():
    module = bi.to_torch(bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]], activation="identity"))
    with torch.no_grad():
        # What training may do: x = 1 + x has no solution.
        module.stages[0].within.values.fill_(1.0)
    with (
        torch.no_grad(),
        pytest.warns(bi.ConvergenceWarning, match=r"changed states by 1\.0e\+00 in its last of 10000"),
    ):
        module(torch.ones(1, 1, dtype=torch.double))


@pytest.mark.parametrize(("within", "value", "step"), [(1.5, 1.0, "step 17"), (0.5, np.nan, r"step 1\.")])
def test_an_iteration_that_meets_what_is_not_finite_stops_and_warns(within, value, step):
    module = bi.to_torch(bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]]))
    with torch.no_grad():
        module.stages[0].within.values.fill_(within)
    u = torch.full((1, 1), value, dtype=torch.double)
    with torch.no_grad(), pytest.warns(bi.ConvergenceWarning, match=f"values that are not finite in {step}"):
        assert not torch.isfinite(module(u)).item()


@pytest.mark.parametrize("A", [[[0.0]], [[0.5]]])
def test_no_samples_have_no_predictions(A):
    module = bi.to_torch(bi.ImplicitModel(A, [[1.0, 2.0]], None, [[1.0]]))
    u = torch.zeros(0, 2, dtype=torch.double, requires_grad=True)
    assert module(u).shape == (0, 1)
    module(u).sum().backward()
    assert u.grad.shape == (0, 2)


def test_what_is_no_model_and_what_are_no_inputs_is_told():
    with pytest.raises(bi.InvalidInputError, match="model: is int, not an ImplicitModel"):
        bi.to_torch(3)
    module = bi.to_torch(bi.ImplicitModel([[0.5]], [[1.0, 2.0]], None, [[1.0]]))
    for u, cause in [
        (np.zeros((3, 2)), r"is ndarray, not a tensor\. Pass torch\.from_numpy"),
        (torch.zeros(3, 2), r"is of torch\.float32, the module of torch\.float64\. Pass u\.to\(torch\.float64\)"),
        (torch.zeros(3, 4, dtype=torch.double), r"has shape \(3, 4\)\. Give 2 inputs per sample: \(m, 2\)"),
        (torch.tensor(1.0, dtype=torch.double), "has shape"),
    ]:
        with pytest.raises(bi.InvalidInputError, match=cause):
            module(u)
