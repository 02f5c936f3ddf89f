"""The output block under a pattern: outputs whose rows of C and D have the same free entries belong together."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.pattern import Pattern
from bcd_implicit.problem.training_problem import TrainingProblem


@dataclass(frozen=True, eq=False)
class OutputPart:
    """Some outputs, and what their rows of C and D may use: an output block in which all entries are free.

    Attributes
    ----------
    outputs : ndarray of int
    used : ndarray of bool, shape (n + p,)
        The free entries of their rows of (C | D).
    states, inputs : ndarray of int
        What the part's problem keeps. If no state is free that is one, which is zero there.
    problem : TrainingProblem
        Good for its output block alone.
    it : Iterate
    """

    outputs: np.ndarray
    used: np.ndarray
    states: np.ndarray
    inputs: np.ndarray
    problem: TrainingProblem
    it: Iterate


def output_masks(problem: TrainingProblem) -> np.ndarray | None:
    """The free entries of what the output block solves for, (C | D) or C alone; None where all are free."""
    shapes, pattern = problem.shapes, problem.pattern
    letters = "CD" if problem.D_is_output else "C"
    if not any(letter in pattern.free for letter in letters):
        return None
    return np.hstack([pattern.entries(letter, shapes[letter]) for letter in letters])


def splits(problem: TrainingProblem) -> bool:
    """Whether the output block is a sum over outputs with equal masks: not where a loss couples others."""
    masks = output_masks(problem)
    return masks is None or problem.loss.separable or bool((masks == masks[0]).all())


def output_parts(problem: TrainingProblem, it: Iterate) -> list[OutputPart]:
    """The parts; none where all entries are free, and the block is to be taken as it is."""
    masks = output_masks(problem)
    if masks is None:
        return []
    rows, which = np.unique(masks, axis=0, return_inverse=True)
    return [_part(problem, it, np.flatnonzero(which.ravel() == g), row) for g, row in enumerate(rows)]


def _part(problem: TrainingProblem, it: Iterate, outputs: np.ndarray, used: np.ndarray) -> OutputPart:
    n = problem.n_hidden
    # A block without states would need cases of its own everywhere: one that is zero has the coefficient zero.
    states = np.flatnonzero(used[:n]) if used[:n].any() else np.zeros(1, dtype=int)
    inputs = np.flatnonzero(used[n:]) if problem.D_is_output else np.arange(problem.n_inputs)
    part = copy.copy(problem)
    part.Y, part.loss, part.U = problem.Y[outputs], problem.loss.of_outputs(outputs), problem.U[inputs]
    part.n_hidden, part.pattern = len(states), Pattern({})
    part.pass_through = problem.pass_through and len(inputs) > 0
    smaller = Iterate(
        A=it.A[np.ix_(states, states)],
        B=it.B[np.ix_(states, inputs)],
        b=it.b[states],
        C=it.C[np.ix_(outputs, states)] * used[states],
        D=it.D[np.ix_(outputs, inputs)],
        d=it.d[outputs],
        X=it.X[states] * used[states][:, None],
    )
    return OutputPart(outputs, used, states, inputs, part, smaller)


def together(it: Iterate, parts: Sequence[OutputPart], solved: Sequence[Iterate]) -> Iterate:
    """The iterate with C, D and d from those of its parts."""
    C, d = np.zeros_like(it.C), it.d.copy()
    D = it.D.copy() if parts[0].problem.stacked else np.zeros_like(it.D)
    for part, point in zip(parts, solved, strict=True):
        C[np.ix_(part.outputs, part.states)] = point.C * part.used[part.states]
        if part.problem.D_is_output:
            D[np.ix_(part.outputs, part.inputs)] = point.D
        d[part.outputs] = point.d
    return it.replace(C=C, D=D, d=d)
