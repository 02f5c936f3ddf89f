"""Networks of PyTorch as implicit models."""

from __future__ import annotations

import importlib
import math
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.graph import Graph
from bcd_implicit.networks.pytorch.layers import LAYERS
from bcd_implicit.networks.pytorch.operations import OPERATIONS
from bcd_implicit.networks.pytorch.tensors import Layers, Probabilities, array, refuse_whole

# Samples on which a converted model is compared with its module, and the largest difference, as a share of the largest
# output, that rounding explains, by the kind of numbers.
N_COMPARED, ROUNDING = 2, {"float64": 1e-9, "float32": 1e-3}
# What makes a network random while it trains.
RANDOM = ("Dropout", "AlphaDropout", "FeatureAlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d")
# By kind, what has a counterpart; Python's own operators are none that a person looks for by name.
KNOWN = {
    "layers": LAYERS,
    "functions": [name for name in OPERATIONS if not name.startswith("i") and name not in ("getattr", "getitem")],
}


def torch_or_error(argument: str) -> Any:
    """PyTorch, which is optional.

    Raises
    ------
    InvalidInputError
        It is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError:
        cause, remedy = "needs PyTorch, which is not installed", "Run pip install 'bcd-implicit[torch]'"
        raise InvalidInputError(argument, cause, remedy) from None


def from_torch(
    module: Any,
    input_shape: int | Sequence[int],
    *,
    keep_affine: bool | str = "auto",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> ImplicitModel:
    """The implicit model of a PyTorch module, which is traced by ``torch.fx``.

    It can have linear layers, convolutions and pools of one and two axes, batch norm, activations, dropout, recurrent
    layers (``batch_first=True``), sums, products, slices, joins and reshapes, as modules, functions or methods. The
    error names anything that is not supported. A softmax at the end becomes the model's link: ``response`` returns
    probabilities, and ``predict`` the inputs of the softmax. The same holds for a log-softmax: ``response`` returns
    probabilities, not the module's logarithms. A module from :func:`to_torch`, trained or not, becomes a model with
    sparse matrices again; a layer of :mod:`bcd_implicit.torch` becomes its own model.

    The model is compared with the module on two random inputs, to detect anything that the trace misses, such as a
    hook.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode if it has dropout or batch norm. Weights are taken exactly, in double precision.
    input_shape : int or tuple of int
        The shape of one sample, such as (1, 28, 28).
    keep_affine : bool or "auto"
        As for :class:`~bcd_implicit.networks.Graph`: whether affine values become states of their own.
    input_names, output_names : sequence of str, optional

    Returns
    -------
    ImplicitModel
        Its inputs (m, p) are the samples flattened as by ``reshape(m, -1)``, and so are its outputs.

    Raises
    ------
    InvalidInputError
        PyTorch is missing; the argument is not a module, is compiled, or is in training mode; a layer or an operation
        is not supported; the module's control flow depends on values; or it mixes samples.

    Examples
    --------
    >>> import torch
    >>> import bcd_implicit as bi
    >>> lenet = torch.nn.Sequential(
    ...     torch.nn.Conv2d(1, 6, 5),
    ...     torch.nn.ReLU(),
    ...     torch.nn.AvgPool2d(2),
    ...     torch.nn.Flatten(),
    ...     torch.nn.Linear(864, 10),
    ... )
    >>> model = bi.from_torch(lenet, (1, 28, 28))
    >>> model.structure().depth
    2
    """
    torch = torch_or_error("from_torch")
    if not isinstance(module, torch.nn.Module):
        kind = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
        raise InvalidInputError("module", f"is {kind}", "Pass a torch.nn.Module")
    # Where it is asked for: it needs PyTorch.
    from bcd_implicit.networks.pytorch.implicit_layer import ImplicitLayer
    from bcd_implicit.networks.pytorch.module import ImplicitModule

    _check_kind(module, (ImplicitModule, ImplicitLayer), torch)
    if isinstance(module, (ImplicitModule, ImplicitLayer)):
        n_inputs = math.prod(Graph(input_shape).input.shape)
        if n_inputs != module.n_inputs:
            cause = f"has {n_inputs} values, but the module takes {module.n_inputs}"
            raise InvalidInputError("input_shape", cause, "Give the shape of one sample")
        return module.model(input_names=input_names, output_names=output_names)
    _check_mode(module, torch)
    _check_weights(module, torch)
    # One of PyTorch's own layers by itself is not traced into.
    own = torch.fx.Tracer().is_leaf_module(module, "")
    traced = _traced(torch.nn.Sequential(module) if own else module, torch)
    _check_known(traced)
    graph = Graph(input_shape, keep_affine=keep_affine)
    output = _run(traced, graph.input)
    link = "identity"
    if isinstance(output, Probabilities):
        output, link = output.node, "softmax"
    if not hasattr(output, "activate"):
        cause = f"returns {type(output).__name__}, not one tensor that depends on the input"
        raise InvalidInputError("module", cause, "Wrap it in a module that returns the tensor you want")
    model = graph.build(output, link=link, input_names=input_names, output_names=output_names)
    _compare(model, module, graph.input.shape, _in_place(traced), torch)
    return model


def _is_layer(module: Any) -> bool:
    """Whether a module is one of PyTorch's own that has a counterpart; a subclass of one is not."""
    return type(module).__module__.startswith("torch.nn") and type(module).__name__ in LAYERS


