"""The options of the loss, and the loss that suits a command's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import pandas as pd

import bcd_implicit as bi
from bcd_implicit.cli.columns import Columns
from bcd_implicit.cli.options import gathered
from bcd_implicit.support.tables import place
from bcd_implicit.terms.losses import get_loss


@dataclass(frozen=True)
class LossChoice:
    """What the options say of the loss.

    Attributes
    ----------
    loss : str or None
        None for the one that suits the targets.
    quantile : float or None
        Its level.
    """

    loss: str | None = None
    quantile: float | None = None

    def suiting(self, columns: Columns, data: Path) -> tuple[bi.Loss, Columns]:
        """The loss, and the columns with targets as it takes them.

        Raises
        ------
        InvalidInputError
            The loss has no value for a target, or classes need another.
        """
        name = self.loss or ("cross-entropy" if columns.classes else "squared")
        if self.quantile is not None and name != "quantile":
            raise bi.InvalidInputError("quantile", "is the level of the loss quantile alone", "Add --loss quantile")
        loss = get_loss(name) if self.quantile is None else bi.QuantileLoss(self.quantile)
        outputs = columns.outputs
        if columns.classes:
            loss, outputs = _of_classes(loss, columns)
        elif name == "cross-entropy" and outputs.shape[1] == 1:
            cause = f"cross-entropy is for classes, and column {outputs.columns[0]!r} holds numbers"
            raise bi.InvalidInputError("loss", cause, "Add --classify if they stand for classes")
        loss.check_targets(outputs.to_numpy().T, list(outputs.columns), str(data), partial(place, outputs))
        return loss, replace(columns, outputs=outputs)


def _of_classes(loss: bi.Loss, columns: Columns) -> tuple[bi.Loss, pd.DataFrame]:
    """The loss for indicators of classes, and the indicators: 0 and 1, and for least squares -1 and 1."""
    outputs = columns.outputs
    if loss.quadratic:
        return loss, 2 * outputs - 1
    # Of two classes they are the same.
    if loss.name == "cross-entropy" or (loss.name == "logistic" and outputs.shape[1] == 2):
        return bi.LOSSES["cross-entropy"], outputs
    cause = f"{loss.name} does not suit column {columns.classes!r}, which holds {outputs.shape[1]} classes"
    raise bi.InvalidInputError("loss", cause, "Use cross-entropy or squared")


loss_options = gathered(
    "loss_choice",
    LossChoice,
    click.option(
        "--loss",
        type=click.Choice(list(bi.LOSSES)),
        default=None,
        help="What the model is trained and judged by.  [default: squared, and cross-entropy for classes]",
    ),
    click.option(
        "--quantile",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=None,
        help="The level of --loss quantile, such as 0.9.  [default: 0.5]",
    ),
)
