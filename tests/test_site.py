"""What measures the pages of the site finds pages that do not fit, and only those."""

import importlib.util
import shutil
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / "docs" / "check_site.py"
PAGE = '<!doctype html><meta charset="utf-8"><body style="margin: 0{}"><article>{}</article></body>'
CODE = '<div class="highlight"><pre style="width: 700px; overflow-x: auto">{}</pre></div>'
PAGES = {
    "fits": PAGE.format("", CODE.format("x" * 60).replace("700px", "100%")),
    "wide": PAGE.format("", '<div style="width: 600px">wide</div>'),
    "clipped": PAGE.format("; overflow-x: hidden", '<div style="width: 600px">clipped</div>'),
    "scrolls inside": PAGE.format("", '<div style="overflow-x: auto"><div style="width: 3000px">x</div></div>'),
    "long code": PAGE.format("", CODE.format("x" * 200).replace("700px", "100%").replace("<pre", "<pre class='c'")),
}


@pytest.mark.slow
def test_pages_that_do_not_fit_are_found(tmp_path):
    spec = importlib.util.spec_from_file_location("check_site", CHECK)
    check_site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_site)
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
