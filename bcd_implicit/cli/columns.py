"""From a person's file and the options that name its columns to inputs and targets that are numbers."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

import bcd_implicit as bi
from bcd_implicit.cli.column_choice import ColumnChoice
from bcd_implicit.cli.console import count, print_note
from bcd_implicit.cli.data_file import name_of, read_data, title_of
from bcd_implicit.support.display import listed, quoted
from bcd_implicit.support.entries import BadEntries
from bcd_implicit.support.notations import kind_of_entry, look_like_numbers
from bcd_implicit.support.notices import ignored
from bcd_implicit.support.row_numbers import like_row_numbers, row_numbers
from bcd_implicit.support.samples import OF_ROW_NUMBERS
from bcd_implicit.support.tables import (
    categories_of,
    check_columns,
    class_column,
    indicators,
    pick_columns,
    place,
    split_targets,
    to_numbers,
)
from bcd_implicit.support.text_format import TextFormat

REMEDIES = {
    "text": "Encode categories with --categorical COLUMN (of the target with --classify), or drop columns with "
    "--ignore COLUMN",
    "missing": "Drop rows with missing values with --drop-missing",
    "empty": "Omit columns without values with --ignore COLUMN",
}
#: Categories of which each has fewer rows than this on average are none.
ROWS_A_CATEGORY = 2


@dataclass(frozen=True)
class Columns:
    """Inputs and targets as numbers, a row a sample.

    Attributes
    ----------
    inputs, outputs : DataFrame
    groups : dict
        For each column of categories the inputs that were made of it.
    classes : str or None
        The column whose classes the outputs indicate by 1, and otherwise 0.
    labels : Series or None
        Equal for rows that belong together.
    """

    inputs: pd.DataFrame
    outputs: pd.DataFrame
    groups: dict[str, list[str]] = field(default_factory=dict)
    classes: str | None = None
    labels: pd.Series | None = None


def read_columns(data: Path, choice: ColumnChoice, form: TextFormat, sample_groups: str | None = None) -> Columns:
    """The file's inputs and targets, and the labels in the column ``sample_groups``, which is no input.

    Raises
    ------
    InvalidInputError
        The file cannot be read, a column is not there, or values are no numbers; all such columns are named.
    """
    table = read_data(data, form)
    _check_separator(data, table, form)
    together = () if sample_groups is None else (unicodedata.normalize("NFC", sample_groups),)
    check_columns(table, use=choice.use, categorical=choice.categorical, sample_groups=together)
    if both := {*together} & {*choice.targets, *choice.categorical, *choice.use}:
        cause = f"names column {min(both)!r}, which another option also names"
        raise bi.InvalidInputError("sample_groups", cause, "Name it once")
    inputs, targets = split_targets(table, choice.targets, list(dict.fromkeys([*choice.ignore, *together])))
    labels = table[list(together)]
    inputs, left_out = _without_row_numbers(inputs, {*choice.use, *choice.categorical})
    for column in targets.columns[targets.isna().all()]:
        raise bi.InvalidInputError("target", f"column {column!r} has no values", "Choose another target")
    kept = [column for column in inputs.columns if column not in {*choice.use, *choice.categorical}]
    perhaps = like_row_numbers(_numbers(inputs[kept]).to_numpy(), kept) if len(inputs.columns) > 1 else []
    classes = _class_column(targets, choice.classify)
    full = pd.concat([inputs, targets, labels], axis=1).notna().all(axis=1)
    if choice.drop_missing:
        inputs, targets, labels = inputs[full], targets[full], labels[full]
    categorical = [column for column in inputs.columns if column in choice.categorical]
    _check_rows(name_of(data), pd.concat([inputs, targets, labels], axis=1), [*categorical, *together], classes)
    parts = {
        column: _indicators(name_of(data), inputs[column], "--categorical")
        if column in categorical
        else _numbers(inputs[[column]])
        for column in inputs.columns
    }
    outputs = _indicators(name_of(data), targets[classes], "--classify") if classes else _numbers(targets)
    # After everything that may end in an error, which is to be one line.
    for column in left_out:
        print_note(f"column {column!r} only numbers the rows, so it is dropped; --use {shlex.quote(column)} keeps it.")
    for column in perhaps:
        advice = f"if it means nothing, drop it with --ignore {shlex.quote(column)}; --use keeps it without this note"
        print_note(
            f"column {column!r} looks like row numbers, some of which are missing or in another order: {advice}."
        )
    for column in inputs.columns[inputs.nunique() == 1]:
        print_note(f"input {column!r} has the same value in every row, so it cannot explain the target.")
    if len(inputs) < len(full):
        rows = listed([place(full, int(row)) for row in np.flatnonzero(~full)])
        print_note(f"dropped {len(full) - len(inputs)} of {len(full)} rows, which have missing values ({rows}).")
    if classes and not choice.classify and look_like_numbers(found := set(categories_of(targets[classes]))):
        shown = f"{len(found)} different texts that look like numbers, such as {min(found)!r}"
        print_note(f"column {classes!r} holds {shown}. Each is treated as a class. Add --classify if that is right.")
    groups = {column: list(parts[column].columns) for column in categorical}
    known = labels[together[0]] if together else None
    return Columns(pd.concat(parts.values(), axis=1), outputs, groups, classes, known)


def _check_rows(name: str, table: pd.DataFrame, categorical: Sequence[str], classes: str | None) -> None:
    BadEntries.find(table, [*categorical, *([classes] if classes else [])]).refuse(name, REMEDIES)
    if len(table) < 2:
        cause = f"has {count(len(table), 'row')} without missing values, at least 2 needed"
        raise bi.InvalidInputError(name, cause, "Give more rows, or drop a column with --ignore COLUMN")
    if classes and table[classes].nunique() < 2:
        raise bi.InvalidInputError(name, f"column {classes!r} holds one class only", "Give rows of two or more")


def read_inputs(data: Path, wanted: Sequence[str], form: TextFormat) -> np.ndarray:
    """The inputs that a model wants, from a file, shape (m, p).

    Raises
    ------
    InvalidInputError
        The file cannot be read, lacks an input, or has values that are no numbers.
    """
    table = read_data(data, form)
    if table.columns[0] not in wanted:
        _check_separator(data, table, form)
    inputs = pick_columns(name_of(data), table, wanted)
    BadEntries.find(inputs).refuse(name_of(data))
    return _numbers(inputs).to_numpy()


def _check_separator(data: Path, table: pd.DataFrame, form: TextFormat) -> None:
    """Raise an error that names --sep if a text is one column, which is no inputs with targets."""
    if table.shape[1] > 1 or table.index.name != "line":
        return
    sought = f"{form.sep!r} does not separate" if form.sep else "no comma, semicolon, tab or | separates"
    cause = f"has one column, {table.columns[0]!r}: {sought} its fields"
    raise bi.InvalidInputError(name_of(data), cause, "Give the separator, such as --sep space")


@contextmanager
def about(data: Path) -> Iterator[None]:
    """Errors about the tables that were made of a file name the file as it was given.

    Row numbers have been looked for in the file, and those that are left were asked for.
    """
    try:
        with ignored(OF_ROW_NUMBERS):
            yield
    except bi.InvalidInputError as error:
        if error.argument not in ("U", "Y", title_of(data)):
            raise
        raise bi.InvalidInputError(name_of(data), error.cause, error.remedy) from None


def predicted_classes(scores: pd.DataFrame) -> pd.Series:
    """Of outputs that indicate the classes of one column, the class with the largest in each row."""
    column = class_column(list(scores.columns))
    classes = np.array([name.removeprefix(f"{column}=") for name in scores.columns])
    return pd.Series(classes[scores.to_numpy().argmax(axis=1)], scores.index, name=column)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({column: to_numbers(table[column]) for column in table.columns}, index=table.index)


def _indicators(name: str, column: pd.Series, option: str) -> pd.DataFrame:
    """A column for each of its categories; the option is the one that says that it has some."""
    found = sorted(set(categories_of(column)))
    if len(found) > len(column) / ROWS_A_CATEGORY:
        cause = f"column {column.name!r} has {len(found)} different values in {len(column)} rows"
        remedy = (
            "Choose another target"
            if option == "--classify"
            else f"Drop it with --ignore {shlex.quote(str(column.name))}"
        )
        if np.isfinite(to_numbers(column)).all():
            remedy = f"Its values are numbers: omit {option} to use them as such"
        raise bi.InvalidInputError(name, f"{cause}, too many for categories", remedy)
    return indicators(column, found)


def _without_row_numbers(inputs: pd.DataFrame, kept: Collection[str]) -> tuple[pd.DataFrame, list[str]]:
    """A column that only numbers the rows would count as an input, and as the best one where rows are sorted."""
    counting = row_numbers(_numbers(inputs).to_numpy(), list(inputs.columns))
    counting = [column for column in counting if column not in kept]
    if len(counting) == inputs.shape[1]:
        return inputs, []
    return inputs.drop(columns=counting), counting


def _class_column(targets: pd.DataFrame, classify: bool) -> str | None:
    """The target if its values are classes: text, true and false, or anything where it is said so."""
    named = [column for column in targets.columns if classify or _holds_classes(targets[column])]
    if not named:
        if class_column(list(targets.columns)):
            raise bi.InvalidInputError("target", f"{quoted(targets.columns)} are names of classes", "Rename them")
        return None
    if targets.shape[1] > 1:
        raise bi.InvalidInputError("target", f"column {named[0]!r} holds classes", "Make it the only target")
    if "=" in named[0]:
        raise bi.InvalidInputError("target", f"column {named[0]!r} has an equals sign in its name", "Rename it")
    return named[0]


def _holds_classes(column: pd.Series) -> bool:
    """Whether its values are words or truth values; text that looks like numbers written otherwise is not."""
    values = column.dropna()
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return len(values) > 0
    is_text = all(isinstance(value, str) for value in values) and not np.isfinite(to_numbers(values)).any()
    return is_text and all(kind_of_entry(value) == "text" for value in set(values))
