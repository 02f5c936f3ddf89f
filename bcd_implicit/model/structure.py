"""The graph of a model's states: components, in which states depend on each other in circles, and stages.

State i depends on state j where A_ij is not zero. Strongly connected components of that graph, in an order in which
each depends on earlier ones alone, make A block triangular. x = phi(Ax + c) can then be solved component by component:
it has one solution for every c if each component with a cycle has, while on the others phi may be any function. A
cycle's component K is well-posed if phi is Lipschitz on it and the spectral radius of ``L |A_KK|`` is below 1, L the
diagonal matrix of Lipschitz constants (El Ghaoui et al., arXiv 1908.06315, theorem 2.2 and section 2.3), or by its
matrix measure (:mod:`~bcd_implicit.model.well_posedness`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from bcd_implicit.model import well_posedness
from bcd_implicit.model.matrices import Matrix, SharedColumns, dense, n_nonzero, scaled, used_columns
from bcd_implicit.model.origin import Part, called
from bcd_implicit.model.verdict import Verdict
from bcd_implicit.support.checks import check_places
from bcd_implicit.support.display import facts_table, listed
from bcd_implicit.terms.function import ElementwiseFunction

# Components of one level are solved side by side up to so many states: each alone would cost the calls of a solve, and
# all at once the square of their number.
SIDE_BY_SIDE = 32
# From this share of entries on a dense product takes less time than a sparse one: per entry it is four times as fast.
MOSTLY_FULL = 0.3
States = np.ndarray | slice


@dataclass(frozen=True)
class Incoming:
    """What the states of a stage get from others, or from inputs: rows of A or B, of the columns that are not zero.

    Attributes
    ----------
    rows : ndarray of shape (k, width) or sparse
    columns : slice
        Of A or B. Columns between the first and the last that is not zero are there too.
    """

    rows: Matrix
    columns: slice

    def times(self, X: np.ndarray) -> np.ndarray:
        """These rows of AX."""
        return np.asarray(self._factor @ X[self.columns])

    @cached_property
    def _factor(self) -> Matrix:
        """The rows in the form that is multiplied soonest."""
        if not sp.issparse(self.rows):
            return self.rows
        blocks = SharedColumns(self.rows)
        return blocks if blocks.pays else self.rows

    def sizes_times(self, X: np.ndarray) -> np.ndarray:
        """The same with ``|A|``."""
        return np.asarray(np.abs(self.rows) @ X[self.columns])

    @property
    def n_terms(self) -> int:
        """The most terms that a row sums."""
        return int(np.diff(self.rows.indptr).max()) if sp.issparse(self.rows) else self.rows.shape[1]


@dataclass(frozen=True)
class Cycle:
    """What the states of a stage get from each other.

    Attributes
    ----------
    A : ndarray of shape (k, k)
        Between these states, dense.
    gains : ndarray of shape (k, k)
        G, as in :meth:`Structure.gains`.
    """

    A: np.ndarray
    gains: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """``|A|``, with the negative entries of the diagonal that G has."""
        return np.where(self.gains < 0, self.A, np.abs(self.A))

    @cached_property
    def weights(self) -> np.ndarray:
        """Positive v with ``G v < v``, ones where these will do.

        Raises
        ------
        NotWellPosedError
            There is none, or it would span more than 40 powers of ten.
        """
        return well_posedness.weights(self.gains)


@dataclass(frozen=True)
class Stage:
    """States that depend on those of earlier stages and on inputs, and, if it is cyclic, on each other.

    Attributes
    ----------
    states : ndarray of int, or slice
        Their places; a slice where they are neighbours.
    function : ElementwiseFunction
        Theirs.
    before : Incoming or None
        From the states of earlier stages; None where nothing comes before.
    inputs : Incoming or None
        From the inputs; None where no input acts on these states directly.
    cycle : Cycle or None
        None where no state of the stage depends on another one of it.
    """

    states: States
    function: ElementwiseFunction
    before: Incoming | None
    inputs: Incoming | None
    cycle: Cycle | None = None

    def drive(self, X: np.ndarray, U: np.ndarray, b: np.ndarray) -> np.ndarray:
        """These rows of AX + BU + b, without what the states of a cycle get from each other: shape (k, m)."""
        given = [part.times(values) for part, values in ((self.before, X), (self.inputs, U)) if part is not None]
        if not given:
            return np.repeat(b[self.states, None], U.shape[1], axis=1)
        # The products are new arrays: the rest goes into the first.
        total = given[0]
        for other in given[1:]:
            total += other
        total += b[self.states, None]
        return total

    def drive_sizes(self, X: np.ndarray, U: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The sums of the absolute values of the terms that :meth:`drive` sums, from ``|X|``, ``|U|`` and ``|b|``."""
        sizes = np.repeat(b[self.states, None], U.shape[1], axis=1)
        for part, values in ((self.before, X), (self.inputs, U)):
            if part is not None:
                sizes += part.sizes_times(values)
        return sizes

    @property
    def n_terms(self) -> int:
        """The most terms that an entry of :meth:`drive` sums."""
        return 1 + sum(part.n_terms for part in (self.before, self.inputs) if part is not None)


