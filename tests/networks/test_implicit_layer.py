"""A model as a layer of PyTorch: its predictions, its gradients by differences, and training that stays well-posed."""

import copy
import pickle

import numpy as np
import pytest

import bcd_implicit as bi

torch = pytest.importorskip("torch", reason="PyTorch is optional: pip install 'bcd-implicit[torch]'")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn(n=3, p=2, q=2, activation="tanh", norm=0.8, seed=0, **given):
    """A model whose |A| has rows of one sum, so that its equilibrium is far from one step's."""
    rng = np.random.default_rng(seed)
    A = rng.uniform(0.2, 1, (n, n)) * rng.choice([-1, 1], (n, n))
    A *= norm / np.abs(A).sum(axis=1, keepdims=True)
    shapes = ((n, p), n, (q, n), (q, p), q)
    return bi.ImplicitModel(A, *(rng.normal(size=shape) for shape in shapes), activation, **given)


def inputs(m=4, p=2, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(m, p)))


def as_function(layer):
    """The layer as a function of its inputs and parameters, and these parameters."""
    names, parameters = zip(*layer.named_parameters(), strict=True)
    assert names == ("A", "B", "b", "C", "D", "d")

    def outputs(u, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (u,))

    return outputs, parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", bi.ACTIVATIONS)
def test_gradients_by_inputs_and_parameters_agree_with_differences_for_every_activation(name):
    layer = bi.torch.ImplicitLayer(drawn(activation=name))
    outputs, parameters = as_function(layer)
    assert torch.autograd.gradcheck(outputs, (inputs().requires_grad_(), *parameters), atol=1e-6, rtol=1e-6)


def test_gradients_of_blocks_of_functions_agree_with_differences():
    layer = bi.torch.ImplicitLayer(drawn(n=5, activation=[("softplus", 2), ("clip", 3)]))
    outputs, parameters = as_function(layer)
    assert torch.autograd.gradcheck(outputs, (inputs().requires_grad_(), *parameters), atol=1e-6, rtol=1e-6)


def test_differences_refuse_gradients_that_take_no_notice_of_the_cycle():
    layer = bi.torch.ImplicitLayer(drawn(), gradient="jacobian-free")
    outputs, parameters = as_function(layer)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(outputs, (inputs().requires_grad_(), *parameters))


@pytest.mark.parametrize(("gradient", "n_terms"), [("exact", 5), ("jacobian-free", 5), ("neumann", 3)])
def test_every_kind_of_gradient_is_the_model_s(gradient, n_terms):
    model, u = drawn(n=8, p=3, q=2), inputs(20, 3)
    layer = bi.torch.ImplicitLayer(model, gradient=gradient, n_terms=n_terms)
    u.requires_grad_()
    (layer(u) ** 3).sum().backward()
    wanted = model.vjp(u.detach().numpy(), 3 * model.predict(u) ** 2, method=gradient, n_terms=n_terms)
    for letter, tensor in [("U", u), *layer.named_parameters()]:
        np.testing.assert_allclose(tensor.grad.numpy(), getattr(wanted, letter), rtol=1e-9, atol=1e-11)


def test_gradients_agree_with_those_through_pytorch_s_own_iteration():
    model, u = drawn(n=6, activation="sigmoid", norm=2.0), inputs(10)
    layer, peer = bi.torch.ImplicitLayer(model), bi.to_torch(model)
    losses = [torch.sin(module(u)).sum() for module in (layer, peer)]
    by_layer = torch.autograd.grad(losses[0], [layer.b, layer.d, layer.D])
    by_peer = torch.autograd.grad(losses[1], [peer.stages[0].b, peer.d, peer.D.values])
    for found, wanted in zip(by_layer, by_peer, strict=True):
        assert torch.allclose(found.reshape(-1), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [(2,), (5, 2), (3, 4, 2), (0, 2), (3, 0, 2)])
