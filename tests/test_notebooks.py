"""Notebooks keep to their form; ``make notebooks`` runs them."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
by_name = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
all_by_name = pytest.mark.parametrize("file", [*NOTEBOOKS, *SOLUTIONS], ids=lambda file: file.stem)


def cells(file, kind=None):
    """The sources of a notebook's cells."""
    found = json.loads(file.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if kind in (None, cell["cell_type"])]


def solutions_of(file):
    return file.parent / "solutions" / f"{file.stem[:2]}_solutions.ipynb"


def n_tasks(file):
    """How many tasks stand under "Try this", at the notebook's end."""
    return len(re.findall(r"^- ", cells(file)[-1].split("## Try this\n")[1], re.MULTILINE))


def test_each_notebook_has_solutions_and_they_have_a_notebook():
    assert [solutions_of(file) for file in NOTEBOOKS] == SOLUTIONS


@by_name
def test_a_notebook_opens_with_a_title_and_its_time(file):
    opening = cells(file)[0]
    assert opening.startswith("# ")
    assert re.search(
        r"^Time: \d+ seconds of processor time, about \d+ on a busy two-core machine\.$", opening, re.MULTILINE
    )


@by_name
def test_a_notebook_ends_with_tasks_and_a_link_to_their_solutions(file):
    assert f"](solutions/{solutions_of(file).name})" in cells(file)[-1]
    answers = [source for source in cells(solutions_of(file)) if source.startswith("## ")]
    assert n_tasks(file) == len(answers) > 1


@pytest.mark.parametrize("file", SOLUTIONS, ids=lambda file: file.stem)
def test_a_solution_is_code_that_ran_and_words_after_it(file):
    top, *_ = found = json.loads(file.read_text())["cells"]
    assert re.search(r"\]\(\.\./\d\d_\w+\.ipynb\)", "".join(top["source"]))
    for before, heading in pairwise(found[1:]):
        if "".join(heading["source"]).startswith("## "):
            assert before["cell_type"] == ("code" if before is found[1] else "markdown")
    assert found[-1]["cell_type"] == "markdown"


@all_by_name
def test_code_of_a_notebook_fits_the_page(file):
    assert not [line for source in cells(file, "code") for line in source.splitlines() if len(line) > 79]


@all_by_name
def test_a_notebook_has_been_run_without_errors_and_tells_nothing_of_the_machine(file):
    notebook = json.loads(file.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    # Pictures are letters too.
    texts = [str({k: v for k, v in output.get("data", output).items() if "image" not in k}) for output in outputs]
    assert not [text for text in [*cells(file), *texts] if re.search(r"/(home|work|tmp|root|Users)/|[A-Z]:\\\\", text)]


@all_by_name
def test_files_that_a_notebook_links_exist(file):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", "\n".join(cells(file, "markdown")))
    assert not [link for link in links if not (file.parent / link).exists()]


@pytest.mark.parametrize("name", ["path", "cobweb"])
def test_animations_are_small_and_come_to_an_end(name):
    file = ROOT / "docs" / f"{name}.gif"
    assert file.stat().st_size < 400_000
    with Image.open(file) as image:
        assert image.n_frames > 10
        assert 0 < image.info["loop"] < 5  # 0 is for ever
