"""The directive ``notebook-gallery``: a card for each figure of the notebooks, from their own outputs.

A card has the heading that the figure stands under. Its caption, and the part of a wide figure that is shown, come from
``gallery.toml`` beside this file. A figure without a caption, or a caption without a figure, fails the strict build.
Nothing is written beside the sources.
"""

from __future__ import annotations

import base64
import io
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

WIDTH = 480  # pixels of a thumbnail, twice of what it takes on the page
GRID = "::::{grid} 1 2 2 3\n:gutter: 3\n:class-container: gallery\n"
CARD = """:::{{grid-item-card}} {title}
:img-top: {picture}
:img-alt: {alt}
:link: /notebooks/{file}
:link-type: doc
{caption}
:::
"""
CAPTIONS = Path(__file__).parent / "gallery.toml"


@dataclass(frozen=True)
class Figure:
    """A figure as a PNG in base64, the heading above it, and the id of its cell."""

    heading: str
    cell: str
    png: str


def thumbnail(png: str, crop: Sequence[float] = (0, 0, 1, 1)) -> str:
    """Part of a PNG in base64, made small, as a data URI.

    ``crop`` is its left, top, right and bottom, as shares of the width and the height.
    """
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        pixels = [round(share * size) for share, size in zip(crop, picture.size * 2, strict=True)]
        small = picture.convert("RGB").crop((pixels[0], pixels[1], pixels[2], pixels[3]))
        small.thumbnail((WIDTH, WIDTH))
        data = io.BytesIO()
        # 64 colours are enough for lines and bars, and a third of the size.
        small.quantize(64).save(data, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def figures(cells: list[dict[str, Any]]) -> Iterator[Figure]:
    """The figures of a notebook's cells, in their order."""
    heading = ""
    for cell in cells:
        if cell["cell_type"] == "markdown" and (found := re.match("#+ (.*)", "".join(cell["source"]))):
            heading = found[1]
        for output in cell.get("outputs", ()):
            if png := output.get("data", {}).get("image/png"):
                yield Figure(heading, cell["id"], "".join(png))


def unmatched(shown: list[Figure], captions: dict[str, Any]) -> list[str]:
    """Cells that have a figure but no caption, or a caption but no figure."""
    return sorted({figure.cell for figure in shown} ^ set(captions))


def time_of(cells: list[dict[str, Any]]) -> str:
    """The line of a notebook's first cell that says how long it takes; empty if there is none."""
    found = re.search("^Time: .*$", "".join(cells[0]["source"]), re.MULTILINE)
    return found[0] if found else ""


def section(path: Path, captions: dict[str, Any]) -> str:
    """The part of the page about one notebook, in Markdown."""
    cells = json.loads(path.read_text())["cells"]
    title = "".join(cells[0]["source"]).partition("\n")[0].removeprefix("# ")
    shown = list(figures(cells))
    for cell in unmatched(shown, captions):
        logging.getLogger(__name__).warning(
            "%s: cell %s has a figure or a caption, but not both: see %s", path.name, cell, CAPTIONS.name
        )
    cards = [
        CARD.format(
            title=figure.heading,
            picture=thumbnail(figure.png, said.get("crop", (0, 0, 1, 1))),
            alt=said["caption"].replace("`", ""),
            file=path.stem,
            caption=said["caption"],
        )
        for figure in shown
        if (said := captions.get(figure.cell))
    ]
    link = f"## {title}\n\n[The notebook](/notebooks/{path.name}). {time_of(cells)}\n\n"
    return link + GRID + "\n".join(cards) + "::::\n"


class NotebookGallery(SphinxDirective):
    """Cards of all notebooks, a section each."""

    def run(self) -> list[nodes.Node]:
        """Parse what the notebooks give."""
        folder = Path(self.env.srcdir) / "notebooks"
        parent = nodes.Element()
        captions = tomllib.loads(CAPTIONS.read_text())
        self.env.note_dependency(str(CAPTIONS))
        for path in sorted(folder.glob("*.ipynb")):
            self.env.note_dependency(str(path))
            lines = StringList(section(path, captions.get(path.stem, {})).splitlines(), source=str(path))
            self.state.nested_parse(lines, self.content_offset, parent, match_titles=True)
        return parent.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("notebook-gallery", NotebookGallery)
    return {"parallel_read_safe": True}