def test_inputs_have_any_number_of_axes_before_the_last(shape):
    model = drawn(q=3)
    layer = bi.torch.ImplicitLayer(model)
    u = torch.from_numpy(np.random.default_rng(2).normal(size=shape)).requires_grad_()
    outputs = layer(u)
    assert outputs.shape == (*shape[:-1], 3)
    if u.numel():
        flat = outputs.detach().reshape(-1, 3).numpy()
        np.testing.assert_allclose(flat, model.predict(u.detach().numpy().reshape(-1, 2)), rtol=1e-9)
    outputs.sum().backward()
    assert u.grad.shape == shape


def test_only_gradients_that_are_asked_for_are_computed(monkeypatch):
    calls, true = [], bi.ImplicitModel.vjp
    monkeypatch.setattr(bi.ImplicitModel, "vjp", lambda *a, **k: calls.append(a) or true(*a, **k))
    layer, u = bi.torch.ImplicitLayer(drawn()), inputs()
    with torch.no_grad():
        assert not layer(u).requires_grad
    layer.requires_grad_(False)
    assert not layer(u).requires_grad
    layer.B.requires_grad_()
    layer(u).sum().backward()
    assert len(calls) == 1
    assert layer.B.grad is not None
    assert layer.A.grad is None
    assert u.grad is None


def test_gradients_are_those_of_the_parameters_that_predicted_whatever_came_in_between():
    layer, other = (bi.torch.ImplicitLayer(drawn()) for _ in range(2))
    u = inputs()
    wanted = torch.autograd.grad(other(u).sum(), other.A)[0]
    outputs = layer(u)
    with torch.no_grad():
        layer.A.data.mul_(0.1)
    assert torch.equal(torch.autograd.grad(outputs.sum(), layer.A)[0], wanted)
    outputs = layer(u)
    u.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


def test_a_layer_in_single_precision_computes_in_double_and_rounds():
    model = drawn(n=6)
    layer = bi.torch.ImplicitLayer(model).float()
    u = inputs(9).float()
    outputs = layer(u)
    assert outputs.dtype == torch.float32
    rounded = bi.ImplicitModel(*(getattr(model, k).astype(np.float32) for k in "ABbCDd"), activation="tanh")
    np.testing.assert_array_equal(outputs.detach().numpy(), rounded.predict(u).astype(np.float32))
    outputs.sum().backward()
    wanted = rounded.vjp(u, np.ones((9, 2))).A.astype(np.float32)
    np.testing.assert_allclose(layer.A.grad.numpy(), wanted, rtol=1e-6)


def test_there_and_back_with_names_link_and_blocks():
    given = {"link": "softmax", "input_names": ["age", "bmi"], "output_names": ["a", "b"]}
    model = drawn(n=5, activation=[("softplus", 2), ("clip", 3)], **given)
    layer = bi.torch.ImplicitLayer(model)
    for back in (layer.model(), bi.from_torch(layer, 2), pickle.loads(pickle.dumps(layer)).model()):
        for letter in "ABbCDd":
            np.testing.assert_array_equal(getattr(back, letter), getattr(model, letter))
        assert {k: getattr(back, k) for k in given} == given
        assert str(back.activation) == str(model.activation)
    assert bi.from_torch(layer, 2, output_names=["c", "d"]).output_names == ["c", "d"]
    with pytest.raises(bi.InvalidInputError, match="input_shape: has 6 values, but the module takes 2"):
        bi.from_torch(layer, (2, 3))
    with pytest.raises(bi.InvalidInputError, match="contains an implicit model, '0', which cannot be traced"):
        bi.from_torch(torch.nn.Sequential(layer), 2)
    other = bi.torch.ImplicitLayer(drawn(n=5, seed=3, activation=[("softplus", 2), ("clip", 3)]))
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.model().B, model.B)
    text = "n_hidden=5, n_inputs=2, n_outputs=2, softplus (2), clip (3), gradient='exact'"
    assert text in repr(layer)


def test_a_copy_of_a_layer_is_trained_by_itself():
    layer = bi.torch.ImplicitLayer(drawn())
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.A.zero_()
    assert layer.model().norm_inf() == pytest.approx(0.8)


