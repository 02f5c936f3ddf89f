"""From which parts the states of a model came that was put together, and whose fault it is if it is not well-posed.

Without feedback every cycle of states is in one part, as it was there. A cycle that fails though all its parts are
well-posed by themselves is therefore the work of a feedback.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bcd_implicit.model.matrices import Matrix
from bcd_implicit.model.well_posedness import REMEDY
from bcd_implicit.terms.function import ElementwiseFunction

# At most this many parts are named.
NAMED = 6
SCALE_FEEDBACK = "Scale the feedback down"


@dataclass(frozen=True, eq=False)
class Part:
    """A model that went into another one.

    Attributes
    ----------
    states : ndarray of int, shape (k,)
        Where its states are in the whole.
    A : ndarray or sparse array of shape (k, k)
        The part on its own, without a feedback.
    function : ElementwiseFunction
        Of its states.
    name : str, optional
        By default parts are called by their number.
    """

    states: np.ndarray
    A: Matrix
    function: ElementwiseFunction
    name: str | None = None

    def behind(self, n_states: int) -> Part:
        """The same where so many states of others come first."""
        return replace(self, states=self.states + n_states) if n_states else self


def called(parts: Sequence[Part]) -> list[str]:
    """What messages call the parts: by name, by number, or by both where several have one name."""
    if len(parts) == 1:
        return [parts[0].name or "the inner model"]
    numbered = [(f"part {k}", part.name) for k, part in enumerate(parts, start=1)]
    counts = Counter(text for both in numbered for text in both)
    return [
        number if name is None else name if counts[name] == 1 else f"{name} ({number})" for number, name in numbered
    ]


def shares(parts: Sequence[Part], states: np.ndarray) -> str:
    """How many of these states are of which part, such as ": 2 of part 1 and 3 of part 2"; nothing for a single one."""
    counts = [int(np.isin(part.states, states).sum()) for part in parts]
    told = [f"{count} of {name}" for count, name in zip(counts, called(parts), strict=True) if count]
    return f": {_in_a_row(told)}" if len(parts) > 1 else ""


def blamed(parts: Sequence[Part], states: np.ndarray, is_well_posed: Callable[[Part], bool]) -> tuple[str, str]:
    """Why a cycle of these states fails, told from its parts, empty if they tell nothing; and what to do."""
    named = zip(called(parts), parts, strict=True)
    involved = {name: is_well_posed(part) for name, part in named if np.isin(part.states, states).any()}
    bad = [name for name, good in involved.items() if not good]
    # A single part that fails is the whole.
    if not involved or (bad and len(parts) == 1):
        return "", REMEDY
    verb, its_own, it = ("are", "their own", "them") if len(bad or involved) > 1 else ("is", "its own", "it")
    if bad:
        why = f"; {_in_a_row(bad)} {verb} not well-posed on {its_own}"
        return why, f"Scale A of {_in_a_row(bad)} down, or train {it} with norm_bound < 1"
    return f"; {_in_a_row([*involved])} {verb} well-posed on {its_own}, but a feedback makes this cycle", SCALE_FEEDBACK


def _in_a_row(texts: Sequence[str]) -> str:
    some = list(texts) if len(texts) <= NAMED else [*texts[: NAMED - 1], f"{len(texts) - NAMED + 1} more"]
    return " and ".join(filter(None, [", ".join(some[:-1]), some[-1]]))
