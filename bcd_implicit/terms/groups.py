"""Groups of inputs: which belong together, and how much each group weighs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.support.checks import check_list, check_number
from bcd_implicit.support.display import listed


@dataclass(frozen=True, eq=False)
class Groups:
    """Which inputs belong together, and how much each group weighs.

    Attributes
    ----------
    labels : ndarray of int, shape (p,)
        The group of each input.
    weights : ndarray of shape (n_groups,)
    names : list of str
        One a group.
    """

    labels: np.ndarray
    weights: np.ndarray
    names: list[str]

    def __repr__(self) -> str:
        return f"Groups({len(self.weights)} of {len(self.labels)} inputs)"

    @cached_property
    def alone(self) -> bool:
        """Whether every input is a group of its own."""
        return np.array_equal(self.labels, np.arange(len(self.labels)))

    @cached_property
    def members(self) -> list[np.ndarray]:
        """The inputs of each group."""
        return [np.flatnonzero(self.labels == g) for g in range(len(self.weights))]

    @cached_property
    def _table(self) -> np.ndarray:
        """The inputs of each group, shape (n_groups, largest group), filled up with p."""
        # p is the place of the zeros that :meth:`rows` appends.
        table = np.full((len(self.members), max(len(m) for m in self.members)), len(self.labels))
        for row, m in zip(table, self.members, strict=True):
            row[: len(m)] = m
        return table

    def sums(self, columns: np.ndarray) -> np.ndarray:
        """Sums over each group: (p,) to (n_groups,)."""
        return columns if self.alone else np.bincount(self.labels, columns, len(self.weights))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Each group's value for all its inputs: (n_groups,) to (p,)."""
        return values if self.alone else values[self.labels]

    def rows(self, B: np.ndarray) -> np.ndarray:
        """Each group's entries in a row, filled up with zeros: (n, p) to (n_groups, entries)."""
        if self.alone:
            return B.T
        padded = np.hstack([B, np.zeros((len(B), 1))])
        return padded.T[self._table].reshape(len(self._table), -1)

    def columns(self, rows: np.ndarray, n: int) -> np.ndarray:
        """The inverse of :meth:`rows`."""
        if self.alone:
            return rows.T
        padded = np.zeros((len(self.labels) + 1, n))
        padded[self._table.ravel()] = rows.reshape(-1, n)
        return padded[:-1].T

    def some(self, kept: np.ndarray) -> Groups:
        """Those groups of which ``kept``, bool of shape (n_groups,), is true, for their inputs alone."""
        place = np.cumsum(kept) - 1
        names = [name for name, stays in zip(self.names, kept, strict=True) if stays]
        return Groups(place[self.labels[self.spread(kept)]], self.weights[kept], names)

    def titles(self, input_names: Sequence[str]) -> list[str]:
        """What a person calls each group: an input's name, or that of the group with its inputs in brackets."""
        names = [[input_names[j] for j in members] for members in self.members]
        pairs = zip(self.names, names, strict=True)
        return [own[0] if len(own) == 1 else f"{group} ({listed(own)})" for group, own in pairs]

    @staticmethod
    def singles(p: int) -> Groups:
        """Each of p inputs by itself, with weight 1."""
        return Groups(np.arange(p), np.ones(p), [str(j) for j in range(p)])

    @staticmethod
    def parse(
        groups: Sequence[Any] | Mapping[str, Sequence[Any]] | None,
        weights: Sequence[float] | Mapping[str, float] | None,
        input_names: Sequence[str],
    ) -> Groups:
        """From what a person gives.

        Parameters
        ----------
        groups : sequence of p labels, mapping from a group's name to its inputs' names, or None
            Inputs with equal labels belong together; inputs that a mapping does not name stand alone.
        weights : sequence, one per group in the order of first appearance, mapping from names, or None
            Groups that a mapping does not name, and all by default, weigh the square root of their size.
        input_names : sequence of str

        Raises
        ------
        InvalidInputError
            Labels of another length, unknown or repeated input names, weights of another length or negative.
        """
        p = len(input_names)
        if groups is None:
            names, labels = list(input_names), np.arange(p)
        else:
            each = _labels_of(groups, input_names) if isinstance(groups, Mapping) else _single_labels(groups)
            if len(each) != p:
                cause = f"has {len(each)} labels for {p} inputs"
                raise InvalidInputError("groups", cause, "Give one label for each input")
            # NaN, as a table gives for an empty cell, is not equal to itself.
            if any(label is None or label is pd.NA or label != label for label in each):
                raise InvalidInputError("groups", "has an empty label", "Give one label for each input")
            # A dict keeps the order of first appearance, in which weights are given; a set would not.
            place = {label: g for g, label in enumerate(dict.fromkeys(each))}
            names = [str(label) for label in place]
            # Names are what a mapping of weights refers to.
            if len(set(names)) < len(names):
                raise InvalidInputError("groups", "has labels that read alike, such as 1 and '1'", "Use one kind")
            labels = np.array([place[label] for label in each])
        return Groups(labels, _weights_of(weights, names, np.bincount(labels)), names)


