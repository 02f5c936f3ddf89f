"""Archives of arrays: what is written comes back, and nothing else is read."""

import io
import os
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.archives import Member, read_arrays, write_arrays

MEMBERS = {
    "A": Member("f8", ("n", "n")),
    "B": Member("f8", ("n", "p")),
    "names": Member("U", ("p",)),
    "note": Member("U"),
    "times": Member("i8", (2,), optional=True),
}
ARRAYS = {
    "A": np.arange(9.0).reshape(3, 3),
    "B": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "names": np.array(["length [cm]", "größe"]),
    "note": np.array(""),
}


def read(path):
    return read_arrays(path, {"ours 1": MEMBERS, "ours 2": MEMBERS}, "file of ours", "Make another")


def refusal(path):
    with pytest.raises(InvalidInputError) as caught:
        read(path)
    assert caught.value.argument == str(path)
    return caught.value.cause


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


def claim(dtype, shape, content=b""):
    """An array whose header says what it likes."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def write_zip(path, changes=None, compression=zipfile.ZIP_STORED, format_name="ours 1"):
    """A zip of the arrays; changes are bytes by member, or None where it is to be left out."""
    contents = {f"{name}.npy": npy(array) for name, array in {"format": np.array(format_name), **ARRAYS}.items()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {**contents, **(changes or {})}.items():
            if content is not None:
                archive.writestr(name, content)


@pytest.mark.parametrize("times", [None, np.array([1, 2])])
def test_arrays_come_back_and_numpy_reads_them(tmp_path, times):
    arrays = ARRAYS if times is None else ARRAYS | {"times": times}
    write_arrays(tmp_path / "a.npz", "ours 1", arrays)
    back = read(tmp_path / "a.npz")
    assert back.keys() == arrays.keys() | {"format"}
    assert str(back["format"]) == "ours 1"
    with np.load(tmp_path / "a.npz") as loaded:
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)
            np.testing.assert_array_equal(loaded[name], array)
            assert back[name].dtype == array.dtype


def test_the_same_arrays_are_the_same_bytes_and_not_compressed(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / name, "ours 1", ARRAYS | {"A": np.zeros((100, 100)), "B": np.zeros((100, 2))})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert os.path.getsize(tmp_path / "a") > 80_000


def test_what_numpy_wrote_compressed_or_big_endian_is_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", format=np.array("ours 2"), **(ARRAYS | {"A": ARRAYS["A"].astype(">f8")}))
    back = read(tmp_path / "a.npz")
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_arrays(tmp_path / "a.npz", "ours 1", ARRAYS | {"note": np.array({}, dtype=object)})
    assert os.listdir(tmp_path) == []


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"A.npy": None}, "it lacks A"),
        ({"format.npy": None}, "it lacks format"),
        ({"format.npy": npy("theirs 7")}, "its format is 'theirs 7', 'ours 1' or 'ours 2' needed"),
        ({"format.npy": npy(["ours 1"])}, "format has shape (1,), 0 dimensions needed"),
        ({"format.npy": npy(1.0)}, "format has dtype float64, U needed"),
        ({"A.npy": npy(np.eye(3, 2))}, "A has shape (3, 2), (3, 3) needed"),
        ({"A.npy": npy(np.eye(4))}, "B has shape (3, 2), (4, 2) needed"),
        ({"A.npy": npy(np.eye(3, dtype="f4"))}, "A has dtype float32, f8 needed"),
        ({"A.npy": npy(np.eye(3, dtype=complex))}, "A has dtype complex128, f8 needed"),
        ({"B.npy": npy(np.array(1.0))}, "B has shape (), 2 dimensions needed"),
        ({"names.npy": npy("ab")}, "names has shape (), 1 dimensions needed"),
        ({"names.npy": npy([b"a", b"b"])}, "names has dtype |S1, U needed"),
        ({"names.npy": npy(np.array([{}, {}], object), allow_pickle=True)}, "names has dtype object, U needed"),
        ({"note.npy": npy(np.array(Bomb(), object), allow_pickle=True)}, "note has dtype object, U needed"),
        ({"names.npy": claim("'<U1'", (2,), b"\xff\xff\xff\xff" * 2)}, "names does not hold text"),
        ({"names.npy": claim("'<U1'", (2,), b"\x00\xd8\x00\x00" * 2)}, "names does not hold text"),
        ({"times.npy": npy([1, 2, 3])}, "times has shape (3,), (2,) needed"),
        ({"evil.npy": npy(1)}, "it has a member 'evil.npy', which does not belong there"),
        ({"../A.npy": npy(1)}, "it has a member '../A.npy', which"),
        ({"A": npy(1)}, "it has a member 'A', which"),
        ({"A.npy": b""}, "EOF"),
        ({"A.npy": b"\x93NUMPY\x07\x00"}, "A has an unknown version"),
        ({"A.npy": claim("'<f8'", (2**40, 2**40))}, "A declares 9,671,406,556,917,033,397,649,"),
        ({"A.npy": claim("'<f8'", (3, 4), bytes(96))}, "A has shape (3, 4), (3, 3) needed"),
        ({"A.npy": claim("'<f8'", (-3, -3), bytes(72))}, "A has shape (-3, -3), 2 dimensions needed"),
        ({"A.npy": claim("'<f8'", (3, 3), bytes(71))}, "A declares"),
        ({"A.npy": claim("'<f8'", (3, 3), bytes(73))}, "A declares"),
        ({"A.npy": claim("'<f8'", "(" * 400)}, ""),
        ({"A.npy": claim("'<f8'", "(3" + ",0" * 2000 + ")")}, "Header info length"),
        ({"names.npy": claim("'<U99999999'", (2,))}, "names declares 800,000,067 bytes"),
    ],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_that_are_not_as_expected(tmp_path, monkeypatch, changes, words, compression):
    monkeypatch.chdir(tmp_path)
    write_zip("a.npz", changes, compression)
    assert words in refusal("a.npz")
    assert os.listdir(tmp_path) == ["a.npz"]


def test_a_member_that_is_there_twice(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        write_zip(tmp_path / "a.npz")
        with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
            archive.writestr("A.npy", npy(np.ones((3, 3))))
    assert "a member appears twice" in refusal(tmp_path / "a.npz")


def test_bombs_are_refused_before_they_unpack(tmp_path):
    n = 6000
    zeros = claim("'<f8'", (n, n), bytes(8 * n * n))
    changes = {"A.npy": zeros, "B.npy": claim("'<f8'", (n, 2), bytes(16 * n))}
    write_zip(tmp_path / "a.npz", changes, zipfile.ZIP_DEFLATED)
    del zeros, changes
    assert os.path.getsize(tmp_path / "a.npz") < 400_000
    tracemalloc.start()
    assert "bytes would unpack to 288," in refusal(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_directory_of_a_million_members(tmp_path):
    write_zip(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    end = content.rindex(b"PK\x05\x06")
    start = int.from_bytes(content[end + 16 : end + 20], "little")
    entry = content[start : content.index(b"PK\x01\x02", start + 1)]
    directory = bytes(entry) * 60_000
    content[start:end] = directory
    end = start + len(directory)
    content[end + 12 : end + 16] = len(directory).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content)
    assert "its directory is too long" in refusal(tmp_path / "a.npz")


def test_encrypted_and_unknown_compressions(tmp_path):
    write_zip(tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    start = content.index(b"PK\x01\x02")
    for offset, value, words in ((8, 1, "it is encrypted"), (10, 99, "compression"), (8, 64, "encryption")):
        changed = bytearray(content)
        changed[start + offset] = value
        (tmp_path / "b.npz").write_bytes(changed)
        assert words in refusal(tmp_path / "b.npz")


def test_places_that_hold_no_archive(tmp_path):
    (tmp_path / "text").write_text("PK, said he")
    assert refusal(tmp_path / "text") == "is not a file of ours"
    (tmp_path / "start").write_bytes(b"PK\x03\x04")
    assert refusal(tmp_path / "start") == "is damaged or not a file of ours (File is not a zip file)"
    assert refusal(tmp_path) == "is a folder"
    assert refusal(tmp_path / "gone") == "no such file"
    assert refusal(tmp_path / "text" / "gone") == "no such file"
    assert refusal("a\0b").startswith("cannot be read (")
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "is a pipe or a device"
