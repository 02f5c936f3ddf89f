"""How far each input alone could have moved given predictions: what is proved, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.explanations.question import Proved, Question, Reached
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.display import facts_and_table, listed
from bcd_implicit.support.interruption import finishing

# A text has so many inputs of each prediction, and so many predictions.
MOST_INPUTS, MOST_PREDICTIONS = 5, 4
# As accurate predictions are, relative to the largest.
ACCURATE = 1e-8
# Radii that are safe are looked for down to this share, by so many bisections of its logarithm, which leave a factor of
# 2, and then found to a part in 2^12.
SMALLEST_SHARE, BISECTIONS, HALVINGS = 2.0**-64, 6, 12
# A smaller share of what the most important input does is nothing that a text speaks of.
NOTHING = 1e-6
# A margin left of a smaller share is not worth its number.
SLIGHT = 0.01

# What a text says of inputs that are not among the first.
IN_SHORT = {"yes": "it could be another class", "no": "the class stays", "open": "not known"}


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Which single inputs could have changed predictions, and by how much.

    Arrays have axes for m samples, k outputs and g inputs or groups of inputs. For a class there is one output (k = 1),
    its margin over all others; a margin below 0 means another class.

    Attributes
    ----------
    question : Question
        The inputs, their radius, and the quantity explained.
    shares : ndarray of shape (m, g)
        The share of the radius to which the results apply: 1, or that found by :meth:`safe`.
    proved : Proved
        ``lower`` and ``upper``, (m, k, g): bounds on the quantity for all values of the input within its radius. Also
        the underlying ``bounds`` with their certificates.
    reached : Reached
        ``lower`` and ``upper``, (m, k, g): the smallest and largest values found, and ``lower_inputs`` and
        ``upper_inputs``, (m, k, g, p), where they were found.
    """

    question: Question
    shares: np.ndarray
    proved: Proved
    reached: Reached

    @property
    def lower(self) -> np.ndarray:
        """Proved lower bound on the quantity explained, (m, k, g)."""
        return self.proved.lower

    @property
    def upper(self) -> np.ndarray:
        """Proved upper bound on the quantity explained, (m, k, g)."""
        return self.proved.upper

    @property
    def reached_lower(self) -> np.ndarray:
        """The smallest value found, (m, k, g)."""
        return np.clip(self.reached.lower, self.lower, self.upper)

    @property
    def reached_upper(self) -> np.ndarray:
        """The largest value found, (m, k, g)."""
        return np.clip(self.reached.upper, self.lower, self.upper)

    @cached_property
    def prediction(self) -> np.ndarray:
        """The quantity explained, at the given inputs, (m, k)."""
        return self.question.asked(self.question.predictions)

    @property
    def change(self) -> np.ndarray:
        """The most that the quantity can move, (m, k, g); for a margin, the most that it can fall."""
        return self._change(self.proved)

    def _change(self, proved: Proved) -> np.ndarray:
        prediction = self.prediction[:, :, None]
        fall = prediction - proved.lower
        return fall if self.question.margins else np.maximum(fall, proved.upper - prediction)

    @cached_property
    def class_changes(self) -> np.ndarray:
        """Of classes, (m, k, g): "yes" where another one was found, "no" where none can be, "open" in between."""
        if not self.question.margins:
            raise InvalidInputError("about", "is 'values', which have no classes", "Use about='class' or 'labels'")
        return np.where(self.reached_lower < 0, "yes", np.where(self.lower > 0, "no", "open"))

    def order(self, sample: int = 0, output: int = 0) -> np.ndarray:
        """The inputs or groups by how far they can move a prediction, the farthest first, (g,).

        After :meth:`safe` those with the smallest share of their radius come first.
        """
        return np.lexsort((-self.change[sample, output], self.shares[sample]))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each sample, output and input or group, by how far it can move the prediction.

        ``value`` and ``radius`` of the input (of a group no value, and its largest radius); ``lower`` and ``upper``,
        proved; ``reached_lower`` and ``reached_upper``, found. Of classes also ``class_changes``, and, where a change
        was found, what the class ``becomes``, and from which value of the input on, ``changes_at``.
        """
        rows = []
        for i, k in np.ndindex(self.prediction.shape):
            for g in self.order(i, k).tolist():
                value, radius = self.place(i, g)
                row = {
                    "sample": i,
                    "output": self.question.output_name(i, k),
                    "input": self.question.groups.names[g],
                    "value": value,
                    "radius": radius,
                    "lower": self.lower[i, k, g],
                    "reached_lower": self.reached_lower[i, k, g],
                    "prediction": self.prediction[i, k],
                    "reached_upper": self.reached_upper[i, k, g],
                    "upper": self.upper[i, k, g],
                }
                if self.question.margins:
                    changes = str(self.class_changes[i, k, g])
                    becomes, where = self._becomes(i, k, g) if changes == "yes" else ("", np.nan)
                    row |= {"class_changes": changes, "becomes": becomes, "changes_at": where}
                rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def changed(self) -> np.ndarray:
        """Of classes, inputs of another one, (m, k, g, p): as near as was found, NaN where none was.

        Of a single input the nearest on the line across its box, to a part in 4096 of a tenth of the radius; where
        there is none, and of groups, those of the least margin.
        """
        nearest, least = self.question.nearest(self.shares), self.reached.lower_inputs
        single = np.array([len(members) == 1 for members in self.question.groups.members])
        on_line = np.isfinite(nearest).all(axis=-1) & single
        found = np.where(on_line[..., None], nearest, least)
        return np.where((self.class_changes == "yes")[..., None], found, np.nan)

    def _becomes(self, sample: int, output: int, group: int) -> tuple[str, float]:
        """The class at inputs of another one, and the input's value there; of a group no value."""
        at, members = self.changed[sample, output, group], self.question.groups.members[group]
        name = self.question.becomes(self.question.model.outputs(at[None])[0], sample, output)
        return name, float(at[members[0]]) if len(members) == 1 else np.nan

    def place(self, sample: int, group: int) -> tuple[float, float]:
        """An input's value and radius; of a group no value, and its largest radius."""
        members = self.question.groups.members[group]
        radius = float(self.shares[sample, group] * self.question.radius[sample, members].max())
        return (float(self.question.inputs[sample, members[0]]) if len(members) == 1 else np.nan), radius

    def amount(self, sample: int, group: int) -> str:
        """An input's value and radius in words, as in "41 ± 2"; of a group its largest radius."""
        value, radius = self.place(sample, group)
        return f"± {radius:.3g}" if np.isnan(value) else f"{value:.4g} ± {radius:.3g}"

    def check(self) -> bool:
        """Whether certificates prove all bounds, and inputs in the boxes reach what was found.

        Bounds are recomputed from their certificates as by ``check`` of what
        :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds` returns; inputs are predicted again.
        """
        question = self.question
        of_bounds = question.ends(self.proved.bounds)
        if not all(map(np.array_equal, of_bounds, (self.lower, self.upper))):
            return False
        if not all(bounds.check() for bounds in self.proved.bounds):
            return False
        radii, center = question.radii(self.shares), question.inputs[:, None]
        low, high = (center - radii)[:, None], (center + radii)[:, None]
        for values, at in (
            (self.reached.lower, self.reached.lower_inputs),
            (self.reached.upper, self.reached.upper_inputs),
        ):
            if (at < low).any() or (at > high).any():
                return False
            off, size = np.abs(question.of_own(at) - values), max(1.0, np.abs(question.predictions).max())
            if (off > ACCURATE * size).any() or (values < self.lower - ACCURATE * size).any():
                return False
            if (values > self.upper + ACCURATE * size).any():
                return False
        return True

    def safe(self, change: float | None = None) -> Explanation:
        """The same for smaller radii, at which each input alone is proved to change nothing, or little.

        They are found by bisection, each to a part in 4096 of itself, however large the radius was; all boxes are one
        batch at each step. An input that is proved to change nothing at its whole radius keeps that: ask with a larger
        one for more. Bounds say what is proved, so that a larger radius may be safe too.

        Parameters
        ----------
        change : float, optional
            Of values: by how much each prediction may move, up or down. Of classes the margin has to stay above 0.

        Returns
        -------
        Explanation
            Its ``table`` has the radii, and the bounds there; its :meth:`check` proves them.

        Raises
        ------
        InvalidInputError
            No positive change of values, or one of classes.
        """
        if self.question.margins:
            if change is not None:
                raise InvalidInputError(
                    "change", "is for values, but this explanation is about classes", "Leave it out"
                )
        else:
            remedy = "Give by how much predictions may move, such as 0.1"
            change = check_number("change", change, 0, boundaries="neither", remedy=remedy)

        def holds(proved: Proved) -> np.ndarray:
            """For which samples and groups, (m, g)."""
            if change is None:
                return np.asarray((proved.lower > 0).all(axis=1))
            return np.asarray((self._change(proved) <= change).all(axis=1))

        with finishing():
            # The shares that are known to be safe, and those that are not.
            high, kept = self.shares, holds(self.proved)
            low, found = np.where(kept, high, SMALLEST_SHARE * high), kept
            for step in range(BISECTIONS + HALVINGS):
                middle = np.sqrt(low * high) if step < BISECTIONS else 0.5 * low + 0.5 * high
                middle = np.where(kept, high, middle)
                good = holds(self.question.proved(middle))
                low, high, found = np.where(good, middle, low), np.where(good, high, middle), found | good
            low = np.where(found, low, 0.0)
            return Explanation(self.question, low, self.question.proved(low), self.question.reached(low))

    def __str__(self) -> str:
        shape = self.prediction.shape
        places = list(np.ndindex(shape))
        lines = [line for i, k in places[:MOST_PREDICTIONS] for line in self._lines(i, k)]
        if len(places) > MOST_PREDICTIONS:
            lines.append(f"{len(places) - MOST_PREDICTIONS} more predictions: see .table")
        return "\n".join(lines)

    def _lines(self, i: int, k: int) -> list[str]:
        """What a text says of one prediction."""
        name, value = self.question.output_name(i, k), self.prediction[i, k]
        where = f" of sample {i}" if len(self.prediction) > 1 else ""
        first = f"{self.question.quantity(i, k)}{where}: {value:.4g} is predicted"
        if self.question.margins:
            over = self.question.runner_up(i)
            first = f"The class{where} is {name}, by a margin of {value:.4g}{f' over {over}' if over else ''}"
        what = "input" if self.question.groups.alone else "input or group"
        lines, change = [f"{first}. Had one {what} alone been off by up to so much:"], self.change[i, k]
        names = self.question.groups.names
        nothing = max(NOTHING * change.max(), ACCURATE * abs(value))
        moving = [g for g in self.order(i, k).tolist() if change[g] > nothing]
        for g in moving[:MOST_INPUTS]:
            lines.append(f"  {names[g]}, {self.amount(i, g)}: {self._says(i, k, g)}")
        # Of safe radii the text is to give all: they are the answer.
        narrowed = bool((self.shares[i] < 1).any())
        rest: dict[str, list[str]] = {}
        for g in moving[MOST_INPUTS:]:
            says = IN_SHORT[self.class_changes[i, k, g]] if self.question.margins else "less than these"
            rest.setdefault(says, []).append(f"{names[g]}, {self.amount(i, g)}" if narrowed else names[g])
        if still := [names[g] for g in range(len(names)) if g not in moving]:
            rest["nothing would have changed"] = still
        return lines + [f"  {'; '.join(of) if narrowed else listed(of)}: {says}" for says, of in rest.items()]

    def _says(self, i: int, k: int, g: int) -> str:
        """What is known of one prediction and one input, in words."""
        low, high = self.lower[i, k, g], self.upper[i, k, g]
        found_low, found_high = self.reached_lower[i, k, g], self.reached_upper[i, k, g]
        if not self.question.margins:
            return f"between {low:.4g} and {high:.4g} ({found_low:.4g} and {found_high:.4g} are reached)"
        changes = self.class_changes[i, k, g]
        if changes == "no":
            just = low < SLIGHT * self.prediction[i, k]
            return "the class stays" if just else f"the class stays, by a margin of {low:.4g} or more"
        if changes == "open":
            return f"not known: the margin is proved to be {low:.4g} or more, and {found_low:.4g} is found"
        becomes, where = self._becomes(i, k, g)
        return f"the class could be {becomes}{'' if np.isnan(where) else f', at {where:.4g}'}"

    def __repr__(self) -> str:
        m, k, g = self.lower.shape
        return f"Explanation(about={self.question.about!r}, samples={m}, outputs={k}, inputs or groups={g})"

    def _repr_html_(self) -> str:
        facts = {
            "about": self.question.about,
            "samples": f"{len(self.lower)}",
            "inputs or groups": f"{self.lower.shape[2]}",
            "largest change proved possible": f"{self.change.max():.4g}",
        }
        return facts_and_table("Explanation", facts, self.table.head(10))
