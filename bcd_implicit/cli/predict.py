# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit predict``: predictions for a table."""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd

import bcd_implicit as bi
from bcd_implicit.cli.console import console, count
from bcd_implicit.support.checks import check_matrix
from bcd_implicit.support.tables import pick_columns, read_table, write_table


@click.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The CSV or Parquet file to write.")
def predict(model_path: Path, data: Path, output: Path) -> None:
    """Predict the rows of table DATA with MODEL. Columns are matched by name; others are ignored.

    \b
    Example:
      bcd-implicit predict m.npz new.csv --output predictions.csv
    """
    model = bi.ImplicitModel.load(model_path)
    inputs = check_matrix(data.name, pick_columns(data.name, read_table(data), model.input_names))
    predictions = pd.DataFrame(model.predict(inputs), columns=model.output_names)
    write_table(predictions, output)
    console.print(
        f"wrote {count(len(predictions), 'prediction')} of {', '.join(model.output_names)} to {output}",
        soft_wrap=True,
    )
