"""Numbers in notations that Python does not read: decimal commas, thousands, marks for missing values."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np

# At most this many different numbers may be classes.
MOST_CLASSES = 20
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2}([., '\u2019\u00a0\u202f]\d{3})+([.,]\d+)?\s*")
# With a unit behind it, or one of money before it.
_LIKE_A_NUMBER = re.compile(r"\s*[^\w\s]?\s*[+-]?[.,]?\d.*", re.DOTALL)


def kind_of_entry(value: Any) -> str:
    """What an entry that is no number looks like: "text", or numbers in another notation, or a mark."""
    if isinstance(value, (float, np.floating)):
        return "infinite"
    if not isinstance(value, str):
        return "text"
    if COMMA_NUMBER.fullmatch(value):
        return "comma"
    if _THOUSANDS.fullmatch(value):
        return "thousands"
    return "text" if any(map(str.isalnum, value)) else "mark"


def is_number_written_otherwise(value: Any) -> bool:
    """Whether it is a text such as 52,5 or 1 234, which is a number to a person."""
    return kind_of_entry(value) in ("comma", "thousands")


def are_few_whole_numbers(values: np.ndarray) -> bool:
    """Whether they are 3 to 20 different whole numbers, which might be classes."""
    return not (values % 1).any() and 2 < len(np.unique(values)) <= MOST_CLASSES


def look_like_numbers(classes: Collection[Any]) -> bool:
    """Whether they are more than some classes are, and each is a number or begins with one: 52.5, 52,5 kg, $ 52."""
    return len(classes) > MOST_CLASSES and all(_LIKE_A_NUMBER.fullmatch(str(label)) for label in classes)
