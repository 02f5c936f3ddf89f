"""Models put together: what operators of models do, as functions of any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import ArrayLike

from bcd_implicit.compose.checks import check_array, check_model, check_name
from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model import algebra
from bcd_implicit.model.algebra import System
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.model.operators import affine_of, is_array, matrix_of
from bcd_implicit.support.checks import check_names
from bcd_implicit.terms.links import LINKS


def cascade(*models: Any) -> ImplicitModel:
    """Connect models in series, the first one first: ``cascade(f, g, h)`` is ``h @ g @ f``.

    Parameters
    ----------
    *models : ImplicitModel or array of shape (k, j)
        An array stands for multiplication by it; the labels of a data frame are used as names. Each model takes the
        predictions of the one before unchanged, whatever their link. The result has the link of the last model.

    Raises
    ------
    InvalidInputError
        A model's inputs differ from the outputs of the one before.
    """
    return _folded("cascade", algebra.cascade, models)


def stack(*models: Any) -> ImplicitModel:
    """Put models on the same inputs and concatenate their outputs: ``f | g``.

    Raises
    ------
    InvalidInputError
        Different inputs or links, or a link that couples all outputs (softmax).
    """
    return ImplicitModel._of(algebra.stack(_systems("stack", models)))


def parallel(*models: Any) -> ImplicitModel:
    """Put models on separate inputs and concatenate inputs and outputs: ``f & g``.

    Raises
    ------
    InvalidInputError
        Different links, or a link that couples all outputs (softmax).
    """
    return ImplicitModel._of(algebra.parallel(_systems("parallel", models)))


def total(*models: Any) -> ImplicitModel:
    """Sum the outputs of models on the same inputs: ``f + g``.

    Raises
    ------
    InvalidInputError
        Different inputs, outputs or links.
    """
    return ImplicitModel._of(algebra.total(_systems("total", models)))


def product(*models: Any) -> ImplicitModel:
    """Multiply the outputs of models on the same inputs: ``f * g``, with two "square" states for each product.

    The rounding error is about 1e-16 (y1^2 + y2^2): scale factors of different size to about the same size first.

    Raises
    ------
    InvalidInputError
        Different inputs or outputs.
    """
    return _folded("product", algebra.product, models)


def affine(
    M: ArrayLike,
    c: ArrayLike | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> ImplicitModel:
    """The model of y = M u + c.

    A model has at least one state. Here it is 0 and unused, and compositions drop it.

    Parameters
    ----------
    M : array of shape (q, p), sparse or not
    c : array of shape (q,) or None
    input_names, output_names : sequence of str, optional
        By default the labels of a data frame M.

    Raises
    ------
    InvalidInputError
        Shapes that do not fit, or entries that are not finite.
    """
    system = affine_of("M", check_array("M", M, "a matrix"))
    if c is not None:
        # As a column, whether it is a list or one already.
        column = matrix_of("c", check_array("c", c, "one number for each row"), columns=1, column=True)
        if column.shape != system.d[:, None].shape:
            cause = f"has {column.shape[0]} entries for {len(system.d)} rows of M"
            raise InvalidInputError("c", cause, "Give one for each row")
        system = replace(system, d=dense(column)[:, 0])
    return labelled(ImplicitModel._of(system), input_names=input_names, output_names=output_names)


def feedback(model: ImplicitModel, K: Any) -> ImplicitModel:
    """The model on u = w + K y: ``model.feedback(K)``."""
    return check_model("model", model).feedback(K)


def labelled(
    model: ImplicitModel,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    link: str | None = None,
    name: str | None = None,
) -> ImplicitModel:
    """Return the model with new names or a new link; arguments that are None change nothing.

    Parameters
    ----------
    model : ImplicitModel
    input_names, output_names : sequence of str, optional
    link : str, optional
    name : str, optional
        The name of the model in the :meth:`~bcd_implicit.ImplicitModel.structure` of a composition, where it then
        counts as one part. It is not saved to files.

    Raises
    ------
    InvalidInputError
        A wrong number of names, a duplicate name, an unknown link, or a name that is not text.
    """
    system = check_model("model", model)._system
    if name is not None:
        system = system.as_part(check_name(name))
    if input_names is not None:
        system = replace(system, input_names=check_names("input_names", input_names, system.inputs[0], "u"))
    if output_names is not None:
        system = replace(system, output_names=check_names("output_names", output_names, system.outputs[0], "y"))
    if link is not None:
        system = replace(system, link=check_choice("link", link, LINKS))
    return ImplicitModel._of(system)


def _folded(name: str, join: Any, models: Sequence[Any]) -> ImplicitModel:
    first, *rest = _systems(name, models)
    for system in rest:
        first = join(first, system)
    return ImplicitModel._of(first)


def _systems(name: str, models: Sequence[Any]) -> list[System]:
    if not models:
        raise InvalidInputError("models", "there are none", "Give one model or more")
    if isinstance(models[0], (list, tuple)) and any(isinstance(part, ImplicitModel) for part in models[0]):
        kind = type(models[0]).__name__
        raise InvalidInputError("models", f"are in a {kind}", f"Pass them one by one: {name}(*models)")
    return [_system(f"models[{k}]", model) for k, model in enumerate(models)]


def _system(name: str, model: Any) -> System:
    if isinstance(model, ImplicitModel):
        return model._system
    return affine_of(name, model) if is_array(model) else check_model(name, model)._system
