"""States that predictions do without: constants, states that no output depends on, and states equal to another.

Equal states are found as a finite automaton is made minimal (Moore, Gedanken-experiments on sequential machines, 1956)
or a Markov chain lumped. Begin with states of the same function, row of B and entry of b in one class. Split classes
until the entries of A from a state to each class have the same sum for all states of a class. The equilibrium that
gives each class one value then solves the model's equation, and there is only one equilibrium. This is the coarsest
such partition: two copies of a model become one even if their states are in cycles. Sums are of floating-point numbers,
and have to be the same number.

One removal may make way for another, as columns of merged states may add up to zero: all is repeated until nothing
goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order

from bcd_implicit.model.algebra import System
from bcd_implicit.model.matrices import Matrix, dense, used_columns
from bcd_implicit.model.structure import Structure
from bcd_implicit.model.sweep import solve_states


@dataclass
class Fates:
    """What became of each of n states.

    Attributes
    ----------
    constant, dead : ndarray of bool, shape (n,)
        Which states were added to b and d, and which were dropped because no output depends on them.
    kept_as : ndarray of int, shape (n,)
        The state, by its old place, that has the value of each; its own where a state stays, -1 where it went.
    """

    constant: np.ndarray
    dead: np.ndarray
    kept_as: np.ndarray

    @classmethod
    def untouched(cls, n: int) -> Fates:
        """Nothing has become of n states yet."""
        return cls(np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.arange(n))

    @property
    def kept(self) -> np.ndarray:
        """The places of states that stay."""
        return np.flatnonzero(self.kept_as == np.arange(len(self.kept_as)))

    def mark(self, fate: np.ndarray, going: np.ndarray) -> None:
        """Note that of the states that were left these (mask) go, and with them those that became one of them."""
        members = np.isin(self.kept_as, self.kept[going])
        fate[members] = True
        self.kept_as[members] = -1

    def merge(self, heads: np.ndarray) -> None:
        """Note that each of the states that were left becomes another of these, or stays itself."""
        kept, standing = self.kept, self.kept_as >= 0
        self.kept_as[standing] = kept[heads[np.searchsorted(kept, self.kept_as[standing])]]


def pruned(system: System) -> tuple[System, Fates]:
    """The system without the states that it can do without, and what became of all."""
    fates = Fates.untouched(system.n_states)
    n_before = -1
    while n_before != system.n_states:
        n_before = system.n_states
        for step in (_without_constants, _without_dead, _without_twins):
            if system.n_states:
                system = step(system, fates)
    return system, fates


def _without_constants(system: System, fates: Fates) -> System:
    """Add states to b and d that no input and no cycle drives."""
    driven = np.diff(sp.csr_array(system.B).indptr) > 0
    for cycle in Structure(system.A, system.function).cycles:
        driven[cycle] = True
    constant = ~_reached(sp.csr_array(system.A.T), driven)
    if not constant.any():
        return system
    inner = system.function.take(np.flatnonzero(constant))
    structure = Structure(system.A[constant][:, constant], inner)
    values = solve_states(structure, np.zeros((0, 1)), system.b[constant]).X[:, 0]
    fates.mark(fates.constant, constant)
    b, d = system.b + system.A[:, constant] @ values, system.d + system.C[:, constant] @ values
    return replace(system, b=b, d=d).with_states(np.flatnonzero(~constant))


def _without_dead(system: System, fates: Fates) -> System:
    """Drop states that no output depends on."""
    dead = ~_reached(sp.csr_array(system.A), used_columns(system.C))
    fates.mark(fates.dead, dead)
    return system.with_states(np.flatnonzero(~dead))


def _reached(graph: sp.csr_array, starts: np.ndarray) -> np.ndarray:
    """Which nodes (mask) can be reached from one of these, which are among them; an entry at i, j leads from i to j."""
    n = len(starts)
    reached = np.zeros(n + 1, dtype=bool)
    # One more node, which leads to all starts.
    whole = sp.block_array([[graph, None], [sp.csr_array(starts[None, :].astype(float)), sp.csr_array((1, 1))]])
    reached[breadth_first_order(sp.csr_array(whole), n, return_predecessors=False)] = True
    return reached[:n]


def _without_twins(system: System, fates: Fates) -> System:
    """Make one state of those that are equal for all inputs: the first of each class, whose columns are summed."""
    classes, n = equal_states(system), system.n_states
    first = np.full(n, n)
    np.minimum.at(first, classes, np.arange(n))
    # For each state the one that it becomes.
    head = first[classes]
    heads = np.unique(head)
    fates.merge(head)
    summing = sp.csr_array((np.ones(n), (np.arange(n), head)), shape=(n, n))
    merged = replace(system, A=_columns_summed(system.A, summing), C=_columns_summed(system.C, summing))
    return merged.with_states(heads)


def equal_states(system: System) -> np.ndarray:
    """The class of each state, shape (n,): states of one class are equal for all inputs."""
    A, n = sp.csr_array(system.A), system.n_states
    functions: dict[int, int] = {}
    kinds = [functions.setdefault(id(function), len(functions)) for function, k in system.blocks for _ in range(k)]
    # -0.0 is 0.0.
    keys = [(kind, float(b) + 0.0) for kind, b in zip(kinds, system.b, strict=True)]
    classes = _split(np.zeros(n, dtype=int), np.arange(n), keys, sp.csr_array(system.B))
    while True:
        # A class of one cannot be split: only the others' rows are looked at.
        shared = np.flatnonzero(np.bincount(classes)[classes] > 1)
        finer = _split(classes, shared, [()] * len(shared), _class_sums(A[shared], classes))
        if np.array_equal(finer, classes):
            return classes
        classes = finer


def _split(classes: np.ndarray, states: np.ndarray, keys: list[tuple], rows: sp.csr_array) -> np.ndarray:
    """Classes in which these states stay together if they were, and their keys and rows are equal."""
    finer, numbers, met = classes.copy(), {}, set()
    n_classes = int(classes.max()) + 1
    rows.sort_indices()
    for place, (state, key) in enumerate(zip(states, keys, strict=True)):
        entries, old = slice(rows.indptr[place], rows.indptr[place + 1]), int(classes[state])
        whole = (old, key, rows.indices[entries].tobytes(), rows.data[entries].tobytes())
        if whole not in numbers:
            # The first part of a class keeps its number.
            numbers[whole] = n_classes if old in met else old
            n_classes += old in met
            met.add(old)
        finer[state] = numbers[whole]
    return finer


def _class_sums(rows: sp.csr_array, classes: np.ndarray) -> sp.csr_array:
    """Sums of entries by row and class of their column; added by size, they do not depend on the states' order."""
    owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    target = classes[rows.indices]
    order = np.lexsort((rows.data, target, owner))
    owner, target, data = owner[order], target[order], rows.data[order]
    begins = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(target, prepend=-1) != 0))
    sums = np.add.reduceat(data, begins) if len(begins) else data
    found = sp.csr_array((sums, (owner[begins], target[begins])), shape=(rows.shape[0], int(classes.max()) + 1))
    found.eliminate_zeros()
    return found


def _columns_summed(matrix: Matrix, summing: sp.csr_array) -> Matrix:
    found = sp.csr_array(matrix) @ summing
    found.eliminate_zeros()
    return found if sp.issparse(matrix) else dense(found)
