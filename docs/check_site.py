"""Measure every page of the built site in a headless browser: ``python docs/check_site.py build/site``.

No page may scroll sideways at 390, 1366 or 1920 pixels, and at 1366 no code of a page or a notebook may be wider than
its box. What a program printed, and formulas and sources of the modules, may scroll inside theirs. Each page is
loaded once, in a frame whose width is then changed: a frame answers a page's questions about the width as a window
does, and needs neither a driver nor a protocol. Without Chromium there is nothing to measure, and nothing fails.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

WIDTHS = (390, 1366, 1920)
CODE_FITS_AT = 1366
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A redirect shows nothing, and these are lists that Sphinx makes.
LEFT_OUT = {"index.html"}

PROBE = """<!doctype html><meta charset="utf-8"><iframe id="frame" style="height: 900px; border: 0"></iframe><script>
const frame = document.getElementById("frame");
const pages = PAGES, widths = WIDTHS, faults = [];
const load = page => new Promise(done => { frame.onload = done; frame.src = page; });
const drawn = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
const named = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.className ? "." + e.className : "");
function outside(page, width) {
  // Elements of the text beyond the right edge that no scrolling box holds: they make the page wide, or are cut.
  const scrolls = e => e && e !== page.body
    && (["auto", "scroll"].includes(page.defaultView.getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  return [...page.querySelectorAll("article *")].filter(
    e => e.getBoundingClientRect().right > width + 1 && !scrolls(e)).map(named).slice(0, 3).join(", ");
}
async function measure() {
  for (const name of pages) {
    await load(name);
    const page = frame.contentDocument, view = frame.contentWindow;
    if (view.MathJax && view.MathJax.startup) await view.MathJax.startup.promise;
    for (const width of widths) {
      frame.style.width = width + "px";
      await drawn();
      const wide = page.documentElement.scrollWidth, lost = outside(page, width);
      if (wide > width || lost)
        faults.push(`${name} at ${width} px is ${wide} px wide: ${lost}`);
      if (width === CODE_FITS_AT && !name.includes("modules/"))
        for (const code of page.querySelectorAll("article div.highlight pre"))
          if (code.scrollWidth > code.clientWidth + 1 && !code.closest(".output, .highlight-text"))
            faults.push(`${name} at ${width} px cuts code: ${code.innerText.split("\\n").sort(
              (a, b) => b.length - a.length)[0]}`);
    }
  }
}
measure().catch(error => faults.push(String(error))).then(
  () => fetch("/result", {method: "POST", body: JSON.stringify(faults)}));
</script>"""


class Server(SimpleHTTPRequestHandler):
    """The site, the page that measures it, and the place where that page leaves its result."""

    def __init__(self, *args: object, probe: str, result: list[str], done: threading.Event, directory: str) -> None:
        self.probe, self.result, self.done = probe, result, done
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path == "/probe":
            self.answer(self.probe.encode())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.result += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(b"")
        self.done.set()

    def answer(self, body: bytes) -> None:
        """Send a page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: there are thousands of requests."""


def faults_of(site: Path, browser: str, seconds: float, widths: Sequence[int] = WIDTHS) -> list[str]:
    """The pages that do not fit, a line each.

    Raises
    ------
    TimeoutError
        The browser had not measured all pages in time.
    """
    pages = sorted(page.relative_to(site).as_posix() for page in site.rglob("*.html"))
    probe = PROBE.replace("PAGES", json.dumps([page for page in pages if page not in LEFT_OUT]))
    probe = probe.replace("WIDTHS", json.dumps(list(widths))).replace("CODE_FITS_AT", str(CODE_FITS_AT))
    result: list[str] = []
    done = threading.Event()
    handler = functools.partial(Server, probe=probe, result=result, done=done, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={profile}",
            "--window-size=2000,1000",
        ]
        address = f"http://127.0.0.1:{server.server_port}/probe"
        # With the debugging port open the browser stays until it is ended.
        with subprocess.Popen(
            [browser, *options, "--remote-debugging-port=0", address],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                if not done.wait(seconds):
                    raise TimeoutError(f"{len(pages)} pages were not measured in {seconds:.0f} s")
            finally:
                process.terminate()
                process.wait()
                server.shutdown()
    return result


def main() -> None:
    """Measure the site that is named, and exit with 1 if a page does not fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", type=Path, help="the folder that make docs wrote")
    parser.add_argument("--seconds", type=float, default=600, help="time limit (600)")
    arguments = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"The site was not measured: none of {', '.join(BROWSERS)} is installed.")
        return
    faults = faults_of(arguments.site, browser, arguments.seconds)
    print("\n".join(faults) or "Every page fits at 390, 1366 and 1920 pixels.")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
