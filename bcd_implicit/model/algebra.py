"""How models are put together: A, B, b, C, D and d of the whole from those of its parts.

The formulas follow from putting y = Cx + Du + d in the place of an input (El Ghaoui et al., arXiv 1908.06315,
section 3). No equilibrium is solved for. If parts feed each other in one direction only, every component with a
cycle of the whole is one of a part: the whole is well-posed if and only if all parts are. Only a feedback makes new
cycles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import scipy.sparse as sp

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.matrices import LARGE, Matrix, assembled, dense, n_nonzero, plus, scaled, times
from bcd_implicit.model.names import Names, places, side_by_side
from bcd_implicit.model.origin import Part
from bcd_implicit.terms.block_activation import BlockActivation
from bcd_implicit.terms.function import ElementwiseFunction
from bcd_implicit.terms.functions import get_function, state_function

# I - DK that is nearer to a singular matrix, relative to its size, is refused: less than three digits would be left.
NEAR_SINGULAR = 1e-13


@dataclass(frozen=True)
class System:
    """The parts of a model: x = phi(Ax + Bu + b), y = Cx + Du + d. Other than a model it may have no states.

    Attributes
    ----------
    A, B, C, D : ndarray or sparse array of shapes (n, n), (n, p), (q, n), (q, p)
    b, d : ndarray of shapes (n,), (q,)
    blocks : list of (ElementwiseFunction, int)
        The functions of the states and how many of these have them, in order.
    link : str
    input_names, output_names : list of str or None
        None for variables that are only numbered.
    parts : tuple of Part
        What the states came from, in the order in which data pass through it; empty for a model by itself.
    vector_output : bool
        Whether predictions of the one output are a vector.
    """

    A: Matrix
    B: Matrix
    b: np.ndarray
    C: Matrix
    D: Matrix
    d: np.ndarray
    blocks: list[tuple[ElementwiseFunction, int]]
    link: str = "identity"
    input_names: Names = None
    output_names: Names = None
    parts: tuple[Part, ...] = ()
    vector_output: bool = False

    def as_part(self, name: str | None = None) -> System:
        """The same as a single part, whatever it was put together from."""
        if not self.n_states:
            return self
        return replace(self, parts=(Part(np.arange(self.n_states), self.A, self.function, name),))

    @property
    def n_states(self) -> int:
        """The number n of states."""
        return int(self.A.shape[0])

    @property
    def inputs(self) -> tuple[int, Names]:
        """How many there are, and their names."""
        return int(self.D.shape[1]), self.input_names

    @property
    def outputs(self) -> tuple[int, Names]:
        """How many there are, and their names."""
        return int(self.D.shape[0]), self.output_names

    @property
    def function(self) -> ElementwiseFunction:
        """The function of all states."""
        return state_function(self.blocks, self.n_states)

    def with_states(self, states: np.ndarray) -> System:
        """The same with these states alone, of which there may be none; it is no longer what its parts were."""
        blocks = blocks_of(self.function.take(states), len(states)) if len(states) else []
        A, C = self.A[states][:, states], self.C[:, states]
        if not len(states):
            A, C = np.zeros(A.shape), np.zeros(C.shape)
        return replace(self, A=A, B=self.B[states], b=self.b[states], C=C, blocks=blocks, parts=())

    def with_inputs(self, order: list[int] | None) -> System:
        """The same with inputs in this order."""
        return self if order is None else replace(self, B=self.B[:, order], D=self.D[:, order])

    def with_outputs(self, order: list[int] | None) -> System:
        """The same with these outputs in this order."""
        return self if order is None else replace(self, C=self.C[order], D=self.D[order], d=self.d[order])


def blocks_of(function: ElementwiseFunction, n: int) -> list[tuple[ElementwiseFunction, int]]:
    """The functions of n states with their numbers of states."""
    return list(function.blocks) if isinstance(function, BlockActivation) else [(function, n)]


def affine(M: Matrix, c: np.ndarray) -> System:
    """The system y = M u + c, without states."""
    q, p = M.shape
    return System(np.zeros((0, 0)), np.zeros((0, p)), np.zeros(0), np.zeros((q, 0)), M, c, [])


def cascade(first: System, second: System) -> System:
    """The second after the first, on the first's predictions as they are, whatever their link.

    With the state (x2, x1): ``A = [A2 B2C1; 0 A1], B = [B2D1; B1], b = (B2d1 + b2, b1)``, ``C = [C2 D2C1]``,
    ``D = D2D1``, ``d = D2d1 + d2``.
    """
    order = places(second.inputs, first.outputs, ("the model that comes after takes", "the one before gives"), "inputs")
    first = first.with_outputs(order)
    return System(
        assembled([[second.A, times(second.B, first.C)], [None, first.A]]),
        assembled([[times(second.B, first.D)], [first.B]]),
        np.concatenate([second.B @ first.d + second.b, first.b]),
        assembled([[second.C, times(second.D, first.C)]]),
        times(second.D, first.D),
        second.D @ first.d + second.d,
        second.blocks + first.blocks,
        second.link,
        first.input_names,
        second.output_names,
        _parts_behind([second.n_states, 0], [first, second]),
        second.vector_output,
    )


def stack(parts: Sequence[System]) -> System:
    """All on the same inputs, their outputs side by side."""
    parts = _on_the_same_inputs(parts)
    return replace(
        _together(parts),
        B=assembled([[part.B] for part in parts]),
        C=_diagonal([part.C for part in parts]),
        D=assembled([[part.D] for part in parts]),
        d=np.concatenate([part.d for part in parts]),
        link=_common_link(parts, side_by_side=True),
        input_names=_first_names(part.input_names for part in parts),
        output_names=side_by_side([part.outputs for part in parts], "y"),
        vector_output=len(parts) == 1 and parts[0].vector_output,
    )


def parallel(parts: Sequence[System]) -> System:
    """Each on its own inputs, inputs and outputs side by side: all matrices are block diagonal."""
    return replace(
        _together(parts),
        B=_diagonal([part.B for part in parts]),
        C=_diagonal([part.C for part in parts]),
        D=_diagonal([part.D for part in parts]),
        d=np.concatenate([part.d for part in parts]),
        link=_common_link(parts, side_by_side=True),
        input_names=side_by_side([part.inputs for part in parts], "u"),
        output_names=side_by_side([part.outputs for part in parts], "y"),
        vector_output=len(parts) == 1 and parts[0].vector_output,
    )


def total(parts: Sequence[System]) -> System:
    """The sum of outputs, all on the same inputs."""
    parts = _with_the_same_outputs(_on_the_same_inputs(parts))
    return replace(
        _together(parts),
        B=assembled([[part.B] for part in parts]),
        C=assembled([[part.C for part in parts]]),
        D=reduce(plus, (part.D for part in parts)),
        d=np.sum([part.d for part in parts], axis=0),
        link=_common_link(parts, side_by_side=False),
        input_names=_first_names(part.input_names for part in parts),
        output_names=_first_names(part.output_names for part in parts),
        vector_output=all(part.vector_output for part in parts),
    )


def product(one: System, other: System) -> System:
    """The products y1 y2 = ((y1 + y2)^2 - (y1 - y2)^2) / 4 of outputs, on the same inputs, by two squares for each."""
    numbers = [replace(part, link="identity") for part in _with_the_same_outputs([one, other])]
    q = one.d.size
    n, large = 2 * q, q**2 > LARGE
    eye, empty = (sp.eye_array(q, format="csr"), sp.csr_array) if large else (np.eye(q), np.zeros)
    squares = System(
        A=empty((n, n)),
        B=assembled([[eye, eye], [eye, -eye]]),
        b=np.zeros(n),
        C=assembled([[eye / 4, -eye / 4]]),
        D=empty((q, n)),
        d=np.zeros(q),
        blocks=[(get_function("square"), n)],
    )
    both = replace(stack(numbers), output_names=None)
    return replace(
        cascade(both, squares.as_part("the product")),
        output_names=_first_names(part.output_names for part in numbers),
        vector_output=all(part.vector_output for part in numbers),
    )


def feedback(part: System, K: Matrix) -> System:
    """The model on u = w + Ky, w its new input.

    y = R(Cx + Dw + d) with R = (I - DK)^-1, so that ``A + BKRC, B + BKRD, b + BKRd, RC, RD, Rd`` are the whole's.

    Raises
    ------
    InvalidInputError
        K of another shape than (p, q), or I - DK singular.
    """
    loop = times(part.D, K)
    C, D, d = part.C, part.D, part.d
    if n_nonzero(loop):
        R = _inverse(dense(loop))
        C, D, d = times(R, C), times(R, D), R @ d
    into = times(part.B, K)
    return replace(
        part,
        A=plus(part.A, times(into, C)),
        B=plus(part.B, times(into, D)),
        b=part.b + into @ d,
        C=C,
        D=D,
        d=d,
    )


def feedback_through(part: System, other: System) -> System:
    """The model on u = w + v, where v are the other's predictions from its own: a feedback around both."""
    (p, _), (q, _) = part.inputs, part.outputs
    both = parallel([replace(part, link="identity", input_names=None, output_names=None), returned(part, other)])
    closed = feedback(both, assembled([[np.zeros((p, q)), np.eye(p)], [np.eye(q), np.zeros((q, p))]]))
    return replace(
        closed,
        B=closed.B[:, :p],
        C=closed.C[:q],
        D=closed.D[:q, :p],
        d=closed.d[:q],
        link=part.link,
        input_names=part.input_names,
        output_names=part.output_names,
        vector_output=part.vector_output,
    )


