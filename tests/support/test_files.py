"""Files appear whole or not at all."""

import errno
import os
import re
import socket
import stat
import subprocess
import sys

import pytest

from bcd_implicit import InvalidInputError
from bcd_implicit.support.files import write_atomically


def test_writing_replaces_the_file(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old and longer")
    assert write_atomically(path, lambda file: file.write(b"new")) == path
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half")
        assert path.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
        raise error("on the way")

    with pytest.raises(error, match="on the way"):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_full_disk_is_named(tmp_path):
    def write(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InvalidInputError, match=r"f: cannot be written \(No space left on device\)\. Choose another"):
        write_atomically(tmp_path / "f", write)
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone/f: cannot be written \(No such file or directory\)"):
        write_atomically(tmp_path / "gone" / "f", lambda file: None)
    with pytest.raises(InvalidInputError, match=r": is a folder\. Give the name of a file"):
        write_atomically(tmp_path, lambda file: None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_permissions_are_those_of_open(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "ours", lambda file: None)
        (tmp_path / "theirs").write_bytes(b"")
        assert os.umask(mask) == mask  # left as it was
    finally:
        os.umask(before)
    ours, theirs = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "theirs"))
    assert ours == theirs == 0o666 & ~mask


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path, host = tmp_path / "m [1].npz", socket.gethostname()
    path.write_bytes(b"old")
    theirs = [".m [1].npz", ".m [1].npz.mine", f".m [1].npz.{host}", f".m [1].npz.another-host.{ended.pid}.abcdefgh"]
    at_work = f".m [1].npz.{host}.{os.getppid()}.abcdefgh"
    left = f".m [1].npz.{host}.{ended.pid}.abcd_123"
    for name in [*theirs, at_work, left]:
        (tmp_path / name).touch()
    write_atomically(tmp_path / "m.npz", lambda file: None)
    assert (tmp_path / left).exists()  # that was another file

    def write(file):
        # The name of the temporary file is as those above.
        (own,) = set(os.listdir(tmp_path)) - {"m [1].npz", "m.npz", *theirs, at_work}
        assert re.fullmatch(rf"\.m \[1\]\.npz\.{re.escape(host)}\.{os.getpid()}\.\w+", own)

    write_atomically(path, write)
    assert set(os.listdir(tmp_path)) == {"m [1].npz", "m.npz", *theirs, at_work}


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match=r"pipe: is a pipe or a device\. Give the name of a file"):
        write_atomically(tmp_path / "pipe", lambda file: None)
    assert os.listdir(tmp_path) == ["pipe"]
