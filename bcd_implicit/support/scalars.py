"""The numbers of a posed problem that may change without posing it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_list

# Takes the name and the value of a number, and says what a posed problem holds in its place.
Scalar = Callable[..., Any]
# Changed so often that they are parameters unless others are asked for.
USUAL = frozenset({"kappa", "kappa_A", "fenchel_weight"})

#: Of a block without parameters, which is the state block.
WHY_NONE = "numbers enter its proximal term through eigenvalues. Build the block again to change them"


class Scalars:
    """Makes a ``cvxpy.Parameter`` of each number that is to be one, and passes the others on as they are.

    Parameters
    ----------
    wanted : "all", str, sequence of str or None
        Their names, or one; by default "kappa", "kappa_A" and "fenchel_weight".

    Attributes
    ----------
    parameters : dict
        The parameters made so far, by name.
    offered : list of str
        The names of all numbers that came by.
    """

    def __init__(self, wanted: Any = None) -> None:
        self.parameters: dict[str, cp.Parameter] = {}
        self.offered: list[str] = []
        self._all = isinstance(wanted, str) and wanted == "all"
        self._named: list[Any] = []
        if wanted is not None and not self._all:
            several = [wanted] if isinstance(wanted, str) else wanted
            self._named = check_list("parameters", several, "names", 'Give a list of names, or "all"')
        self.wanted = list(USUAL) if wanted is None else self._named

    def asked(self, name: str) -> bool:
        """Whether a person asked for this one to be a parameter, so that its form must serve all its values."""
        return self._all or name in self._named

    def __call__(self, name: str, value: float, *, signed: bool = False, pos: bool = False) -> Any:
        """The number, or the one parameter of this name, which is 0 or more unless it is ``signed`` or positive."""
        if name not in self.offered:
            self.offered.append(name)
        if not (self._all or name in self.wanted):
            return value
        if name not in self.parameters:
            sign = {} if signed else {"pos": True} if pos else {"nonneg": True}
            self.parameters[name] = cp.Parameter(name=name, value=float(value), **sign)
        return self.parameters[name]

    def check(self, block: str) -> None:
        """Raise an error if a name that was asked for did not come by.

        Raises
        ------
        InvalidInputError
            As said; the message lists those that did.
        """
        for name in self._named:
            if name in self.offered:
                continue
            known = f"Choose from {', '.join(self.offered)}" if self.offered else f"It has none: {WHY_NONE}"
            raise InvalidInputError("parameters", f"has {shown(name)}, which block '{block}' does not hold", known)


def as_number(name: str, value: float, **_: Any) -> float:
    """What :class:`Scalars` is to a problem without parameters."""
    return value
