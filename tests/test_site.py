"""What measures the pages of the site finds pages that do not fit, and only those."""

import base64
import importlib.util
import io
import shutil
import sys
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


def test_a_card_says_what_the_notebook_says():
    pytest.importorskip("sphinx", reason="the gallery is an extension of Sphinx")
    gallery = module("notebook_gallery")
    assert gallery.first_sentence("\n$$\nx\n$$\n\nSee [this](that.md): it\nholds. More.") == "See this."
    png = io.BytesIO()
    Image.new("RGB", (2, 2)).save(png, format="PNG")
    pixel = base64.b64encode(png.getvalue()).decode()
    drawn = {"cell_type": "code", "source": [], "outputs": [{"data": {"image/png": pixel}}], "metadata": {}}
    texts = ["# Title\n\nIntroduction.", "## A\n\nFirst. Second.", "Third.", "## B\n\nFourth."]
    title, a, third, b = ({"cell_type": "markdown", "source": [text], "metadata": {}} for text in texts)
    found = list(gallery.figures([title, a, drawn, drawn, third, drawn, b, drawn]))
    assert [figure.heading for figure in found] == ["A", "A", "A", "B"]
    assert [figure.sentence for figure in found] == ["First.", "", "Third.", "Fourth."]
    assert gallery.seconds_of([title, drawn]) is None
