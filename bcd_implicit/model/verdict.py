"""What the structure of a model says of its being well-posed: why, or which states it fails on and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bcd_implicit.errors import NotWellPosedError
from bcd_implicit.model.matrices import Matrix, dense
from bcd_implicit.model.origin import Part, blamed, shares
from bcd_implicit.model.rounding import near_one
from bcd_implicit.model.well_posedness import norm_is_below_one, not_below_one, root_name, signed, spectral_radius
from bcd_implicit.terms.function import ElementwiseFunction

# At most this many states of a component are named.
NAMED = 6


class Verdict:
    """The words of a :class:`~bcd_implicit.model.structure.Structure`, which finds what they tell."""

    if TYPE_CHECKING:
        n_states: int
        cycles: list[np.ndarray]
        _A: Matrix
        _function: ElementwiseFunction
        _slopes: np.ndarray
        _parts: Sequence[Part]

        @property
        def acyclic(self) -> bool: ...

        @property
        def radii(self) -> np.ndarray: ...

        @property
        def held_back(self) -> np.ndarray: ...

        @property
        def _cycles_gains(self) -> list[np.ndarray]: ...

        def is_well_posed(self) -> bool: ...

        def _alone(self, part: Part) -> bool: ...

    @property
    def reason(self) -> str:
        """Why the model is well-posed, or why it need not be, in a sentence."""
        return f"{'' if self.is_well_posed() else 'not known to be '}well-posed: {self.why}"

    @property
    def why(self) -> str:
        """What ``reason`` says after the verdict."""
        if self.acyclic:
            return "no state depends on itself, whatever the activation functions"
        if not self.is_well_posed():
            states, gains, radius = self._worst
            size = f"the {root_name(gains)} is {not_below_one(radius)}, on {self._place(states)}"
            fault = self._steep(states) if np.isinf(radius) else size
            return f"{fault}{self._blamed(states)[0]}"
        held, of_all = self.held_back.any(), self._cycles_gains
        if held:  # a number that is said of all components is of one kind
            blocks = [(dense(self._A[states][:, states]), self._function.take(states)) for states in self.cycles]
            of_all = [signed(np.abs(each), A, phi) for each, (A, phi) in zip(of_all, blocks, strict=True)]
        if all(map(norm_is_below_one, of_all)):
            what = "L mu_inf(A)" if held else "L ||A||_inf"
            largest = max(float(each.sum(axis=1).max()) for each in of_all)
        else:
            what = f"the {root_name(min(of_all, key=np.min))}"
            largest = float(max(map(spectral_radius, of_all) if held else self.radii))
        return f"{what} is {near_one(largest)}, below 1, on {self._all_cycles()}"

    def _all_cycles(self) -> str:
        states = np.concatenate(self.cycles)
        if len(self.cycles) == 1 and len(states) == self.n_states:
            return self._place(states)
        many = "the component" if len(self.cycles) == 1 else f"all {len(self.cycles)} components"
        return f"{many} with a cycle ({len(states)} of {self.n_states} states{shares(self._parts, states)})"

    def check(self) -> None:
        """Raise an error that names the component which is not well-posed.

        Raises
        ------
        NotWellPosedError
            As said.
        """
        if self.is_well_posed():
            return
        states, gains, radius = self._worst
        why, remedy = self._blamed(states)
        if np.isinf(radius):
            raise NotWellPosedError(
                f"activation: {self._steep(states)}, so an equilibrium need not exist{why}. Break the cycle, or give "
                "its states functions of bounded slope, such as tanh."
            )
        slope = float(self._slopes[states].max())
        norm = float(np.abs(dense(self._A[states][:, states])).sum(axis=1).max())
        closely = " by more than rounding" if radius < 1 else ""
        raise NotWellPosedError(
            f"A: {root_name(gains, '|A|')} is {radius / slope:.6g} on {self._place(states)} (||A||_inf = {norm:.6g}), "
            f"not below {1 / slope:g}{closely}, so an equilibrium need not exist{why}.{self._falling(states)} {remedy}."
        )

    def _falling(self, states: np.ndarray) -> str:
        """Why negative entries on the diagonal do not count, if there are some that might have."""
        phi = self._function.take(states)
        wasted = (self._A[states][:, states].diagonal() < 0) & ~phi.rises(len(states))
        name = self._function.take(states[wasted][:1]).name if wasted.any() else ""
        return (
            f" Negative diagonal entries count only for functions that never fall, but {name} may fall." if name else ""
        )

    @property
    def _worst(self) -> tuple[np.ndarray, np.ndarray, float]:
        """The states of the component with the largest root, its gains, and that."""
        worst = int(np.argmax(self.radii))
        return self.cycles[worst], self._cycles_gains[worst], float(self.radii[worst])

    def _blamed(self, states: np.ndarray) -> tuple[str, str]:
        return blamed(self._parts, states, self._alone)

    def _steep(self, states: np.ndarray) -> str:
        steepest = self._function.take(states[np.isinf(self._slopes[states])][:1])
        return f"{steepest.name}, which has no Lipschitz constant, is in the cycle of {self._listed(states)}"

    def _place(self, states: np.ndarray) -> str:
        whole = len(states) == self.n_states
        return f"its states{shares(self._parts, states)}" if whole else f"the component of {self._listed(states)}"

    def _listed(self, states: np.ndarray) -> str:
        first = ", ".join(map(str, states[:NAMED])) + (", ..." if len(states) > NAMED else "")
        return f"{len(states)} state{'s' if len(states) > 1 else ''} ({first}){shares(self._parts, states)}"
