"""The package's logger, ``logging.getLogger("bcd_implicit")``: silent unless a program asks for it.

INFO is a line for each cycle of a solve that a person called, each kappa or weight of a path, each step of a choice and
of an estimator's fit; DEBUG the cycles of solves inside these. Jobs in other processes log there.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("bcd_implicit")
logger.addHandler(logging.NullHandler())