def _single_labels(groups: Any) -> list[Any]:
    """The labels, or an error where they are no list of single ones."""
    remedy = "Give one label for each input, or a mapping from a group's name to its inputs' names"
    labels = check_list("groups", groups, "labels", remedy)
    if not all(isinstance(label, Hashable) for label in labels):
        raise InvalidInputError("groups", f"must be a list of single labels, got {shown(groups)}", remedy)
    return labels


def _labels_of(groups: Mapping[str, Sequence[Any]], input_names: Sequence[str]) -> list[str]:
    labels: dict[str, str] = {}
    # Columns may be called by whole numbers: names are text from the front door on.
    known, taken = set(input_names), set(map(str, groups))
    for group, members in groups.items():
        if not isinstance(members, (str, Sequence, np.ndarray, pd.Index, pd.Series)):
            raise InvalidInputError(
                "groups", f"group {shown(group)} is of type {type(members).__name__}", "List its inputs' names"
            )
        # A string alone is one name, not a sequence of letters.
        names = [members] if isinstance(members, str) else list(members)
        if not names:
            raise InvalidInputError("groups", f"group {group!r} lists no inputs", "List some, or leave the group out")
        for name in map(str, names):
            if name not in known:
                raise InvalidInputError(
                    "groups", f"group {group!r} names an input {name!r} that does not exist",
                    f"The inputs are {listed(input_names)}",
                )  # fmt: skip
            if name in labels:
                raise InvalidInputError(
                    "groups", f"input {name!r} is in {labels[name]!r} and in {group!r}", "An input has one group"
                )
            labels[name] = str(group)
    for name in input_names:
        # Standing alone it would be a group of its own, under a name that is taken.
        if name not in labels and name in taken:
            raise InvalidInputError(
                "groups", f"{name!r} is the name of a group and of an input outside it", "Give the group another name"
            )
    return [labels.get(name, name) for name in input_names]


def _weights_of(
    weights: Sequence[float] | Mapping[str, float] | None, names: list[str], sizes: np.ndarray
) -> np.ndarray:
    # Noise gives a group of k columns a gradient sqrt(k) times as long: so large groups do not enter for their size.
    checked = np.sqrt(sizes)
    if weights is None:
        return checked
    if isinstance(weights, pd.Series):
        weights = weights.to_dict()
    if isinstance(weights, Mapping):
        place = {name: g for g, name in enumerate(names)}
        for name, weight in weights.items():
            if str(name) not in place:
                raise InvalidInputError(
                    "group_weights", f"names a group {name!r} that does not exist", f"The groups are {listed(names)}"
                )
            checked[place[str(name)]] = _weight(name, weight)
    else:
        remedy = "Give one a group, in the order in which they first appear"
        numbers = check_list("group_weights", weights, "numbers", remedy)
        if len(numbers) != len(names):
            raise InvalidInputError("group_weights", f"has {len(numbers)} numbers for {len(names)} groups", remedy)
        checked = np.array([_weight(name, weight) for name, weight in zip(names, numbers, strict=True)])
    # The scale of kappa is a largest value over the groups that have a weight: without any there is none.
    if not checked.any():
        raise InvalidInputError("group_weights", "are all zero", "Choose kappa = 0 to penalise nothing")
    return checked


def _weight(group: Any, weight: Any) -> float:
    return check_number(
        f"group_weights of {group!r}", weight, 0, remedy="Give a positive number, or 0 to never drop the group"
    )
