"""What measures the pages of the site finds pages that do not fit, and only those."""

import base64
import importlib.util
import io
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
PAGE = '<!doctype html><meta charset="utf-8"><body style="margin: 0{}"><article>{}</article></body>'
CODE = '<div class="highlight"><pre style="width: 700px; overflow-x: auto">{}</pre></div>'
PAGES = {
    "fits": PAGE.format("", CODE.format("x" * 60).replace("700px", "100%")),
    "wide": PAGE.format("", '<div style="width: 600px">wide</div>'),
    "clipped": PAGE.format("; overflow-x: hidden", '<div style="width: 600px">clipped</div>'),
    "scrolls inside": PAGE.format("", '<div style="overflow-x: auto"><div style="width: 3000px">x</div></div>'),
    "long code": PAGE.format("", CODE.format("x" * 200).replace("700px", "100%").replace("<pre", "<pre class='c'")),
}


def module(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    # A dataclass looks itself up.
    with mock.patch.dict(sys.modules, {name: found}):
        spec.loader.exec_module(found)
    return found


@pytest.mark.slow
def test_pages_that_do_not_fit_are_found(tmp_path):
    check_site = module("check_site")
    browser = next(filter(None, map(shutil.which, check_site.BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no browser")
    for name, page in PAGES.items():
        (tmp_path / f"{name}.html").write_text(page)
    faults = check_site.faults_of(tmp_path, browser, 120)
    assert [fault.partition(" px")[0] for fault in faults] == [
        "clipped.html at 390",
        "long code.html at 1366",
        "wide.html at 390",
    ]


def test_a_card_has_the_heading_the_caption_and_the_time_of_its_notebook(tmp_path):
    pytest.importorskip("sphinx", reason="the gallery is an extension of Sphinx")
    gallery = module("notebook_gallery")
    png = io.BytesIO()
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 0, 0), (20, 0, 40, 20))
    picture.save(png, format="PNG")
    pixels = base64.b64encode(png.getvalue()).decode()
    drawn = [
        {"cell_type": "code", "id": name, "source": [], "outputs": [{"data": {"image/png": pixels}}], "metadata": {}}
        for name in ("one", "two", "three")
    ]
    texts = ["# Title\n\nIntroduction.\n\nTime: 9 seconds.", "## A\n\nFirst.", "Second.", "## B\n\nThird."]
    title, a, second, b = ({"cell_type": "markdown", "source": [text], "metadata": {}} for text in texts)
    cells = [title, a, drawn[0], second, drawn[1], b, drawn[2]]
    found = list(gallery.figures(cells))
    assert [(figure.heading, figure.cell) for figure in found] == [("A", "one"), ("A", "two"), ("B", "three")]
    assert gallery.unmatched(found, {"one": {}, "three": {}, "four": {}}) == ["four", "two"]

    notebook = tmp_path / "00_some.ipynb"
    notebook.write_text(json.dumps({"cells": [title, a, drawn[0]]}))
    page = gallery.section(notebook, {"one": {"caption": "`B` in red.", "crop": [0.5, 0, 1, 1]}})
    assert "Time: 9 seconds." in page
    assert ":img-alt: B in red.\n" in page
    assert "\n`B` in red.\n" in page
    shown = re.search("base64,(.*)", page)[1]
    with Image.open(io.BytesIO(base64.b64decode(shown))) as half:
        assert half.size == (20, 20)
        assert half.convert("RGB").getcolors() == [(400, (255, 0, 0))]


def test_every_figure_of_the_notebooks_has_a_caption():
    pytest.importorskip("sphinx", reason="the gallery is an extension of Sphinx")
    gallery = module("notebook_gallery")
    captions = tomllib.loads(gallery.CAPTIONS.read_text())
    notebooks = {path.stem: path for path in (DOCS.parent / "notebooks").glob("*.ipynb")}
    assert set(captions) == set(notebooks)
    for name, path in notebooks.items():
        cells = json.loads(path.read_text())["cells"]
        assert not gallery.unmatched(list(gallery.figures(cells)), captions[name])
        assert gallery.time_of(cells)
    said = [figure["caption"] for figures in captions.values() for figure in figures.values()]
    assert len(set(said)) == len(said)
