"""Tables of benchmarks on pages of the documentation, between two marks that name the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

END = "<!-- end of what is made -->\n"


def mark(name: str) -> str:
    """How what a benchmark makes begins."""
    return f"<!-- made by benchmarks/{name} -->\n"


def put_on_page(text: str, page: Path, name: str) -> None:
    """Replace what stands on a page between the mark of a benchmark, such as "field.py", and the end."""
    before, rest = page.read_text().split(mark(name))
    page.write_text(f"{before}{mark(name)}\n{text}\n{END}{rest.split(END, maxsplit=1)[1]}")


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *lines))
