# ruff: noqa: D301 (click's mark for "do not wrap" is a real backspace, so these docstrings are not raw)
"""``bcd-implicit predict``: predictions for a table."""

from __future__ import annotations

from pathlib import Path

import click
from cloup import option, option_group

import bcd_implicit as bi
from bcd_implicit.cli.console import asked_for_json, check_apart, count, for_programs, say
from bcd_implicit.cli.data_file import STANDARD_OUTPUT, check_data
from bcd_implicit.cli.options import (
    PipedPath,
    command,
    data_argument,
    gathered,
    json_option,
    model_argument,
    text_options,
)
from bcd_implicit.support.files import check_is_file
from bcd_implicit.support.importing import importing
from bcd_implicit.support.text_format import TextFormat


@command
@model_argument
@data_argument
@option_group(
    "Output",
    option(
        "--output",
        type=PipedPath(STANDARD_OUTPUT),
        metavar="FILE",
        required=True,
        help="File to write. The ending sets the format: .csv, .tsv, .json, .xlsx, .parquet, or .csv.gz, .bz2, .xz, "
        ".zip for compressed text. - writes CSV to standard output.",
    ),
    option("--probabilities", is_flag=True, help="Write the probability of each class instead of the class."),
    option("--scores", is_flag=True, help="Write the model's raw outputs, one for each class, instead of the class."),
    json_option,
)
@option_group("Data", *text_options)
@gathered("form", TextFormat)
def predict(model_path: Path, data: Path, output: Path, probabilities: bool, scores: bool, form: TextFormat) -> None:
    """Predict each row of DATA with MODEL.

    Columns are matched by name. Extra columns are ignored. Predictions are in the units of the targets: numbers,
    classes, or rates of counts.

    \b
    Examples:
      bcd-implicit predict m.npz new.csv --output predictions.csv
      cat new.csv | bcd-implicit predict m.npz - --output - | head
    """
    to_standard_output = output == STANDARD_OUTPUT
    if to_standard_output and asked_for_json():
        cause = "and --output - both need standard output"
        raise bi.InvalidInputError("json", cause, "Give --output a file, or omit --json")
    if scores and probabilities:
        cause = "and --scores ask for different outputs"
        raise bi.InvalidInputError("probabilities", cause, "Use one of them, and run the command again for the other")
    # Before the imports, which take longer than the checks.
    check_is_file(model_path)
    check_data(data)
    with importing():
        import pandas as pd

        from bcd_implicit.cli.columns import predicted_classes, read_inputs
        from bcd_implicit.support.display import listed
        from bcd_implicit.support.table_files import check_table_name, write_table
        from bcd_implicit.support.tables import class_column

    if not to_standard_output:
        check_table_name(output)
        check_apart(model=model_path, output=output)
        check_apart(data=data, output=output)
    model = bi.ImplicitModel.load(model_path)
    inputs = read_inputs(data, model.input_names, form)
    if probabilities and model.link not in ("softmax", "logit"):
        cause, remedy = "a model that has none", "Train it with --loss cross-entropy, or use --scores"
        if not class_column(model.output_names):
            predicts = "rates" if model.link == "log" else "numbers"
            cause, remedy = f"a model of {predicts}, which has none", f"Omit it to write the {predicts}"
        raise bi.InvalidInputError("probabilities", f"{model_path} holds {cause}", remedy)
    found = model.predict(inputs) if scores else model.response(inputs)
    predictions = pd.DataFrame(found, columns=model.output_names)
    if class_column(model.output_names) and not (scores or probabilities):
        predictions = predicted_classes(predictions).to_frame()
    if to_standard_output:
        click.echo(predictions.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    write_table(predictions, output)
    columns = list(predictions.columns)
    for_programs({"n_rows": len(predictions), "columns": columns, "files": [str(output)]})
    say(f"wrote {count(len(predictions), 'prediction')} of {listed(columns)} to {output}")