def returned(part: System, other: System) -> System:
    """The other one as it stands in a feedback: from all outputs of the part to all its inputs, in their order."""
    to_other = places(other.inputs, part.outputs, ("the model that feeds back takes", "the other one gives"), "inputs")
    to_part = places(part.inputs, other.outputs, ("the model with feedback takes", "the other one gives"), "inputs")
    other = replace(other.with_outputs(to_part), link="identity", input_names=None, output_names=None)
    if to_other is None:
        return other
    picked = np.eye(part.outputs[0])[to_other]
    return replace(other, B=times(other.B, picked), D=times(other.D, picked))


def multiplied(part: System, factors: np.ndarray) -> System:
    """Each output times a number."""
    return replace(part, C=scaled(part.C, rows=factors), D=scaled(part.D, rows=factors), d=part.d * factors)


def _inverse(loop: np.ndarray) -> np.ndarray:
    """(I - DK)^-1, from the loop DK."""
    q = len(loop)
    system = np.eye(q) - loop
    values = np.linalg.svd(system, compute_uv=False)
    size = 1 + np.linalg.norm(loop, 2)
    if values[-1] <= NEAR_SINGULAR * size:
        cause = f"makes I - DK singular (its least singular value is {values[-1]:.1e}), so that y = Cx + DKy has no "
        raise InvalidInputError("K", f"{cause}single solution", "Choose another K")
    inverse = np.linalg.inv(system)
    # Rounding may leave tiny entries where no output leads to another. They would make cycles that are not there.
    leads = np.eye(q, dtype=bool) | (loop != 0)
    for _ in range(q.bit_length()):
        leads = (leads.astype(float) @ leads) > 0
    return np.where(leads, inverse, 0.0)


