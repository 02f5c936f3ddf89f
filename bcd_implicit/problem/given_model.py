"""A model that a person gives beside a problem, as its start or its pattern: it has to be of the problem's kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.names import matched
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.function import ElementwiseFunction


def fitted(
    argument: str,
    model: ImplicitModel,
    shapes: Mapping[str, tuple[int, ...]],
    activation: Activation,
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> ImplicitModel:
    """The model with its inputs and outputs in the problem's order, matched by name where both sides have names.

    Raises
    ------
    InvalidInputError
        Other numbers of hidden features, inputs or outputs, other functions of the states, or other names.
    """
    sizes = (model.n_hidden, *model.D.shape[::-1]), (shapes["A"][0], *shapes["D"][::-1])
    if sizes[0] != sizes[1]:
        found, needed = ("{} hidden features, {} inputs and {} outputs".format(*size) for size in sizes)
        raise InvalidInputError(argument, f"has {found}, but the problem {needed}", "They must be equal")
    given = model.activation
    if (given.name, given.parameters) != (activation.name, activation.parameters):
        cause = f"has states of {_told(given)}, but the problem of {_told(activation)}"
        if isinstance(given, Activation):
            remedy = f"Set the problem's activation={given.name!r}"
            if given.parameters:
                remedy = "Set the problem's activation=model.activation"
        else:
            remedy = "Problems have one activation for all states"
        raise InvalidInputError(argument, cause, remedy)
    inputs = matched(model.input_names, input_names, "inputs", "u", argument, "has")
    outputs = matched(model.output_names, output_names, "outputs", "y", argument, "has")
    if inputs is None and outputs is None:
        return model

    def columns(matrix: Matrix) -> Matrix:
        return matrix if inputs is None else matrix[:, inputs]

    def rows(matrix: Matrix) -> Matrix:
        return matrix if outputs is None else matrix[outputs]

    parts = {"B": columns(model.B), "C": rows(model.C), "D": rows(columns(model.D)), "d": rows(model.d)}
    return model._copy(**parts, input_names=input_names, output_names=output_names)


def _told(function: ElementwiseFunction) -> str:
    values = ", ".join(f"{name} = {value:g}" for name, value in function.parameters.items())
    return f"{function.name} ({values})" if values else function.name
