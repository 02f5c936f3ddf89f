"""Colours and limits of the plots."""

from __future__ import annotations

import numpy as np

# Seen on white and on black.
USED, UNUSED, MARK = "#c44e52", "#8c96a3", "#4c72b0"
# Errors and gaps below this are nothing but rounding, and drawn next to zero.
ROUNDING = float(np.finfo(float).eps)
