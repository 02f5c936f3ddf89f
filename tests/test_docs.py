"""The Python of the documentation's pages runs, and what they link to exists."""

from __future__ import annotations

import ast
import re
import unicodedata
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from unittest import mock

import pytest

import bcd_implicit as bi
from bcd_implicit import ACTIVATIONS, BLOCKS, LOSSES, METHODS
from bcd_implicit.selection import solve_path
from bcd_implicit.selection.rules import RULES
from bcd_implicit.terms.group_norms import GROUP_NORMS
from bcd_implicit.training.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_PYTHON = [page for page in PAGES[1:] if PYTHON.search(page.read_text())]


# Of these pages nothing is made shorter here, and they take longest: slow alone.
LONG = {"compression", "estimators", "explanations", "extending", "robust_training", "selection", "sparse_training"}


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


FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a program printed stays as it is; directives are no code.
NOT_CODE = ("text", "{")
# Of a session the commands alone.
TYPED = ("$ ", "> ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_fits_79_columns(page):
    text = page.read_text()
    fenced = [
        line
        for kind, block in FENCE.findall(text)
        if not kind.startswith(NOT_CODE)
        for line in block.split("\n")
        if kind != "console" or line.startswith(TYPED)
    ]
    indented = re.findall(r"^ {4}\S.*", FENCE.sub("", text), re.MULTILINE)
    assert not [line for line in fenced + indented if len(line) > 79]


HOMES = [
    "bcd_implicit",
    *(f"bcd_implicit.{room}" for room in ("compose", "constraints", "datasets", "networks", "plots")),
]


def test_every_public_name_is_on_the_api_page_once():
    page = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"^   ~(bcd_implicit\.[\w.]+)$|^\.\. autodata:: (\S+)$", page, re.MULTILINE)
    names = ["".join(pair) for pair in listed]
    assert sorted(set(names)) == sorted(names)
    # A name that a room passes on is public itself, and stands there.
    public = {f"{home}.{name}" for home in HOMES for name in import_module(home).__all__}
    assert not {n for n in public - set(names) if f"bcd_implicit.{n.rpartition('.')[2]}" not in names}
    # PyTorch's layer is where PyTorch, which is optional, is needed.
    assert all(resolve_name(name) is not None for name in names if "pytorch" not in name)


@pytest.mark.parametrize("letters", ["ACTIVATIONS", "LOSSES", "METHODS", "BLOCKS", "SOLVERS"])
def test_the_api_page_lists_what_can_be_named(letters):
    page = (ROOT / "docs" / "api.md").read_text()
    words = re.search(rf"autodata:: bcd_implicit.{letters}\n\n((?:   .*\n)+)", page)[1]
    assert not [name for name in getattr(bi, letters) if not re.search(rf"\b{name}\b", words)]


def headings_of(page):
    """The anchors of a page's headings, as the site and GitHub make them."""
    titles = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = [unicodedata.normalize("NFC", title).lower().replace("`", "") for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


def test_messages_name_sections_that_exist():
    named = {
        call.args[0].value
        for file in (ROOT / "bcd_implicit").rglob("*.py")
        if "see(" in (text := file.read_text())
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "see"
        and isinstance(call.args[0], ast.Constant)
    }
    kinds = [getattr(bi, name) for name in bi.__all__]
    of_classes = {kind.section for kind in kinds if isinstance(kind, type) and getattr(kind, "section", "")}
    assert len(named) >= 6
    assert len(of_classes) >= 6
    assert named | of_classes <= headings_of(ROOT / "docs" / "troubleshooting.md")


def texts_of(file):
    """The strings of a file, a line each; a gap where something is filled in."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


# What a message fills in: text in quotes, numbers, letters, solvers, blocks and plurals.
FILLED_IN = re.compile(
    r"""'[^']*' | \bNaN\b | \b[A-Z]+\b(?!\ residual) | \bkappa\b | \bfields\b | [-+]?\d[\d.e+-]* | \w+[.-][a-z]+:
    | its\ states | \ and\  | \w+\[\d\]""",
    re.VERBOSE,
)


def test_messages_of_the_troubleshooting_page_are_those_of_the_code():
    said = "\n".join(text for file in (ROOT / "bcd_implicit").rglob("*.py") for text in texts_of(file))
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    quotes = re.findall(r"^> \w+: ((?:.*)(?:\n> .*)*)", page, re.MULTILINE)
    pieces = [
        piece.strip(" .,:()=|_")
        for quote in quotes
        for piece in FILLED_IN.split(" ".join(quote.replace("\n> ", " ").split()))
    ]
    assert len(quotes) >= 16
    assert not [piece for piece in pieces if " " in piece and piece not in said]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_sections_lead_to_headings(page):
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text()):
        target = page.parent / file if file else page
        assert target.suffix != ".md" or anchor in headings_of(target), (file, anchor)


def test_references_list_every_paper_that_is_cited():
    page = ROOT / "docs" / "references.md"
    sources = [*PAGES, *(ROOT / "bcd_implicit").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    texts = [file.read_text() for file in sources if file != page]
    listed = set(re.findall(r"\[arXiv (\d{4}\.\d{5})\]\(https://arxiv.org/abs/\1\)", page.read_text()))
    assert listed == {number for text in texts for number in re.findall(r"arXiv[ :/]*(\d{4}\.\d{5})", text)}
    # By name and year, as in "Beck and Teboulle 2009" or "Rao (1948)"; letters without their accents.
    letters = unicodedata.normalize("NFD", page.read_text()).encode("ascii", "ignore").decode()
    entries = letters.split("\n- ")
    cited = {pair for text in texts for pair in re.findall(r"\b([A-Z][a-z]+),? \(?((?:19|20)\d\d)\)", text)}
    assert len(cited) > 10
    assert not {pair for pair in cited if not any(pair[0] in entry and pair[1] in entry for entry in entries)}
