"""JSON that every reader takes: JSON knows neither nan nor infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_text(value: Any, indent: int | None = None) -> str:
    """The value as JSON, with null for numbers that are not finite.

    Parameters
    ----------
    value : dict, list, array, text, number, bool or None
        Dictionaries and lists may hold these in turn.
    indent : int, optional
        As of ``json.dumps``.
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, (list, tuple)) else value
