"""The Python of the documentation's pages runs, and what they link to exists."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pytest

from bcd_implicit import ACTIVATIONS, BLOCKS, LOSSES, METHODS
from bcd_implicit.selection import solve_path
from bcd_implicit.selection.rules import RULES
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.training.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [page for page in PAGES[1:] if PYTHON.search(page.read_text())]


# Of these pages nothing is made shorter here, and they take longest: slow alone.
LONG = {"compression", "estimators", "explanations", "extending", "robust_training", "sparse_training"}


@pytest.mark.parametrize("page", [page for page in WITH_PYTHON if page.stem not in LONG], ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, plain_choice, monkeypatch):
    grid = solve_path.automatic_grid
    monkeypatch.setattr(
        solve_path, "automatic_grid", lambda problem, n_kappas, *rest: grid(problem, min(n_kappas, 5), *rest)
    )
    run(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_with_its_whole_paths_and_choices(page):
    run(page)


def run(page):
    text, names = page.read_text(), {"__name__": page.stem}
    with (
        mock.patch.dict(ACTIVATIONS),
        mock.patch.dict(LOSSES),
        mock.patch.dict(GROUP_NORMS),
        mock.patch.dict(RULES),
        mock.patch.dict(BLOCKS),
        mock.patch.dict(METHODS),
        mock.patch.dict(OPTIMIZERS),
    ):
        for block in PYTHON.finditer(text):
            above = "\n" * text.count("\n", 0, block.start(1))  # an error shows the page's own line number
            exec(compile(above + block[1], page, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_files_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_benchmark_is_on_its_page():
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    assert not [
        file.name for file in (ROOT / "benchmarks").glob("*.py") if f"python benchmarks/{file.name}" not in text
    ]