class Staged(Protocol):
    """What has stages, in which states and their adjoints can be found."""

    @property
    def stages(self) -> list[Stage]: ...


class OneCycle:
    """All states as one component with a cycle: right for every well-posed A, and found without its graph.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    function : ElementwiseFunction
    """

    def __init__(self, A: np.ndarray, function: ElementwiseFunction) -> None:
        gains = well_posedness.gains_for_bounds(A, function)
        self.stages = [Stage(slice(None), function, None, None, Cycle(A, gains))]


class Structure(Verdict):
    """What depends on what in a model, and why it is well-posed.

    Parameters
    ----------
    A : ndarray or sparse array of shape (n, n)
    function : ElementwiseFunction
        Of the states.
    B : ndarray or sparse array of shape (n, p), optional
        What the states get from inputs; nothing if absent.
    parts : sequence of Part
        The models that it was put together from, if it was.

    Attributes
    ----------
    n_states : int
    density : float
        The share of entries of A that are not zero.
    component : ndarray of shape (n,)
        The number of each state's strongly connected component; each depends on components with smaller numbers alone.
    level : ndarray of shape (n,)
        The stage of each state, counted from 0: the longest chain of components that lead to it.
    cycles : list of ndarray of int
        The states of each component with a cycle.
    parts : dict of str to ndarray of int
        The states that came from each model which it was put together from, by the name or number that
        ``reason`` calls it.
    """

    def __init__(
        self, A: Matrix, function: ElementwiseFunction, B: Matrix | None = None, *, parts: Sequence[Part] = ()
    ) -> None:
        self._A, self._B, self._function, self._parts = A, B, function, parts
        self._slopes = function.slopes(A.shape[0])
        self.parts = dict(zip(called(parts), (part.states for part in parts), strict=True))
        self.n_states = A.shape[0]
        self.density = n_nonzero(A) / self.n_states**2
        graph = sp.csr_array(A != 0)
        _, labels = connected_components(graph, directed=True, connection="strong")
        self.component, depths = _ordered(graph, labels)
        self.level = depths[self.component]
        sizes = np.bincount(self.component)
        cyclic = sizes > 1
        cyclic[self.component[graph.diagonal()]] = True
        self._in_cycle = cyclic[self.component]
        self.cycles = _grouped(np.flatnonzero(self._in_cycle), self.component)

    @property
    def depth(self) -> int:
        """The number of stages: layers, where there is no cycle."""
        return int(self.level.max()) + 1

    @property
    def acyclic(self) -> bool:
        """Whether no state depends on itself: one sweep then solves for all states, whatever the functions."""
        return not self.cycles

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages in their order; at one level first the states without a cycle, then those with one."""
        groups = _grouped(np.flatnonzero(~self._in_cycle), self.level) + self._side_by_side()
        return [self._stage(states) for states in sorted(groups, key=lambda states: int(self.level[states[0]]))]

    def _side_by_side(self) -> list[np.ndarray]:
        """The components with a cycle, as many of a level together as have :data:`SIDE_BY_SIDE` states at most."""
        groups: list[np.ndarray] = []
        group: list[np.ndarray] = []
        for states in self.cycles:
            full = sum(map(len, group)) + len(states) > SIDE_BY_SIDE
            if group and (full or self.level[states[0]] != self.level[group[0][0]]):
                groups.append(np.concatenate(group))
                group = []
            group.append(states)
        return [*groups, np.concatenate(group)] if group else groups

    def _stage(self, states: np.ndarray) -> Stage:
        states = np.sort(states)
        neighbours = states[-1] - states[0] + 1 == len(states)
        place: States = slice(int(states[0]), int(states[-1]) + 1) if neighbours else states
        rows, function = self._A[place], self._function.take(place)
        inputs = None if self._B is None else _incoming(self._B[place])
        if not self._in_cycle[states[0]]:
            return Stage(place, function, _incoming(rows), inputs)
        cycle = Cycle(dense(rows[:, place]), self.gains(states))
        outside = np.ones(self.n_states)
        outside[states] = 0.0
        return Stage(place, function, _incoming(scaled(rows, columns=outside)), inputs, cycle)

    # Well-posedness -------------------------------------------------------------------------------------------

    @cached_property
    def radii(self) -> np.ndarray:
        """For each cycle's component the Perron-Frobenius root of its :meth:`gains`.

        Mostly that is the spectral radius of ``L |A_KK|``; it is ``inf`` where phi is not Lipschitz.
        """
        return np.array([_radius(gains) for gains in self._cycles_gains])

    @cached_property
    def _cycles_gains(self) -> list[np.ndarray]:
        return [self.gains(states) for states in self.cycles]

    def gains(self, states: States = slice(None)) -> np.ndarray:
        """G between these states, by which they are judged; ``inf`` where phi is not Lipschitz.

        ``L |A|``, and where that proves nothing with L A_ii on the diagonal, if it is negative and phi never falls.

        Raises
        ------
        InvalidInputError
            No states of the model: numbers from 0 on, each once, or a mask.
        """
        states = check_places("states", states, self.n_states)
        return well_posedness.comparison(dense(self._A[states][:, states]), self._function.take(states))

    @property
    def held_back(self) -> np.ndarray:
        """The states with a negative entry on the diagonal of :meth:`gains`: bool, shape (n,)."""
        held = np.zeros(self.n_states, dtype=bool)
        for states, gains in zip(self.cycles, self._cycles_gains, strict=True):
            held[states] = np.diagonal(gains) < 0
        return held

    @cached_property
    def _by_norm(self) -> bool:
        """Whether row sums prove it."""
        return all(map(well_posedness.norm_is_below_one, self._cycles_gains))

    def is_well_posed(self) -> bool:
        """Whether every input has one equilibrium, by the test of each component with a cycle, and not by rounding."""
        # The norm first: it is cheap and mostly decides.
        return self._by_norm or all(map(well_posedness.radius_is_below_one, self._cycles_gains, self.radii.tolist()))

    def _alone(self, part: Part) -> bool:
        """Whether a part is well-posed by itself."""
        return Structure(part.A, part.function).is_well_posed()

    def weights(self, states: States = slice(None)) -> np.ndarray:
        """Positive v with ``G v < v`` for these states, which anyone can check; ones where these will do.

        Raises
        ------
        NotWellPosedError
            There is none, or it would span more than 40 powers of ten.
        InvalidInputError
            No states of the model: numbers from 0 on, each once, or a mask.
        """
        gains = self.gains(states)
        self.check()
        return well_posedness.weights(gains)

    def __repr__(self) -> str:
        cycles = f", cycles={len(self.cycles)}" if self.cycles else ""
        return f"Structure(n_states={self.n_states}, depth={self.depth}, density={self.density:.3g}{cycles})"

    def _repr_html_(self) -> str:
        sizes = np.bincount(self.level)
        told = ", ".join(map(str, sizes[:12])) + (", ..." if len(sizes) > 12 else "")
        facts = {
            "states": f"{self.n_states}",
            "density of A": f"{self.density:.3g}",
            "stages": f"{self.depth}, of {told} states",
            "components with a cycle": f"{len(self.cycles)}",
            "verdict": self.reason,
        }
        if self.parts:
            facts["put together from"] = listed([f"{name} ({len(states)})" for name, states in self.parts.items()])
        return facts_table("Structure", facts)


def _radius(gains: np.ndarray) -> float:
    return well_posedness.spectral_radius(gains) if np.isfinite(gains).all() else np.inf


def _incoming(rows: Matrix) -> Incoming | None:
    used = np.flatnonzero(used_columns(rows))
    if not used.size:
        return None
    columns = slice(int(used[0]), int(used[-1]) + 1)
    part = rows[:, columns]
    full = part.shape[0] * part.shape[1]
    return Incoming(dense(part) if n_nonzero(part) > MOSTLY_FULL * full else part, columns)


def _grouped(states: np.ndarray, keys: np.ndarray) -> list[np.ndarray]:
    """These states, cut by their keys and in the order of these."""
    if not states.size:
        return []
    states = states[np.argsort(keys[states], kind="stable")]
    return np.split(states, np.flatnonzero(np.diff(keys[states])) + 1)


def _ordered(graph: sp.csr_array, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components numbered so that each depends on smaller numbers alone, by state, and the level of each component.

    graph has an entry at i, j where i depends on j.
    """
    n_components = int(labels.max()) + 1
    rows, columns = graph.nonzero()
    heads, tails = labels[rows], labels[columns]
    between = heads != tails
    # Column j: what depends on j. Entries at the same place are one.
    ones = np.ones(int(between.sum()))
    dependants = sp.csc_array((ones, (heads[between], tails[between])), shape=(n_components, n_components))
    dependants.sum_duplicates()
    waits = np.bincount(dependants.indices, minlength=n_components)
    level = np.zeros(n_components, dtype=int)
    ready, depth = np.flatnonzero(waits == 0), 0
    while ready.size:
        level[ready] = depth
        freed = dependants[:, ready].indices
        np.subtract.at(waits, freed, 1)
        freed = np.unique(freed)
        ready, depth = freed[waits[freed] == 0], depth + 1
    order = np.argsort(level, kind="stable")
    number = np.empty(n_components, dtype=int)
    number[order] = np.arange(n_components)
    return number[labels], level[order]