def _check_kind(module: Any, implicit: tuple[type, ...], torch: Any) -> None:
    """Raise an error if a module was compiled, or has an implicit model as a part: neither can be traced."""
    inside = [name for name, part in module.named_modules() if name and isinstance(part, implicit)]
    if isinstance(module, torch.jit.ScriptModule):
        cause, remedy = "is compiled by torch.jit", "Pass the module that it was made from"
    elif type(module).__name__ == "OptimizedModule":
        cause, remedy = "is compiled by torch.compile", "Pass the module that it was made from, module._orig_mod"
    elif inside:
        cause = f"contains an implicit model, {inside[0]!r}, which cannot be traced"
        remedy = "Convert each part on its own, then combine the models: g @ f is g after f"
    else:
        return
    raise InvalidInputError("module", cause, remedy)


def _check_mode(module: Any, torch: Any) -> None:
    for name, layer in module.named_modules():
        random = type(layer).__name__ in RANDOM and layer.p > 0
        batch = isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)
        between = isinstance(layer, torch.nn.RNNBase) and layer.dropout > 0
        if layer.training and (random or batch or between):
            where = f"{type(layer).__name__} {name!r}" if name else type(layer).__name__
            cause = f"is in training mode, in which its {where} does not return its predictions"
            raise InvalidInputError("module", cause, "Call module.eval() first")


def _check_weights(module: Any, torch: Any) -> None:
    """Raise an error that names a parameter without real values."""
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if torch.nn.parameter.is_lazy(tensor):
            cause, remedy = "has no values yet", "Call the module once with samples first"
        elif tensor.is_meta:
            cause, remedy = "is on the device meta, which holds no values", "Load its weights onto a device"
        elif tensor.is_complex():
            cause, remedy = f"is of {tensor.dtype}", "Complex numbers have no counterpart: use real ones"
        else:
            continue
        raise InvalidInputError("module", f"its {name!r} {cause}", remedy)


def _traced(module: Any, torch: Any) -> Any:
    try:
        return torch.fx.symbolic_trace(module)
    except Exception as error:  # whatever a module's own code raises when it meets a trace
        text = str(error).splitlines()[0] if str(error) else ""
        cause = f"torch.fx cannot trace it ({type(error).__name__}: {text}{_place(error, module)})"
        remedy = "Rewrite forward, or build it with bi.networks.Graph"
        if isinstance(error, torch.fx.proxy.TraceError):
            remedy = f"Its control flow must not depend on values; r{remedy[1:]}"
        raise InvalidInputError("module", cause, remedy) from None


