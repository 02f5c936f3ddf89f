# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit predict``: predictions for a table."""

from __future__ import annotations

from pathlib import Path

import click

import bcd_implicit as bi
from bcd_implicit.cli.console import check_apart, console, count
from bcd_implicit.cli.options import text_options
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.importing import importing
from bcd_implicit.support.text_format import TextFormat


@click.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, as its name says: .csv, .tsv, .json, .xlsx or .parquet; .csv.gz, .bz2, .xz or .zip.",
)
@click.option("--probabilities", is_flag=True, help="Of a classifier: the probability of each class.")
@click.option("--scores", is_flag=True, help="What the model puts out: one for each class, not the class.")
@text_options
def predict(model_path: Path, data: Path, output: Path, probabilities: bool, scores: bool, form: TextFormat) -> None:
    """Predict the rows of the file DATA with MODEL. Columns are matched by name; others are ignored.

    What is written is in the targets' own units: numbers, classes, rates of counts.

    \b
    Example:
      bcd-implicit predict m.npz new.csv --output predictions.csv
    """
    if scores and probabilities:
        cause = "and --scores ask for different tables"
        raise bi.InvalidInputError("probabilities", cause, "Give one of them, and run the command again for the other")
    # Before the imports, which take longer than the check.
    check_is_file(model_path)
    check_is_file(data)
    with importing():
        import pandas as pd

        from bcd_implicit.cli.columns import predicted_classes, read_inputs
        from bcd_implicit.support.display import listed
        from bcd_implicit.support.table_files import check_table_name, write_table
        from bcd_implicit.support.tables import class_column

    check_table_name(output)
    check_apart(model=model_path, output=output)
    check_apart(data=data, output=output)
    model = bi.ImplicitModel.load(model_path)
    inputs = read_inputs(data, model.input_names, form)
    if probabilities and model.link not in ("softmax", "logit"):
        cause, remedy = "a model that knows none", "Train it with --loss cross-entropy, or use --scores"
        if not class_column(model.output_names):
            predicts = "rates" if model.link == "log" else "numbers"
            cause, remedy = f"a model of {predicts}, which has none", f"Leave it out, to write the {predicts}"
        raise bi.InvalidInputError("probabilities", f"{model_path} holds {cause}", remedy)
    found = model.predict(inputs) if scores else model.response(inputs)
    predictions = pd.DataFrame(found, columns=model.output_names)
    if class_column(model.output_names) and not (scores or probabilities):
        predictions = predicted_classes(predictions).to_frame()
    write_table(predictions, output)
    console.print(
        f"wrote {count(len(predictions), 'prediction')} of {listed(list(predictions.columns))} to {output}",
        soft_wrap=True,
    )
