"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import socket
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bcd_implicit.errors import InvalidInputError, shown


def check_path(argument: str, path: Any) -> Path:
    """Return the path, or raise an error that names the argument: a number would be an open file's.

    Raises
    ------
    InvalidInputError
        Anything but text or a path of text; nothing.
    """
    given = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(given, str) or not given:
        raise InvalidInputError(argument, f"got {shown(path)}", "Give the name of a file, as text or a pathlib.Path")
    return Path(given)


def check_is_file(path: str | os.PathLike[str]) -> None:
    """Raise an error unless there is a file at the path: opening a pipe could wait for ever.

    Raises
    ------
    InvalidInputError
        No such file, a folder, a pipe or a device, or a folder on the way that may not be entered.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInputError(str(path), "no such file", "Check the path") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        raise InvalidInputError(str(path), "is a folder", "Give the name of a file")
    if not stat.S_ISREG(mode):
        raise InvalidInputError(str(path), "is a pipe or a device", "Give the name of a file")


def unreadable(path: str | os.PathLike[str], error: OSError | ValueError) -> InvalidInputError:
    """The error that says why the operating system did not let a file be read."""
    reason = getattr(error, "strerror", None) or error
    return InvalidInputError(str(path), f"cannot be read ({reason})", "Check the path and its permissions")


def write_atomically(path: str | os.PathLike[str], write: Callable[[Any], None]) -> Path:
    """Call ``write`` on a temporary binary file in the same folder, then move it into place.

    A reader sees the old file or the whole new one, never a part: an error on the way leaves what stood. What a
    writer of the same file left behind when it was killed is removed.

    Raises
    ------
    InvalidInputError
        The folder does not exist or cannot be written to, the disk is full, or the path is a folder or a device.
    """
    path = Path(path)
    if path.exists():
        check_is_file(path)
    # The process that writes is in the name, so that a later one can tell whether it is still at work.
    prefix = f".{path.name}.{socket.gethostname()}."
    with suppress(OSError):
        _remove_remains(path.parent, prefix)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{prefix}{os.getpid()}.")
    except OSError as error:
        raise InvalidInputError(
            str(path), f"cannot be written ({error.strerror or error})", "Choose another folder"
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes private files; give what open() would have given
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InvalidInputError(
            str(path), f"cannot be written ({error.strerror or error})", "Choose another folder"
        ) from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _remove_remains(folder: Path, prefix: str) -> None:
    """Remove the temporary files of writers that were killed, those of this machine: of others nothing is known."""
    temporary = re.compile(re.escape(prefix) + r"([0-9]+)\.\w+")
    with os.scandir(folder) as entries:
        writers = [(entry.path, match) for entry in entries if (match := temporary.fullmatch(entry.name))]
    for path, match in writers:
        if not _is_running(int(match[1])):
            Path(path).unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    # On Windows the same call would end the process.
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
