"""The live problem of a block: CVXPY's, with names for its constraints, that can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cvxpy as cp  # noqa: TID253 (the base class is CVXPY's; this module is imported when a block is posed)
import numpy as np

from bcd_implicit.problem.formula import held_at_zero
from bcd_implicit.problem.settings import RANGES, check_settings
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.formulas import Formula, Shown, displayed, number, written


class BlockProblem(cp.Problem):
    """A ``cvxpy.Problem``, as :func:`~bcd_implicit.block_problem` returns it.

    Printed, or shown in a notebook, it is the block in symbols: numbers for what is fixed, names for parameters.

    Attributes
    ----------
    block : str
        The block's name.
    training_problem : TrainingProblem
    constraint_dict : dict
        The constraints by name, as ``var_dict`` has the variables and ``param_dict`` the parameters. Several of one
        name are numbered, such as "box(B)[0]" and "box(B)[1]".
    """

    def __init__(
        self,
        objective: cp.Minimize,
        constraints: list[cp.Constraint],
        named: Mapping[str, list[cp.Constraint]],
        block: str,
        training_problem: TrainingProblem,
        formula: Callable[[Shown], Formula],
    ) -> None:
        super().__init__(objective, constraints)
        self.block, self.training_problem, self._formula = block, training_problem, formula
        self._named = named
        self.constraint_dict: dict[str, cp.Constraint] = {}
        for name, several in named.items():
            numbered = {name: several[0]} if len(several) == 1 else {f"{name}[{i}]": c for i, c in enumerate(several)}
            self.constraint_dict |= numbered

    @property
    def dual_values(self) -> dict[str, Any]:
        """The dual values by name, as in results: a list where several constraints have the name.

        None before the problem is solved.
        """
        found = {name: [constraint.dual_value for constraint in several] for name, several in self._named.items()}
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def solve(self, *arguments: Any, **options: Any) -> Any:
        """Solve the block; arguments, result and errors are those of ``cvxpy.Problem.solve``.

        Raises
        ------
        InvalidInputError
            A parameter is out of the range that the training problem allows, such as a norm_bound of 2.
        """
        moved = {name: _value(p) for name, p in self.param_dict.items() if name in RANGES}
        check_settings({**vars(self.training_problem), **moved})
        return super().solve(*arguments, **options)

    @property
    def formula(self) -> Formula:
        """The block in symbols."""
        return self._formula(self._shown)

    def _shown(self, name: str, value: float) -> str:
        return _symbol(name) if name in self.param_dict else number(value)

    def _fixed(self) -> str:
        zeros = held_at_zero(self.training_problem)
        letters = [letter for letter in self.training_problem.shapes if letter not in self.var_dict]
        return ", ".join(f"{letter} = 0" if letter in zeros else letter for letter in letters)

    def __str__(self) -> str:
        problem, shapes = self.training_problem, self.training_problem.shapes
        sizes = ", ".join(f"{k} {' x '.join(map(str, shapes[k]))}" for k in self.formula.variables)
        lines = [
            f"Block '{self.block}': {sizes}; {problem.n_samples} samples, {problem.n_inputs} inputs, "
            f"{problem.n_outputs} outputs",
            self.formula.text(),
        ]
        if self.param_dict:
            held = ", ".join(f"{name} = {_value(p):.4g}" for name, p in self.param_dict.items())
            lines.append(f"parameters: {held}")
        lines.append(f"fixed: {self._fixed()}; their terms are constant: not shown, but included in the value")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        held = [f"{_symbol(name)} = {number(_value(p))}" for name, p in self.param_dict.items()]
        # More in a line would be wider than a page.
        lines = [r",\; ".join(held[i : i + 3]) for i in range(0, len(held), 3)]
        return displayed(self.formula.latex({"parameters": lines}))


def _symbol(name: str) -> str:
    """A parameter's name in a formula."""
    return {"kappa": r"\kappa", "kappa_A": r"\kappa_A", "mu": r"\mu"}.get(name, written(name))


def _value(parameter: cp.Parameter) -> float:
    return float(np.asarray(parameter.value))
