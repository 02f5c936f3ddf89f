"""The directive ``notebook-gallery``: a card for each figure of the notebooks, from their own outputs.

What a card says is what the notebook says: the heading that the figure stands under, and the first sentence below it.
The time beside a notebook's title is that of the run that made the figures. Nothing is written beside the sources.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WIDTH = 480  # pixels of a thumbnail, twice of what it takes on the page
GRID = "::::{grid} 1 2 2 3\n:gutter: 3\n:class-container: gallery\n"
CARD = """:::{{grid-item-card}} {title}
:img-top: {picture}
:link: /notebooks/{file}
:link-type: doc
{sentence}
:::
"""


@dataclass(frozen=True)
class Figure:
    """A figure as a data URI, the heading above it, and the first sentence below that."""

    heading: str
    sentence: str
    picture: str


def thumbnail(png: str) -> str:
    """A PNG in base64, made small, as a data URI."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDTH, WIDTH))
        data = io.BytesIO()
        # 64 colours are enough for lines and bars, and a third of the size.
        small.quantize(64).save(data, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def first_sentence(text: str) -> str:
    """The first sentence of a text in Markdown, without formulas set apart, links and code blocks."""
    paragraph = next((part for part in text.strip().split("\n\n") if re.match(r"[\w`*\[]|\$(?!\$)", part)), "")
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(paragraph.split()))
    sentence = re.split(r"(?<=[.?!:])\s+(?=[\w`$])", plain)[0]
    return f"{sentence[:-1]}." if sentence.endswith(":") else sentence


def figures(cells: list[dict[str, Any]]) -> Iterator[Figure]:
    """The figures of a notebook's cells, in their order; no sentence is said twice."""
    heading = sentence = ""
    shown: set[str] = set()
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            if found := re.match(r"#+ (.*)\n?", source):
                heading, sentence, source = found[1], "", source[found.end() :]
            # Further down a section what stands last before the figure tells more than how the section begins.
            if not sentence or sentence in shown:
                sentence = first_sentence(source) or sentence
        for output in cell.get("outputs", ()):
            if png := output.get("data", {}).get("image/png"):
                yield Figure(heading, "" if sentence in shown else sentence, thumbnail("".join(png)))
                shown.add(sentence)


def seconds_of(cells: list[dict[str, Any]]) -> float | None:
    """How long the cells took when they last ran, by their own time stamps; None without these."""
    times = [
        datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        for cell in cells
        for stamp in cell["metadata"].get("execution", {}).values()
    ]
    return (max(times) - min(times)).total_seconds() if times else None


def section(path: Path) -> str:
    """The part of the page about one notebook, in Markdown."""
    cells = json.loads(path.read_text())["cells"]
    title = "".join(cells[0]["source"]).partition("\n")[0].removeprefix("# ")
    seconds = seconds_of(cells)
    took = "" if seconds is None else f" The run that drew these took {max(seconds, 1):.0f} s."
    cards = [
        CARD.format(title=figure.heading, picture=figure.picture, file=path.stem, sentence=figure.sentence)
        for figure in figures(cells)
    ]
    link = f"## {title}\n\n[The notebook](/notebooks/{path.name}).{took}\n\n"
    return link + GRID + "\n".join(cards) + "::::\n"


class NotebookGallery(SphinxDirective):
    """Cards of all notebooks, a section each."""

    def run(self) -> list[nodes.Node]:
        """Parse what the notebooks give."""
        folder = Path(self.env.srcdir) / "notebooks"
        parent = nodes.Element()
        for path in sorted(folder.glob("*.ipynb")):
            self.env.note_dependency(str(path))
            lines = StringList(section(path).splitlines(), source=str(path))
            self.state.nested_parse(lines, self.content_offset, parent, match_titles=True)
        return parent.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("notebook-gallery", NotebookGallery)
    return {"parallel_read_safe": True}
