"""Arrays in npz files: written whole, read without trust.

A file may come from anybody. Reading never unpickles, and compares what the file declares with what is expected, and
with the file's own size, before anything is allocated. State what an archive holds once, and use it on both sides::

    MEMBERS = {
        "A": Member("f8", ("n", "n")),
        "B": Member("f8", ("n", "p")),
        "names": Member("U", ("p",)),
        "note": Member("U"),
    }
    write_arrays(path, "my_format 1", {"A": A, "B": B, "names": np.array(names), "note": np.array("text")})
    arrays = read_arrays(path, {"my_format 1": MEMBERS}, "file of mine", "Give a file that write_arrays has made")
    arrays["A"], str(arrays["note"]), str(arrays["format"])

``np.load`` opens such a file too.
"""

from __future__ import annotations

import io
import math
import os
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support.files import check_is_file, write_atomically

_ZIP_START = b"PK\x03\x04"
#: What zipfile, zlib and NumPy say of damaged archives. RuntimeError is for passwords, NotImplementedError for unknown
#: compressions; the parser of NumPy's headers gives up in the other ways.
_DAMAGE = (
    *(OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
    *(SyntaxError, TypeError, KeyError, MemoryError, tokenize.TokenError),
)
#: The largest directory of an archive, and the longest header of an array, in bytes.
_DIRECTORY, _HEADER = 2**20, 1000
#: Compressed arrays may unpack to so many bytes, or to so many times the file's size if that is more.
_UNPACKED, _RATIO = 2**24, 20


class Member(NamedTuple):
    """What an array of an archive has to be.

    Attributes
    ----------
    dtype : str
        As in NumPy, such as "f8" or "i8"; "U" is text of any length.
    shape : tuple of int or str
        A letter stands for any length, the same throughout the archive. () is a single value.
    optional : bool
        Whether the archive may lack it.
    """

    dtype: str
    shape: tuple[int | str, ...] = ()
    optional: bool = False


def write_arrays(path: str | os.PathLike[str], format_name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays and the name and version of their format; the file appears whole or not at all.

    They are not compressed, so that a reader can tell their sizes from the file's.

    Raises
    ------
    InvalidInputError
        The file cannot be written.
    ValueError
        An array of objects.
    """

    def write(file: Any) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {"format": np.array(format_name), **arrays}.items():
                # A ZipInfo of its own has a fixed date: the same arrays are the same bytes.
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), version=(1, 0), allow_pickle=False)

    write_atomically(path, write)


def read_arrays(
    path: str | os.PathLike[str], formats: Mapping[str, Mapping[str, Member]], what: str, remedy: str
) -> dict[str, np.ndarray]:
    """What :func:`write_arrays` wrote, or ``np.savez_compressed``.

    Parameters
    ----------
    path : str or path-like
    formats : mapping of mappings
        The members of each format that can be read, by its name.
    what : str
        What messages call such a file: "model file".
    remedy : str
        What a person should do about a file that is none.

    Returns
    -------
    dict of ndarray
        The members by name, and "format".

    Raises
    ------
    InvalidInputError
        No such file, another format, or anything in it that is not as expected.
    """
    check_is_file(path)
    try:
        with open(path, "rb", buffering=0) as raw, _Reader(raw) as file:
            if file.read(4) != _ZIP_START:
                raise InvalidInputError(str(path), f"is not a {what}", remedy)
            with zipfile.ZipFile(file) as archive:
                file.longest = None
                return _Archive(archive, os.fstat(raw.fileno()).st_size).read(formats)
    except InvalidInputError:
        raise
    except _Unexpected as error:
        raise InvalidInputError(str(path), f"is damaged or not a {what} ({error})", remedy) from None
    except _DAMAGE as error:
        said = str(error) or type(error).__name__
        raise InvalidInputError(str(path), f"is damaged or not a {what} ({said})", remedy) from None


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as those that :func:`write_arrays` writes."""
    with open(path, "rb") as file:
        return file.read(len(_ZIP_START)) == _ZIP_START


class _Unexpected(Exception):
    """Something in an archive is not as it should be."""


class _Reader(io.BufferedReader):
    """A file that gives no more than so many bytes at once, for zipfile reads the whole directory, however long."""

    longest: int | None = _DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.longest is None:
            return super().read(size)
        data = super().read(self.longest + 1 if size is None or size < 0 else min(size, self.longest + 1))
        if len(data) > self.longest:
            raise _Unexpected("its directory is too long")
        return data


class _Declared(NamedTuple):
    """What the header of an array says, and its length in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    header: int

    @property
    def size(self) -> int:
        return self.header + math.prod(self.shape) * self.dtype.itemsize


class _Archive:
    """An open archive, its file's size in bytes, and the lengths that letters stand for so far."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive, self.size = archive, size
        self.lengths: dict[str, int] = {}
        self.infos = {info.filename: info for info in archive.infolist()}
        if len(self.infos) < len(archive.infolist()):
            raise _Unexpected("a member appears twice")

    def read(self, formats: Mapping[str, Mapping[str, Member]]) -> dict[str, np.ndarray]:
        self._check_sizes()
        if "format.npy" not in self.infos:
            raise _Unexpected("it lacks format")
        self._check("format", Member("U"))
        name = str(self._load("format"))
        if name not in formats:
            needed = " or ".join(map(repr, formats))
            raise _Unexpected(f"its format is {name[:80]!r}, {needed} needed: use the version that wrote it")
        members = formats[name]
        here = {member.removesuffix(".npy") for member in self.infos if member.endswith(".npy")} - {"format"}
        lacking = [member for member in members if member not in here and not members[member].optional]
        if lacking:
            raise _Unexpected(f"it lacks {', '.join(sorted(lacking))}")
        unknown = self.infos.keys() - {f"{member}.npy" for member in [*members, "format"]}
        if unknown:
            raise _Unexpected(f"it has a member {min(unknown)[:80]!r}, which does not belong there")
        found = [member for member in members if member in here]
        # All of them before the first is loaded.
        for member in found:
            self._check(member, members[member])
        return {member: self._load(member) for member in ["format", *found]}

    def _check_sizes(self) -> None:
        """Sizes as the directory declares them, against the file's."""
        infos = self.infos.values()
        if any(info.flag_bits & 1 for info in infos):
            raise _Unexpected("it is encrypted")
        if any(info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size for info in infos):
            raise _Unexpected("its directory is inconsistent")
        packed, unpacked = (sum(getattr(info, size) for info in infos) for size in ("compress_size", "file_size"))
        if packed > self.size:
            raise _Unexpected(f"it declares {packed:,} bytes and has {self.size:,}")
        if unpacked > max(_UNPACKED, _RATIO * self.size):
            raise _Unexpected(f"its {self.size:,} bytes would unpack to {unpacked:,}")

    def _check(self, name: str, member: Member) -> None:
        """An array as its header declares it, against what is expected."""
        with self.archive.open(f"{name}.npy") as file:
            if np.lib.format.read_magic(file) != (1, 0):
                raise _Unexpected(f"{name} has an unknown version")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
            declared = _Declared(shape, dtype, file.tell())
        if dtype.kind != "U" if member.dtype == "U" else dtype.newbyteorder("=") != np.dtype(member.dtype):
            raise _Unexpected(f"{name} has dtype {dtype}, {member.dtype} needed")
        if len(shape) != len(member.shape) or min(shape, default=0) < 0:
            raise _Unexpected(f"{name} has shape {shape}, {len(member.shape)} dimensions needed")
        wanted = tuple(
            self.lengths.setdefault(length, had) if isinstance(length, str) else length
            for length, had in zip(member.shape, shape, strict=True)
        )
        if shape != wanted:
            raise _Unexpected(f"{name} has shape {shape}, {wanted} needed")
        if declared.size != (size := self.infos[f"{name}.npy"].file_size):
            raise _Unexpected(f"{name} declares {declared.size:,} bytes, the archive has {size:,} of it")

    def _load(self, name: str) -> np.ndarray:
        with self.archive.open(f"{name}.npy") as file:
            array = np.lib.format.read_array(file, allow_pickle=False, max_header_size=_HEADER)
        if array.dtype.kind == "U":
            codes = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
            # Python fails without a proper error beyond the last code point, and cannot print halves of a pair.
            if np.any((codes > sys.maxunicode) | ((codes >= 0xD800) & (codes < 0xE000))):
                raise _Unexpected(f"{name} does not hold text")
        return array
