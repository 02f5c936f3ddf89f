"""Files that hold a table: what they are, how they are packed, reading and writing them."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import json
import lzma
import os
import re
import struct
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.delimited import read_delimited
from bcd_implicit.support.files import check_is_file, unreadable, write_atomically
from bcd_implicit.support.text_format import TextFormat

PARQUET, SPREADSHEETS, JSON = (".parquet", ".pq"), (".xlsx", ".xlsm", ".xls", ".ods"), (".json",)
#: The extra of this package by which a package comes that a kind of file needs.
EXTRAS = {"pyarrow": "parquet", "openpyxl": "excel"}
_UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ\x00": lzma.decompress,
}
_DAMAGE = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, struct.error, zlib.error, lzma.LZMAError),
)
#: How pandas packs a file whose name ends so.
_PACK: dict[str, Any] = {
    ".gz": {"method": "gzip", "mtime": 0},
    ".bz2": "bz2",
    ".xz": "xz",
    ".zip": "zip",
}


def read_table(path: str | os.PathLike[str], form: TextFormat | None = None) -> pd.DataFrame:
    """Read a table: text with separators, Parquet, JSON or a spreadsheet, packed or not.

    Parameters
    ----------
    path : str or path-like
    form : TextFormat, optional
        How text is to be read.

    Returns
    -------
    DataFrame
        Its index has the number of each row, counted from 1, and its name is what is counted: "line" of text, else
        "row". Columns have names of text, normalised, so that an accent is the same however it was typed.

    Raises
    ------
    InvalidInputError
        No such file, no table in it, no rows, two columns of the same name.
    """
    check_is_file(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    return table_of(str(path), content, form, Path(path).name)


def table_of(name: str, content: bytes, form: TextFormat | None = None, file_name: str = "") -> pd.DataFrame:
    """The table in the contents of a file, as :func:`read_table` reads it.

    Parameters
    ----------
    name : str
        For messages.
    content : bytes
    form : TextFormat, optional
        How text is to be read.
    file_name : str, optional
        Its ending says what the contents are. Without a name the contents themselves do.

    Raises
    ------
    InvalidInputError
        As in :func:`read_table`.
    """
    content, inner = _unpacked(name, content, file_name or f"data{_recognised(content)}")
    ending = Path(inner).suffix.lower() if file_name else _recognised(content)
    table = _parse(name, content, ending, form or TextFormat())
    table.columns = pd.Index([unicodedata.normalize("NFC", str(column)) for column in table.columns])
    if table.shape[1] == 0 or len(table) == 0:
        raise InvalidInputError(name, f"has {table.shape[1]} columns and {len(table)} rows", "Give a file with rows")
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise InvalidInputError(name, f"has two columns named {twice!r}", "Rename one of them")
    return table


def _recognised(content: bytes) -> str:
    """The ending of files with such contents; none for text with separators."""
    if content.startswith(b"PAR1"):
        return ".parquet"
    if zipfile.is_zipfile(io.BytesIO(content)):
        with suppress(*_DAMAGE), zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.namelist()
            return ".xlsx" if "[Content_Types].xml" in members else ".ods" if "mimetype" in members else ""
    if content.lstrip()[:1] in (b"[", b"{"):
        with suppress(ValueError):
            json.loads(content)
            return ".json"
    return ""


def _unpacked(name: str, content: bytes, inner: str) -> tuple[bytes, str]:
    """The contents of a packed file and the name of what was in it; others as they are."""
    try:
        for start, unpack in _UNPACK.items():
            if content.startswith(start):
                return unpack(content), inner.rpartition(".")[0]
        if not zipfile.is_zipfile(io.BytesIO(content)) or Path(inner).suffix.lower() in SPREADSHEETS:
            return content, inner
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # A Mac packs a shadow of each file with it.
            members = [m for m in archive.infolist() if not (m.is_dir() or m.filename.startswith("__MACOSX/"))]
            if len(members) != 1:
                raise InvalidInputError(name, f"is a zip archive of {len(members)} files", "Unpack it, and give one")
            return archive.read(members[0]), members[0].filename
    except InvalidInputError:
        raise
    except _DAMAGE as error:
        raise InvalidInputError(
            name, f"is damaged: it cannot be unpacked ({error})", "Download or create it again"
        ) from None


def _parse(name: str, content: bytes, ending: str, form: TextFormat) -> pd.DataFrame:
    if ending not in (*PARQUET, *SPREADSHEETS, *JSON):
        return read_delimited(name, content, form)
    file = io.BytesIO(content)
    try:
        if ending in SPREADSHEETS:
            return _first_sheet(name, file)
        if ending in PARQUET:
            table = pd.read_parquet(file)
            # pandas takes some columns for labels of the rows.
            table = table.reset_index([label for label in table.index.names if label is not None])
        else:
            table = pd.DataFrame(json.loads(content, object_pairs_hook=_unique))
        return table.set_index(pd.RangeIndex(1, len(table) + 1, name="row"))
    except ImportError as error:
        # pandas says it in words.
        named = re.search(r"'([\w-]+)'", str(error))
        missing = error.name or (named[1] if named else "a package that is not installed")
        raise InvalidInputError(
            name, f"cannot be read without {missing}", f"{_installed(missing)}, or give a CSV file"
        ) from None
    except InvalidInputError:
        raise
    # Parsers of damaged files raise whatever they may.
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        kind = {".json": "JSON"}.get(ending, "Parquet" if ending in PARQUET else "a spreadsheet")
        raise InvalidInputError(name, f"cannot be read as {kind} ({said})", "Check the file, or its ending") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) < len(pairs):
        raise ValueError("a name is there twice in an object")
    return values


def _first_sheet(name: str, file: io.BytesIO) -> pd.DataFrame:
    """The first sheet of a spreadsheet, read as the text that it would be saved as, a row a line."""
    book = pd.ExcelFile(file)
    if len(book.sheet_names) > 1:
        warnings.warn(f"{name}: read the first sheet, {book.sheet_names[0]!r}.", UserWarning, stacklevel=2)
    cells = pd.read_excel(book, header=None).map(lambda cell: " ".join(cell.split()) if isinstance(cell, str) else cell)
    text = cells.to_csv(header=False, index=False).encode()
    return read_delimited(name, text, TextFormat(",", ".", "utf-8")).rename_axis("row")


def _installed(package: str) -> str:
    """How to install what is missing."""
    wanted = f"'bcd-implicit[{EXTRAS[package]}]'" if package in EXTRAS else package
    return f"Install it (pip install {wanted})"


def check_table_name(path: str | os.PathLike[str]) -> None:
    """Raise an error unless :func:`write_table` can write what the file's name says.

    Raises
    ------
    InvalidInputError
        An ending that is not known, or one that needs a package that is not installed.
    """
    kind, _ = _endings(path)
    needed = {".xlsx": "openpyxl", ".parquet": "pyarrow", ".pq": "pyarrow"}.get(kind)
    if needed and importlib.util.find_spec(needed) is None:
        raise InvalidInputError(
            str(path), f"cannot be written without {needed}", f"{_installed(needed)}, or write .csv"
        )


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table, whole or not at all, as the ending of its name says: .csv, .tsv, .json, .xlsx or .parquet.

    Text may be packed: .csv.gz, .bz2, .xz or .zip.

    Raises
    ------
    InvalidInputError
        See :func:`check_table_name`; also where the file cannot be written.
    """
    check_table_name(path)
    kind, packed = _endings(path)
    if kind in PARQUET:
        return write_atomically(path, lambda file: table.to_parquet(file, index=False))
    if kind == ".xlsx":
        return write_atomically(path, lambda file: table.to_excel(file, index=False, engine="openpyxl"))
    if kind == ".json":
        # pandas' own writer rounds to 15 digits.
        records = json.dumps(table.to_dict("records"), indent=0, default=_plain).encode()
        return write_atomically(path, lambda file: file.write(records))
    packing = {"method": "zip", "archive_name": Path(path).stem} if packed == ".zip" else _PACK.get(packed)
    sep = "\t" if kind in (".tsv", ".tab") else ","
    return write_atomically(path, lambda file: table.to_csv(file, index=False, sep=sep, compression=packing))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _endings(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The ending that says what a file is, and the one that says how it is packed."""
    name = Path(path)
    packed = name.suffix.lower() if name.suffix.lower() in _PACK else ""
    kind = Path(name.stem).suffix.lower() if packed else name.suffix.lower()
    text = ("", ".csv", ".tsv", ".tab", ".txt")
    if kind not in (*text, *(() if packed else (*PARQUET, ".xlsx", *JSON))):
        raise InvalidInputError(
            str(path),
            f"has an ending that cannot be written, {''.join(name.suffixes[-2:] if packed else name.suffixes[-1:])}",
            "Use .csv, .tsv, .json, .xlsx or .parquet; .csv and .tsv may be packed: .csv.gz, .bz2, .xz, .zip",
        )
    return kind, packed
