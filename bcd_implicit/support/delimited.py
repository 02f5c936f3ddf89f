"""Text with separators, as people have it: CSV from a spreadsheet, a database, an instrument, another country.

Encoding, separator, decimal mark and the lines above the header are guessed unless they are given. Python's csv module
finds the records and the lines they are on; pandas reads their values.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.notations import COMMA_NUMBER
from bcd_implicit.support.text_format import TextFormat

SEPARATORS = ",;\t|"
TITLE = "if the lines above the column names are a title, remove them"
#: Those of which a file itself says that it has them.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
#: Such as 1,234: one and a bit, or a thousand?
_EITHER = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
#: So many records and characters are looked at to guess the separator, and so many records may stand above the header.
_SAMPLE, _CHARACTERS, _MOST_TITLES = 200, 2**18, 20


def read_delimited(name: str, content: bytes, form: TextFormat) -> pd.DataFrame:
    """The table in a text; its index, called "line", has the line of each row, counted from 1.

    Parameters
    ----------
    name : str
        The file, for messages.
    content : bytes
    form : TextFormat

    Raises
    ------
    InvalidInputError
        No text, no header, or a line that has another number of fields.
    """
    text = decode(name, content, form.encoding).replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a")
    if not text.strip():
        raise InvalidInputError(name, "is empty", "Give a file with a header and rows")
    # Excel's own way to say it.
    told = re.match(r'"?sep=(.)"?\n', text, re.IGNORECASE)
    first = 2 if told else 1
    body = text[told.end() :] if told else text
    sep = form.sep or (told[1] if told else _guess_separator(body))
    sample = list(islice(_records(name, body, sep, first), _SAMPLE))
    names, start = _header(name, sample)
    body = "".join(body.split("\n", start - first)[start - first :])
    may_be_title = _usual_width([_trimmed(fields) for _, _, fields in sample if _trimmed(fields)]) != len(names)
    lines, longest = _lines_of_rows(name, _records(name, body, sep, start), len(names), may_be_title)
    if not lines:
        raise InvalidInputError(name, "has a header but no rows", "Give a file with rows")
    table = _parse(name, body, sep, form.decimal or ".", len(lines), longest)
    if form.decimal is None and _has_decimal_commas(table, body, sep):
        table = _parse(name, body, sep, ",", len(lines), longest)
    table.index = pd.Index(lines, name="line")
    return table.iloc[:, : len(names)].set_axis(names, axis=1)


def decode(name: str, content: bytes, encoding: str | None = None) -> str:
    """The text in the bytes: in the encoding told, or marked, or UTF-8, or UTF-16, or what Windows had before.

    Raises
    ------
    InvalidInputError
        The bytes are no text, or not in the encoding.
    """
    known = encoding or next((marked for mark, marked in _MARKS.items() if content.startswith(mark)), None)
    for candidate in [known] if known else _likely_encodings(content):
        try:
            text = content.decode(candidate)
        except (UnicodeError, LookupError, ValueError):
            continue
        if not _NO_TEXT.search(text):
            return text.removeprefix("\ufeff")
    if encoding:
        raise InvalidInputError(name, f"is not text in the encoding {encoding}", "Omit --encoding, or give another")
    raise InvalidInputError(name, "is not text", "Give a CSV, Parquet, JSON or Excel file")


def _likely_encodings(content: bytes) -> list[str]:
    if b"\0" not in content:
        return ["utf-8", "cp1252"]
    # Of most letters one half is zero. Single zeros are no text.
    even, odd = content[::2].count(0), content[1::2].count(0)
    if even + odd < len(content) / 10:
        return []
    return ["utf-16-le" if odd > even else "utf-16-be"]


def _records(name: str, text: str, sep: str, line: int) -> Iterator[tuple[int, int, list[str]]]:
    """The records of a text that begins on a line: the lines on which each begins and the next one does."""
    reader = csv.reader(io.StringIO(text), delimiter=sep, skipinitialspace=True, strict=True)
    first = start = line
    try:
        for fields in reader:
            end = first + reader.line_num
            yield start, end, fields
            start = end
    except csv.Error as error:
        raise InvalidInputError(
            name, f"cannot be read from line {start} on ({error})", "Look for a quote that is not closed"
        ) from None


def _guess_separator(text: str) -> str:
    """Of the separators the one with most records of the same length, weighed by how many of their fields are numbers.

    If none makes two columns, one that is in the first line, for then something is wrong; else one that is nowhere.
    """
    scores = {}
    text = text if len(text) < _CHARACTERS else text[: text.rfind("\n", 0, _CHARACTERS) + 1] or text
    for sep in SEPARATORS:
        sample = _sample(text, sep)
        records = [fields for fields in sample if fields] or [[]]
        width = _usual_width(records)
        same = [fields for fields in records if len(fields) == width]
        if width < 2:
            continue
        numbers = sum(bool(_NUMBER.fullmatch(field)) for fields in same[1:] for field in fields)
        share = numbers / max(width * len(same[1:]), 1)
        # A title may stand above the header; but text with commas in it is no table.
        if len(records[0]) > 1 or (_header_after_titles(sample) and share > 0.5):
            scores[sep] = (share * len(same) / len(records), len(same) / len(records))
    if scores:
        return max(scores, key=lambda sep: scores[sep])
    first = text.lstrip("\n").partition("\n")[0]
    return max([*SEPARATORS, "\x1f"], key=first.count) if any(sep in first for sep in SEPARATORS) else "\x1f"


def _sample(text: str, sep: str) -> list[list[str]]:
    records: list[list[str]] = []
    # Up to where it cannot be read, which may be where the text was cut.
    with suppress(InvalidInputError):
        records.extend(fields for _, _, fields in islice(_records("", text, sep, 1), _SAMPLE))
    return records


def _usual_width(records: Sequence[Sequence[str]]) -> int:
    return Counter(map(len, records)).most_common(1)[0][0] if records else 0


def _header_after_titles(records: Sequence[Sequence[str]]) -> int:
    """The place of the first record that is a header, if what stands above it are titles; 0 if there are none.

    A title is one field; or, where an empty line parts it from the header, fewer than the table has columns.
    """
    width, joined = _usual_width([fields for fields in map(_trimmed, records) if fields]), False
    for place, fields in enumerate(map(_trimmed, records[:_MOST_TITLES])):
        is_row = len(fields) >= width
        if width > 1 and is_row and all(fields) and not any(map(_NUMBER.fullmatch, fields)):
            return 0 if joined else place
        n_filled = sum(map(bool, fields))
        if is_row and n_filled > 1:
            break
        joined = n_filled > 1 or (joined and n_filled > 0)
    return 0


def _trimmed(fields: Sequence[str]) -> Sequence[str]:
    """The fields without the empty ones at the end."""
    end = len(fields)
    while end and not fields[end - 1].strip():
        end -= 1
    return fields[:end]


def _header(name: str, records: Sequence[tuple[int, int, list[str]]]) -> tuple[list[str], int]:
    """The names of the columns, and the line after them."""
    filled = [place for place, (_, _, fields) in enumerate(records) if _trimmed(fields)]
    if not filled:
        raise InvalidInputError(name, "has no header", "Give a file whose first line names the columns")
    header = max(_header_after_titles([fields for _, _, fields in records]), filled[0])
    if n_titles := filled.index(header):
        line, _, fields = records[filled[0]]
        shown = f"line {line}" if n_titles == 1 else f"{n_titles} lines from line {line} on"
        title = next(filter(None, fields))[:60]
        warnings.warn(f"{name}: skipped {shown}, {title!r}, above the header.", UserWarning, stacklevel=2)
    _, end, fields = records[header]
    return [field.strip() or f"column {j}" for j, field in enumerate(_trimmed(fields), start=1)], end


def _lines_of_rows(
    name: str, records: Iterator[tuple[int, int, list[str]]], width: int, may_be_title: bool
) -> tuple[list[int], int]:
    """The line of each row, and the number of fields of the longest; beyond the header's there must be nothing."""
    lines: list[int] = []
    longest, empty = width, None
    for line, _, fields in records:
        if not fields or (width > 1 and not _trimmed(fields)):
            empty = empty or line
            continue
        if empty:
            title = "" if lines else f"; {TITLE}"
            raise InvalidInputError(name, f"line {empty} is empty", f"Remove the line, or fill it{title}")
        if len(fields) < width or len(_trimmed(fields)) > width:
            names, had = (f"{n} field{'' if n == 1 else 's'}" for n in (width, len(fields)))
            raise InvalidInputError(
                name,
                f"line {line} has {had}, the header has {names}",
                "Correct the line, or give the separator with --sep" + (f"; {TITLE}" if may_be_title else ""),
            )
        lines.append(line)
        longest = max(longest, len(fields))
    return lines, longest


def _parse(name: str, body: str, sep: str, decimal: str, n_rows: int, width: int) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            io.StringIO(body),
            sep=sep,
            decimal=decimal,
            header=None,
            names=range(width),
            index_col=False,
            nrows=n_rows,
            skip_blank_lines=False,
            skipinitialspace=True,
            low_memory=False,
        )
    except ValueError as error:
        raise InvalidInputError(name, f"cannot be read ({error})", "Give a CSV file with a header") from None
    if len(table) < n_rows:
        raise InvalidInputError(name, f"has {n_rows} rows, of which {len(table)} can be read", "Look for stray quotes")
    return table


def _has_decimal_commas(table: pd.DataFrame, body: str, sep: str) -> bool:
    """Whether there are numbers with a comma, none with a point, and not all of them could be thousands."""
    texts = table.select_dtypes(exclude="number")
    found = [cell for j in texts for cell in texts[j] if isinstance(cell, str) and COMMA_NUMBER.fullmatch(cell)]
    if all(map(_EITHER.fullmatch, found)):
        return False
    edge = rf'(?:^|$|[{re.escape(sep)}"])'
    return not re.search(rf"{edge}\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*{edge}", body, re.MULTILINE)