def test_training_with_projections_learns_and_stays_on_the_ball():
    true, u = drawn(n=3, activation="relu", norm=0.9, seed=5), inputs(60)
    targets = torch.from_numpy(true.predict(u))
    layer = bi.torch.ImplicitLayer(drawn(n=8, activation="relu", norm=0.3))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.03)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(layer(u), targets)
        loss.backward()
        optimizer.step()
        assert layer.project_(0.7).model().norm_inf() <= 0.7 + 1e-15
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_the_projection_is_the_nearest_point_of_every_row_s_ball():
    cvxpy = pytest.importorskip("cvxpy")
    model = drawn(n=4, activation=[("tanh", 2), ("sigmoid", 2)], norm=3.0)
    layer = bi.torch.ImplicitLayer(drawn(n=4, activation=[("tanh", 2), ("sigmoid", 2)]))
    with torch.no_grad():
        layer.A.copy_(torch.from_numpy(np.array(model.A)))
    found = layer.project_(0.9).A.detach().numpy()
    A = cvxpy.Variable((4, 4))
    # The sigmoid's slope is at most 1/4: its rows have room for 3.6.
    balls = [cvxpy.norm1(A[:2], axis=1) <= 0.9, cvxpy.norm1(A[2:], axis=1) <= 3.6]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(A - model.A)), balls).solve(solver="CLARABEL")
    np.testing.assert_allclose(found, A.value, atol=1e-6)
    np.testing.assert_array_equal(found[2:], model.A[2:])
    assert np.abs(found[:2]).sum(axis=1) == pytest.approx([0.9, 0.9], abs=1e-14)


def test_the_projection_on_the_measure_leaves_negative_diagonals():
    cvxpy = pytest.importorskip("cvxpy")
    layer = bi.torch.ImplicitLayer(drawn(n=4, activation=[("tanh", 2), ("abs", 2)]))
    given = np.array([[-5.0, 1, 2, -3], [0.5, 1, 1, 1], [-0.5, 0.2, 0.1, 0], [-5.0, 1, 2, -3]])
    given[2, 2], given[3, 3] = -2.0, -3.0
    with torch.no_grad():
        layer.A.copy_(torch.from_numpy(given))
    found = layer.project_(0.9, "measure").A.detach().numpy()
    A, sizes = cvxpy.Variable((4, 4)), 1 - np.eye(4)
    rows = cvxpy.norm1(cvxpy.multiply(sizes, A)[:2], axis=1) + cvxpy.diag(A)[:2] <= 0.9
    # abs falls for negative numbers: its rows stay in the ball.
    balls = [rows, cvxpy.norm1(A[2:], axis=1) <= 0.9]
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(A - given)), balls).solve(solver="CLARABEL")
    np.testing.assert_allclose(found, A.value, atol=1e-6)
    model = layer.model()
    assert model.norm_inf() > 1
    assert model.is_well_posed()
    with pytest.raises(bi.InvalidInputError, match="well_posedness: unknown condition 'norm'"):
        layer.project_(0.9, "norm")


@pytest.mark.parametrize("norm_bound", [-0.1, 1.0, 2, np.nan, "0.5"])
def test_other_bounds_of_the_projection_are_refused(norm_bound):
    with pytest.raises(bi.InvalidInputError, match="norm_bound"):
        bi.torch.ImplicitLayer(drawn()).project_(norm_bound)


def test_a_step_that_spoils_the_equilibrium_is_refused_with_the_remedy():
    layer = bi.torch.ImplicitLayer(drawn())
    with torch.no_grad():
        layer.A.mul_(2)
    with pytest.raises(
        bi.NotWellPosedError,
        match=r"spectral radius of \|A\| is 1\.6.* call the layer's project_\(\) after each step of the optimizer\.",
    ):
        layer(inputs())
    layer.project_()
    assert torch.isfinite(layer(inputs())).all()
    with torch.no_grad():
        layer.B.fill_(np.nan)
    with pytest.raises(bi.InvalidInputError, match="B: contains missing values"):
        layer(inputs())


