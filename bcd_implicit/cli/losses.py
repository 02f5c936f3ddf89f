"""The options of the loss, and the loss that suits a command's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bcd_implicit as bi
from bcd_implicit.cli.console import print_note
from bcd_implicit.cli.data_file import name_of

if TYPE_CHECKING:
    import pandas as pd

    from bcd_implicit.cli.columns import Columns

# What to do about targets that a loss does not take, by the loss.
REMEDIES = {
    "logistic": "Pass 0 and 1, or probabilities; for one column of classes, use --classify instead of --loss logistic",
    "cross-entropy": "Pass a column of 0 and 1, or of probabilities, for each class; or one column of classes with "
    "--classify",
    "poisson": "Pass counts or rates; for other numbers use --loss squared, huber or absolute",
}


@dataclass(frozen=True)
class LossChoice:
    """What the options say of the loss.

    Attributes
    ----------
    loss : str or None
        None for the one that suits the targets.
    quantile, huber_threshold : float or None
        The number of one of the losses.
    """

    loss: str | None = None
    quantile: float | None = None
    huber_threshold: float | None = None

    def suiting(self, columns: Columns, data: Path) -> tuple[bi.Loss, Columns]:
        """The loss, and the columns with targets as it takes them.

        Raises
        ------
        InvalidInputError
            The loss has no value for a target, or classes need another.
        """
        from bcd_implicit.support.tables import place

        name = self.loss or ("cross-entropy" if columns.classes else "squared")
        if self.quantile is not None and name != "quantile":
            raise bi.InvalidInputError("quantile", "applies only to --loss quantile", "Add --loss quantile")
        if self.huber_threshold is not None and name != "huber":
            raise bi.InvalidInputError("huber_threshold", "applies only to --loss huber", "Add --loss huber")
        loss = bi.LOSSES[name]
        if self.quantile is not None:
            loss = bi.QuantileLoss(self.quantile)
        if self.huber_threshold is not None:
            loss = bi.HuberLoss(self.huber_threshold)
        outputs = columns.outputs
        if columns.classes:
            loss, outputs = _of_classes(loss, columns)
        elif name == "cross-entropy" and outputs.shape[1] == 1:
            cause = f"cross-entropy is for classes, but column {outputs.columns[0]!r} holds numbers"
            raise bi.InvalidInputError("loss", cause, "Add --classify if they stand for classes")
        try:
            loss.check_targets(outputs.to_numpy().T, list(outputs.columns), name_of(data), partial(place, outputs))
        except bi.InvalidInputError as error:
            remedy = REMEDIES.get(loss.name, error.remedy)
            raise bi.InvalidInputError(error.argument, error.cause, remedy) from None
        if self.loss is None:
            _note_what_may_be_classes(columns)
        return loss, replace(columns, outputs=outputs)


def _note_what_may_be_classes(columns: Columns) -> None:
    """Of one column of a few whole numbers, which are taken for numbers."""
    import numpy as np

    from bcd_implicit.support.notations import are_few_whole_numbers

    values = columns.outputs.to_numpy()
    if columns.classes is None and values.shape[1] == 1 and are_few_whole_numbers(values):
        column = columns.outputs.columns[0]
        print_note(
            f"column {column!r} holds {len(np.unique(values))} different whole numbers, which are treated as "
            "numbers. Add --classify if they are classes, or --loss squared if numbers are right."
        )


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