def _together(parts: Sequence[System]) -> System:
    """The states of all, side by side."""
    first = parts[0]
    return replace(
        first,
        A=_diagonal([part.A for part in parts]),
        b=np.concatenate([part.b for part in parts]),
        blocks=[block for part in parts for block in part.blocks],
        parts=_parts_behind(np.cumsum([0, *(part.n_states for part in parts[:-1])]), parts),
    )


def _parts_behind(n_states: Iterable[int], systems: Sequence[System]) -> tuple[Part, ...]:
    """The parts of all systems, in their order, each behind so many states of others."""
    return tuple(part.behind(int(k)) for k, system in zip(n_states, systems, strict=True) for part in system.parts)


def _diagonal(blocks: Sequence[Matrix]) -> Matrix:
    k = len(blocks)
    return assembled([[blocks[i] if i == j else None for j in range(k)] for i in range(k)])


def _on_the_same_inputs(parts: Sequence[System]) -> list[System]:
    """Inputs in the order of the first that has names of its own; each has to have the same."""
    lead = next((part for part in parts if part.input_names is not None), parts[0])
    return [part.with_inputs(_order(part.inputs, lead.inputs, "inputs")) for part in parts]


def _with_the_same_outputs(parts: Sequence[System]) -> list[System]:
    lead = next((part for part in parts if part.output_names is not None), parts[0])
    return [part.with_outputs(_order(part.outputs, lead.outputs, "outputs")) for part in parts]


def _order(given: tuple[int, Names], wanted: tuple[int, Names], what: str) -> list[int] | None:
    places(given, wanted, ("one has", "another has"), what)  # none too many
    return places(wanted, given, ("one has", "another has"), what)


def _first_names(names: Iterable[Names]) -> Names:
    return next((some for some in names if some is not None), None)


def _common_link(parts: Sequence[System], *, side_by_side: bool) -> str:
    links = {part.link for part in parts}
    if len(links) > 1:
        cause = f"have predictions on different scales ({', '.join(sorted(links))})"
        raise InvalidInputError("models", cause, 'Say which one holds for all: bi.compose.labelled(f, link="identity")')
    if side_by_side and links == {"softmax"} and len(parts) > 1:
        cause = "have predictions on the softmax scale, which side by side would be treated as one choice, not several"
        remedy = 'Take them as numbers: bi.compose.labelled(f, link="identity")'
        raise InvalidInputError("models", cause, remedy)
    return links.pop()
