"""Thirteen hundred damaged or malicious model files: each ends in one clear error, soon and with little memory."""

import io
import os
import pickle
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from damage import damaged_bytes
from scipy.sparse import csr_array

from bcd_implicit import ImplicitModel, InvalidInputError
from bcd_implicit.model.matrices import dense

pytestmark = pytest.mark.hard

#: Of one file; the second is generous, as machines may be busy.
MEGABYTES, SECONDS = 50, 5
EXECUTED = "unpickled"


def make_model(kind=np.asarray):
    rng = np.random.default_rng(0)
    A, B, b, C, D, d = (rng.standard_normal(shape) for shape in ((4, 4), (4, 6), 4, (2, 4), (2, 6), 2))
    names = {"input_names": [f"größe {j}" for j in range(6)], "output_names": ["y", "z"]}
    return ImplicitModel(kind(A / 20), kind(B), b, kind(C), kind(D), d, **names)


def members_of(path):
    with np.load(path) as archive:
        return dict(archive)


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def claim(dtype, shape, content=b"", version=b"\x01\x00", order=False):
    """An array with the header one likes."""
    header = f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + content


def zip_of(contents, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, content in contents:
            archive.writestr(name, content)
    return file.getvalue()


class Payload:
    def __reduce__(self):
        return os.mkdir, (EXECUTED,)


def damaged(content, rng):
    """Bytes cut off, turned over, overwritten, put in or taken out; whether a model must still come out is unknown."""
    yield from damaged_bytes(content, rng, 90, 130, 3, 20, 200)
    # Every field of the directory's end, and the first entry's, at its largest: a mark of zip64.
    for mark, size in ((b"PK\x05\x06", 22), (b"PK\x01\x02", 46)):
        start = content.rindex(mark)
        for offset in range(4, size, 2):
            yield content[: start + offset] + b"\xff\xff" + content[start + offset + 2 :]
    yield content + b"PK\x06\x06" + rng.bytes(52) + b"PK\x06\x07" + rng.bytes(16)
    yield content[:-2] + b"\x05\x00hello"
    yield b"#!/bin/sh\n" + content
    yield content + content
    yield b"PK\x05\x06" + bytes(18)


def wrong(arrays, rng):
    """Archives that are whole, with one member that is not as it should be."""
    good = {f"{name}.npy": npy(array) for name, array in arrays.items()}

    def changed(**changes):
        return list((good | {f"{name}.npy": content for name, content in changes.items()}).items())

    for name, array in arrays.items():
        yield [item for item in good.items() if item[0] != f"{name}.npy"]
        yield [*good.items(), (f"{name}.npy", npy(array))]
        yield changed(**{name: npy(np.array(Payload(), object))})
        yield changed(**{name: pickle.dumps(Payload())})
        yield changed(**{name: npy(array)[:-1]})
        yield changed(**{name: npy(array) + b"\0"})
        yield changed(**{name: npy(array[None])})
        yield changed(**{name: claim("'|O'", array.shape, pickle.dumps(Payload()))})
        yield changed(**{name: claim("'<f8'" if array.dtype.kind == "U" else "'<U9'", (10**6, 10**6))})
        yield changed(**{name: claim(repr(array.dtype.str), (2**31, 2**31, 2**31)[: max(array.ndim, 1)])})
        if array.ndim:
            yield changed(**{name: npy(array[0])})
            yield changed(**{name: npy(array[:-1])})
            yield changed(**{name: npy(array[:0])})
        if array.dtype.kind == "f":
            yield changed(**{name: npy(np.full_like(array, np.nan))})
            yield changed(**{name: npy(np.full_like(array, np.inf))})
            yield changed(**{name: npy(array.astype("f2"))})
            yield changed(**{name: npy(array.astype("c16"))})
    for path in ("/etc/passwd", "../A.npy", "A.npy/../../B.npy", "..\\A.npy", "C:A.npy", " ", "A.npy\n", "x" * 60_000):
        yield [*good.items(), (path, b"anything")]
    yield [*good.items(), *((f"{k}.npy", b"") for k in range(20_000))]
    yield changed(input_names=npy("six names"))
    yield changed(input_names=npy(["same"] * 6))
    yield changed(input_names=claim("'<U1'", (6,), b"\xff" * 24))
    yield changed(input_names=claim("'<U0'", (6,)))
    yield changed(output_names=claim("'<U1'", (2,), b"\x00\xd8\x00\x00" * 2))
    yield changed(format=npy("bcd_implicit model 9"))
    yield changed(format=npy("x" * 10**6))
    yield changed(activations=npy(["__import__('os')"]))
    yield changed(activations=npy(["leaky_relu"]), parameters=npy(['{"slope": 7.0}']))
    yield changed(activations=npy(["leaky_relu"]), parameters=npy(['{"slope": NaN}']))
    yield changed(sizes=npy([10**15]))
    yield changed(sizes=npy([-4]))
    yield changed(link=npy("probit"))
    if "A" not in arrays:
        n, nnz = len(arrays["b"]), len(arrays["A_data"])
        yield changed(A=npy(np.zeros((n, n))))
        for places in (np.full(nnz, n), np.full(nnz, -1), np.full(nnz, 2**62)):
            yield changed(A_indices=npy(places))
        for starts in (np.arange(n + 1)[::-1], np.full(n + 1, 2**62), np.r_[0, np.full(n, nnz + 1)]):
            yield changed(A_starts=npy(starts))
        return
    yield changed(A=claim("'<f8'", "(" * 200), B=claim("[('a','<f8')]", (4, 6), bytes(192)))
    yield changed(A=claim("'<f8'", (-4, -4), bytes(128)))
    yield changed(A=claim("'<f8'", (4, 4), bytes(128), b"\x02\x00"))
    yield changed(A=claim("'<f8'", (4, 4), bytes(128), b"\x03\x00"))
    yield changed(A=claim("'<f8'", (4, 4), bytes(128), order="'yes'"))
    yield changed(A=b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535)


def bombs():
    """Zeros that unpack to hundreds of megabytes, in one member that fits and in those that do not belong there."""
    n = 5000
    fits = {
        "A": claim("'<f8'", (n, n), bytes(8 * n * n)),
        "B": claim("'<f8'", (n, 6), bytes(48 * n)),
        "b": claim("'<f8'", (n,), bytes(8 * n)),
        "C": claim("'<f8'", (2, n), bytes(16 * n)),
    }
    yield [(f"{name}.npy", content) for name, content in fits.items()]
    for name in ("format", "input_names"):
        yield [(f"{name}.npy", claim("'<U50000000'", (1,), bytes(200_000_000)))]


def load(path):
    """The model, or what the error says is at fault."""
    try:
        return ImplicitModel.load(path), ""
    except InvalidInputError as error:
        return None, error.argument


def test_a_model_or_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    model = make_model()
    model.save("new.npz")
    arrays = members_of("new.npz")
    later = ("link", "parameters", "activations", "sizes")
    first = {name: array for name, array in arrays.items() if name not in later}
    first |= {"activation": np.array("relu"), "slope": np.array(np.nan), "format": np.array("bcd_implicit model 1")}
    np.savez_compressed("old.npz", **first)
    make_model(csr_array).save("sparse.npz")
    sparse = members_of("sparse.npz")
    new, old, rows = ((tmp_path / name).read_bytes() for name in ("new.npz", "old.npz", "sparse.npz"))
    for name in ("new.npz", "old.npz", "sparse.npz"):
        assert ImplicitModel.load(name).input_names == model.input_names
        (tmp_path / name).unlink()
    good = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    files = [(content, False) for whole in (new, old, rows) for content in damaged(whole, rng)]
    files += [(zip_of(contents), True) for members in (arrays, sparse) for contents in wrong(members, rng)]
    files += [(zip_of((good | dict(bomb)).items(), zipfile.ZIP_DEFLATED), True) for bomb in bombs()]
    assert len(files) > 1300
    refused, slowest, largest = 0, 0.0, 0.0
    tracemalloc.start()
    try:
        for number, (content, must_be_refused) in enumerate(files):
            (tmp_path / "m.npz").write_bytes(content)
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.perf_counter()
            loaded, culprit = load("m.npz")
            if loaded is None:
                assert culprit == "m.npz", number
                refused += 1
            else:
                # What was damaged is not used: all that is loaded has its check sum.
                assert not must_be_refused, number
                for letter in "ABbCDd":
                    np.testing.assert_array_equal(dense(getattr(loaded, letter)), getattr(model, letter))
                assert (loaded.input_names, loaded.output_names) == (model.input_names, model.output_names)
            slowest = max(slowest, time.perf_counter() - start)
            largest = max(largest, (tracemalloc.get_traced_memory()[1] - before) / 2**20)
    finally:
        tracemalloc.stop()
    print(f"{len(files)} files, {refused} refused; the slowest took {slowest:.2f} s, the largest {largest:.1f} MB")
    assert refused > 1100
    assert slowest < SECONDS
    assert largest < MEGABYTES
    assert os.listdir(tmp_path) == ["m.npz"]
