"""A training problem explained: its formula, its sizes, what is free, and what the settings mean for its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcd_implicit.problem.formula import held_at_zero, relaxed, true, weighted
from bcd_implicit.problem.spreads import STANDARDISED, difference
from bcd_implicit.support.display import names_of
from bcd_implicit.support.formulas import Formula, displayed, plain

#: Stands before the Fenchel term.
RELAXED = 'method="fenchel" relaxes the equilibrium: its state and hidden blocks have the term'
#: A kappa below this share of the loss, or so many times above it, depends on the units.
SMALL_SHARE = 1e-3


@dataclass(frozen=True)
class ProblemExplanation:
    """What a :class:`~bcd_implicit.TrainingProblem` asks for, to read. Prints as text, in a notebook as Markdown.

    Attributes
    ----------
    formula : Formula
        The true problem (T): its terms and constraints have names, LaTeX and words.
    relaxation : Formula
        Its one term is the Fenchel term, which the state and hidden blocks have in place of the equilibrium.
    sizes : dict
        Samples, inputs, outputs and hidden features, in words.
    free : dict
        By letter, how many numbers of each matrix may vary.
    held : dict
        By letter, what is held, and by which setting.
    notes : list of str
        What the settings mean for these data.
    """

    formula: Formula
    relaxation: Formula
    sizes: dict[str, str]
    free: dict[str, int]
    held: dict[str, str]
    notes: list[str]

    def __str__(self) -> str:
        sizes = "; ".join(f"{name} {size}" for name, size in self.sizes.items())
        return "\n".join([
            f"TrainingProblem: {sizes}",
            "",
            self.formula.text(),
            "",
            RELAXED,
            *(f"    {plain(latex)}" for latex in self._relaxed),
            "",
            *(f"{word}: {said}" for word, said in self._unknowns.items()),
            *(f"- {note}" for note in self.notes),
        ])  # fmt: skip

    def __repr__(self) -> str:
        return str(self)

    def _repr_latex_(self) -> str:
        return displayed(self.formula.latex())

    def _repr_markdown_(self) -> str:
        lines = [f"- {name}: {size}" for name, size in self.sizes.items()]
        lines += [f"- {word}: {said}" for word, said in self._unknowns.items()]
        named = [part for part in (*self.formula.terms, *self.formula.constraints) if part.words]
        lines += [f"- `{part.name}`: {part.words}" for part in named]
        return "\n".join([
            self._repr_latex_(),
            "",
            f"{RELAXED} {', '.join(f'${latex}$' for latex in self._relaxed)}.",
            "",
            *lines,
            *(f"- {note}" for note in self.notes),
        ])  # fmt: skip

    @property
    def _relaxed(self) -> list[str]:
        """The Fenchel term, and what is new in it."""
        known = self.formula.needed
        return [self.relaxation.terms[0].latex, *(line for line in self.relaxation.needed if line not in known)]

    @property
    def _unknowns(self) -> dict[str, str]:
        free = ", ".join(f"{letter} {count}" for letter, count in self.free.items())
        said = {"free numbers": f"{sum(self.free.values())} ({free})"}
        if self.held:
            said["held at 0"] = ", ".join(f"{letter} ({setting})" for letter, setting in self.held.items())
        return said


# Any: the module of TrainingProblem imports this one.
def explain(problem: Any) -> ProblemExplanation:
    """The explanation of a problem; cheap: nothing is solved."""
    m, shapes, zeros, whole = problem.n_samples, problem.shapes, held_at_zero(problem), relaxed(problem)
    free = {k: int(problem.pattern.entries(k, shapes[k]).sum()) for k in "ABbCDd" if k not in zeros}
    held = dict(zeros)
    for letter, mask in problem.pattern.free.items():
        if letter not in held:
            held[letter] = f"{(~mask).sum()} entries by the pattern"
    return ProblemExplanation(
        true(problem),
        replace(whole, terms=whole.terms[-1:], constraints=[]),
        {
            "samples": f"{m}{', weighted' if weighted(problem) else ''}",
            "inputs": names_of(problem.input_names),
            "outputs": names_of(problem.output_names),
            "hidden features": str(problem.n_hidden),
        },
        free,
        held,
        [*_of_bound(problem), *_of_weights(problem), *_of_kappa(problem), *_of_units(problem)],
    )


def _of_bound(problem: Any) -> list[str]:
    nu, inside = problem.norm_bound, problem.row_set.inside
    if inside is not None:
        return [] if inside.any() else ["norm_bound has no effect: no state is on a cycle."]
    if problem.well_posedness == "measure":
        return [f"norm_bound {nu:g} bounds the matrix measure: every such A has one equilibrium for every input."]
    if nu == 0:
        return ["norm_bound 0 means A = 0: a network with one hidden layer."]
    steps = int(np.ceil(np.log(1e-6) / np.log(nu)))
    return [
        f"norm_bound {nu:g}: each Picard step multiplies the error of the states by at most {nu:g}; {steps} steps "
        "reduce it to a millionth."
    ]


def _of_weights(problem: Any) -> list[str]:
    if not weighted(problem):
        return []
    alike = 1 / float(problem.shares @ problem.shares)
    return [f"With these weights the samples count like {alike:.4g} equally weighted ones."]


def _of_kappa(problem: Any) -> list[str]:
    loss, kappa = problem.loss.loss_of_constant(problem.Y, problem.shares), problem.kappa
    notes = [f"A model without inputs, the best constant prediction, has the mean loss {loss:.4g}."]
    if problem.group_form == "constraint":
        notes.append(f"kappa {kappa:g} is an upper bound on the sum of the norms in group_lasso.")
    elif kappa == 0:
        notes.append("kappa 0: no input is penalised, so none is dropped.")
    else:
        share = f", {kappa / loss:.2g} times that loss" if loss > 0 else ""
        matrix = "(B; D)" if problem.stacked else "B"
        whose = f"an input whose column of {matrix} has norm 1"
        if not problem.group_lasso.groups.alone:
            whose = f"a group whose columns of {matrix} have norm 1 and weight 1"
        notes.append(f"kappa {kappa:g}: {whose} adds {kappa:g} to the objective{share}.")
        if loss > 0 and problem.scaling is None and not SMALL_SHARE <= kappa / loss <= 1 / SMALL_SHARE:
            notes[-1] += " This depends on the targets' units; pass standardize=True."
    notes.append("bi.reference_kappa(problem) finds the scale of kappa for these data, in two training cycles.")
    return notes


def _of_units(problem: Any) -> list[str]:
    if problem.scaling is not None:
        return [f"Units: {STANDARDISED}."]
    told = difference("U", problem.U, problem.shares, problem.input_names)
    return [told] if told else []