def test_models_that_the_layer_cannot_train_are_refused_and_dense_compositions_are_not():
    with pytest.raises(bi.InvalidInputError, match="model: is int, not an ImplicitModel"):
        bi.torch.ImplicitLayer(3)
    with pytest.raises(bi.NotWellPosedError, match="spectral radius"):
        bi.torch.ImplicitLayer(bi.ImplicitModel([[1.5]], [[1.0]], None, [[1.0]]))
    with pytest.raises(bi.InvalidInputError, match="gradient: unknown gradient 'wrong'"):
        bi.torch.ImplicitLayer(drawn(), gradient="wrong")
    with pytest.raises(bi.InvalidInputError, match="n_terms"):
        bi.torch.ImplicitLayer(drawn(), gradient="neumann", n_terms=-1)
    network = bi.from_torch(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1)), 2)
    sparse = bi.from_torch(bi.to_torch(network), 2)
    with pytest.raises(bi.InvalidInputError, match=r"has sparse matrices \(A, B, C, D\).*Use bi\.to_torch"):
        bi.torch.ImplicitLayer(sparse)
    both = drawn(q=2) @ drawn(q=2, seed=1)
    layer, u = bi.torch.ImplicitLayer(both), inputs()
    np.testing.assert_allclose(layer(u).detach().numpy(), both.predict(u), rtol=1e-11, atol=1e-12)
    outputs, parameters = as_function(layer)
    assert torch.autograd.gradcheck(outputs, (u.requires_grad_(), *parameters), atol=1e-6, rtol=1e-6)


def test_a_function_without_a_largest_slope_has_no_projection():
    layer = bi.torch.ImplicitLayer(bi.ImplicitModel(np.zeros((2, 2)), np.eye(2), None, np.eye(2), activation="square"))
    with pytest.raises(bi.InvalidInputError, match="activation: square has no largest slope"):
        layer.project_()


def test_wrong_inputs_are_told():
    layer = bi.torch.ImplicitLayer(drawn())
    for u, cause in [
        (np.zeros((3, 2)), r"is ndarray, not a tensor\. Pass torch\.from_numpy"),
        (torch.zeros(3, 2), r"is of torch\.float32, the module of torch\.float64\. Pass u\.to\(torch\.float64\)"),
        (torch.zeros(3, 4, dtype=torch.double), r"has shape \(3, 4\)\. Give 2 inputs along the last axis"),
        (torch.tensor(1.0, dtype=torch.double), r"has shape \(\)"),
        (torch.full((3, 2), torch.nan, dtype=torch.double), "U: contains missing values"),
    ]:
        with pytest.raises(bi.InvalidInputError, match=cause):
            layer(u)


def test_a_second_derivative_is_refused_and_not_wrong():
    layer, u = bi.torch.ImplicitLayer(drawn()), inputs().requires_grad_()
    for loss in (layer(u).sum(), (layer(u) ** 2).sum()):
        with pytest.raises(bi.InvalidInputError, match=r"create_graph: .*Use bi\.to_torch"):
            torch.autograd.grad(loss, u, create_graph=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_trace_that_would_keep_one_batch_as_constants_is_refused():
    with pytest.raises(bi.InvalidInputError, match="u: is being traced.*Exclude it from the trace"):
        torch.jit.trace(bi.torch.ImplicitLayer(drawn()), inputs())


@pytest.mark.parametrize("make", [bi.torch.ImplicitLayer, bi.to_torch])
def test_only_names_are_given_anew(make):
    module = make(drawn(input_names=["a", "b"]))
    assert module.model(output_names=["y", "z"]).input_names == ["a", "b"]
    for wrong in ({"names": ["a", "b"]}, {"activation": "relu"}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            module.model(**wrong)
    with pytest.raises(bi.InvalidInputError, match="input_names"):
        module.model(input_names=[])