def _place(error: Exception, module: Any) -> str:
    """The layer in whose forward an error came up, and the line."""
    names = {id(layer): name for name, layer in module.named_modules()}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = [names[id(frame.f_locals["self"])] for frame in frames if id(frame.f_locals.get("self")) in names]
    layer = f", in its layer {inside[-1]!r}" if inside and inside[-1] else ""
    own = [k for k, frame in enumerate(frames) if frame.f_globals.get("__name__", "").split(".")[0] != "torch"]
    line = traceback.extract_tb(error.__traceback__)[own[-1]].line if own and own[-1] else ""
    return f"{layer}, at `{line}`" if line else layer


def _check_known(traced: Any) -> None:
    """Raise an error that names all layers and operations without a counterpart."""
    unknown, kinds, parametrized = [], set(), False
    for step in traced.graph.nodes:
        if step.op == "call_module":
            layer = traced.get_submodule(step.target)
            if not _is_layer(layer):
                kinds.add("layers")
                parametrized |= hasattr(layer, "parametrizations")
                unknown.append(f"layer {step.target!r} ({type(layer).__name__})")
        elif step.op in ("call_function", "call_method") and _name(step) not in OPERATIONS:
            kinds.add("functions")
            what = "function" if step.op == "call_function" else "method"
            unknown.append(f"{what} {_name(step)} ({step.name!r})")
    remedies = [f"Known {kind} are {', '.join(sorted(KNOWN[kind]))}" for kind in sorted(kinds)]
    if parametrized:
        remedies.insert(0, "Call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') first")
    if unknown:
        raise InvalidInputError(
            "module",
            f"has parts that cannot be converted: {', '.join(dict.fromkeys(unknown))}",
            "; ".join(remedies),
        )


def _name(step: Any) -> str:
    """The name of a function or method; what changes a tensor in place goes by the name of what does not."""
    name = step.target if isinstance(step.target, str) else getattr(step.target, "__name__", str(step.target))
    return name if name in OPERATIONS else name.rstrip("_")


def _run(traced: Any, given: Any) -> Any:
    """The module's output as a node: every step of the trace on nodes in place of tensors."""
    values: dict[str, Any] = {}

    def known(argument: Any) -> Any:
        if isinstance(argument, (tuple, list)):
            return type(argument)(known(item) for item in argument)
        if isinstance(argument, dict):
            return {key: known(item) for key, item in argument.items()}
        if isinstance(argument, slice):
            return slice(known(argument.start), known(argument.stop), known(argument.step))
        return values.get(argument.name) if hasattr(argument, "op") else argument

    n_inputs = 0
    for step in traced.graph.nodes:
        arguments, options = [known(item) for item in step.args], known(dict(step.kwargs))
        try:
            _check_taken(step, [*arguments, *options.values()])
            if step.op == "output":
                return arguments[0]
            if step.op == "placeholder":
                # Others keep their defaults, and have none if they must be given.
                values[step.name] = given if n_inputs == 0 else _default(step)
                n_inputs += 1
            elif step.op == "get_attr":
                values[step.name] = _attribute(traced, step.target)
            elif step.op == "call_module":
                layer, tensors = traced.get_submodule(step.target), [*arguments, *options.values()]
                if any(tensor is not None for tensor in tensors[1:]):
                    raise InvalidInputError("input", "is not the only one", "Call the layer with a single tensor")
                values[step.name] = LAYERS[type(layer).__name__](tensors[0], layer)
            else:
                values[step.name] = OPERATIONS[_name(step)](*arguments, **options)
        except InvalidInputError as error:
            where = f"module, at {step.target if isinstance(step.target, str) else step.name!r}"
            raise InvalidInputError(where, f"{error.argument} {error.cause}", error.remedy) from None
        except (TypeError, AttributeError) as error:
            # Without the name of the function here, which no person called.
            told = str(error).split("() ")[-1]
            where = f"module, at {step.target if isinstance(step.target, str) else step.name!r}"
            raise InvalidInputError(where, f"is called in a way that is not supported ({told})") from None
    raise AssertionError("a trace ends in its output")


