"""How well ``fit``'s model predicts, beside models that one has without this package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from rich.table import Table as RichTable

import bcd_implicit as bi
from bcd_implicit.cli.columns import Columns
from bcd_implicit.cli.console import count
from bcd_implicit.experiments.scores import Scores, accuracy, r2, ridge_on_all_columns

#: As the names of values begin, and as the table calls them.
MODELS = {"": "implicit model", "ridge_": "ridge, all columns", "constant_": "no inputs"}
ROWS = {"train": "training", "test": "held-out"}
SCORES = {"r2": "R2", "d2": "D2", "accuracy": "accuracy", "log_loss": "log loss"}


@dataclass(frozen=True)
class FitScores:
    """Scores on the rows trained on and on those held out.

    Attributes
    ----------
    values : dict of str to float
        By names such as test_r2 and ridge_train_accuracy: the model, the rows and the score.
    n_train, n_test : int
        Numbers of rows.
    """

    values: dict[str, float]
    n_train: int
    n_test: int

    @classmethod
    def of(cls, model: bi.ImplicitModel, loss: bi.Loss, columns: Columns, train: pd.Index, test: pd.Index) -> FitScores:
        """Of a model that takes raw inputs."""
        values = {}
        inputs, outputs = columns.inputs.loc[train].to_numpy(), columns.outputs.loc[train].to_numpy()
        ridge = ridge_on_all_columns(inputs, outputs)
        shares = np.full(len(outputs), 1 / len(outputs))
        for rows, index in (("train", train), ("test", test)):
            if not len(index):
                continue
            U, Y = columns.inputs.loc[index].to_numpy(), columns.outputs.loc[index].to_numpy()
            scores = Scores.of(loss, model.predict(U), Y, columns.classes is not None)
            if scores.accuracy is not None:
                values[f"{rows}_accuracy"] = scores.accuracy
                values[f"ridge_{rows}_accuracy"] = accuracy(Y, ridge.predict(U).reshape(Y.shape))
                # Always the most frequent class; and the shares of the classes, for the log loss.
                values[f"constant_{rows}_accuracy"] = accuracy(Y, np.broadcast_to(outputs.sum(axis=0), Y.shape))
                if scores.log_loss is not None:
                    constant = loss.best_constant(outputs.T, shares)
                    values[f"{rows}_log_loss"] = scores.log_loss
                    values[f"constant_{rows}_log_loss"] = float(
                        loss.value(np.broadcast_to(constant[:, None], Y.T.shape), Y.T).mean()
                    )
            elif scores.d2 is not None:
                values[f"{rows}_d2"] = scores.d2
            else:
                values[f"{rows}_r2"] = scores.r2
                values[f"ridge_{rows}_r2"] = r2(Y, ridge.predict(U).reshape(Y.shape))
        return cls(values, len(train), len(test))

    def table(self) -> RichTable:
        """For the terminal: a row a model, a column for each score and part of the rows."""
        shown = RichTable()
        shown.add_column("model")
        columns = [
            (score, part, number)
            for score in SCORES
            for part, number in (("train", self.n_train), ("test", self.n_test))
            if f"{part}_{score}" in self.values
        ]
        for score, part, number in columns:
            shown.add_column(f"{SCORES[score]}, {count(number, f'{ROWS[part]} row')}", justify="right")
        for prefix, name in MODELS.items():
            found = [self.values.get(f"{prefix}{part}_{score}") for score, part, _ in columns]
            if any(value is not None for value in found):
                shown.add_row(name, *("-" if value is None else f"{value:.4f}" for value in found))
        return shown