def _check_taken(step: Any, arguments: list[Any]) -> None:
    """Raise an error if a step is called with what only the end of a network, or certain steps, can take."""
    name = step.op if step.op in ("output", "call_module", "placeholder", "get_attr") else _name(step)
    # Of a tuple one part is taken, whatever else it holds; one that is returned is refused as such.
    if name in ("getitem", "output") and isinstance(arguments[0], tuple):
        arguments = arguments[1:]
    refuse_whole(arguments, {"output": (Probabilities,), "getitem": (Layers,), "squeeze": (Layers,)}.get(name, ()))


def _default(step: Any) -> Any:
    if not step.args:
        raise InvalidInputError(
            str(step.target), "is a second input", "Wrap the module in one that takes a single input"
        )
    return step.args[0]


def _in_place(traced: Any) -> list[str]:
    """The steps of a trace that change their input."""
    named = ("iadd", "isub", "imul", "itruediv")
    found = []
    for step in traced.graph.nodes:
        if step.op == "call_module":
            changes = getattr(traced.get_submodule(step.target), "inplace", False)
        elif step.op in ("call_function", "call_method"):
            name = step.target if isinstance(step.target, str) else getattr(step.target, "__name__", "")
            changes = name in named or name.endswith("_") or step.kwargs.get("inplace", False)
        else:
            continue
        if changes:
            found.append(repr(step.target if isinstance(step.target, str) else step.name))
    return found


def _attribute(traced: Any, target: str) -> np.ndarray:
    value: Any = traced
    for name in target.split("."):
        value = getattr(value, name)
    return np.asarray(array(value))


def _compare(model: ImplicitModel, module: Any, shape: tuple[int, ...], in_place: list[str], torch: Any) -> None:
    """Raise an error if the model does not predict what the module does, in the mode that it is in and in evaluation.

    ``in_place`` are the steps that are named as the likely cause.
    """
    modes = {layer: layer.training for layer in module.modules()}
    _compare_in_mode(model, module, shape, in_place, torch)
    if not any(modes.values()):
        return
    try:
        module.eval()
        _compare_in_mode(model, module, shape, in_place, torch)
    except InvalidInputError:
        cause = "is in training mode, in which it does not return its predictions"
        raise InvalidInputError("module", cause, "Call module.eval() first") from None
    finally:
        for layer, training in modes.items():
            layer.training = training


def _compare_in_mode(
    model: ImplicitModel, module: Any, shape: tuple[int, ...], in_place: list[str], torch: Any
) -> None:
    like = next(iter(module.parameters()), torch.zeros(0, dtype=torch.double))
    kind = str(like.dtype).removeprefix("torch.")
    samples = np.random.default_rng(0).normal(size=(N_COMPARED, model.B.shape[1]))
    inputs = torch.from_numpy(samples).to(like).reshape(-1, *shape)
    try:
        with torch.no_grad():
            # Of a copy: a module may change its input in place.
            given = module(inputs.clone()).reshape(N_COMPARED, -1).cpu().double().numpy()
    except RuntimeError as error:
        cause = f"cannot take samples of shape {shape} ({str(error).splitlines()[0]})"
        raise InvalidInputError("module", cause, "Give the input_shape of one sample") from None
    # A module in few digits rounds its inputs.
    found = model.response(inputs.cpu().double().numpy().reshape(N_COMPARED, -1))
    if model.link == "softmax" and np.all(given <= 0):
        given = np.exp(given)
    if found.shape != given.shape:
        cause = f"gives {given.shape[1:]} outputs per sample, but its trace gives {found.shape[1:]}"
        raise InvalidInputError("module", cause, "Let its forward keep the axis of samples first")
    off, largest = float(np.abs(found - given).max()), float(np.abs(given).max())
    if not off <= ROUNDING.get(kind, 0.1) * max(largest, np.finfo(float).tiny):
        cause = f"differs from its trace, by {off:.2g} of {largest:.2g} on random inputs"
        remedy = "In forward, avoid hooks, global values, the number of samples, and += on tensors read elsewhere"
        if in_place:
            cause += f"; what {', '.join(in_place)} change in place is read afterwards, or changes elsewhere"
            remedy = "Avoid inplace=True and methods that end in _. Otherwise i" + remedy[1:]
        raise InvalidInputError("module", cause, remedy)
