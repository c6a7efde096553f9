"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neurosim.errors import RunFolderError

REMEDIES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some of your quota or write elsewhere",
    errno.EFBIG: "raise the limit of the file size (ulimit -f) or write elsewhere",
    errno.ENOENT: "make the folder first",
    errno.EACCES: "change its permissions or write elsewhere",
    errno.EPERM: "change its permissions or write elsewhere",
    errno.EROFS: "write to a folder that is not read-only",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that readers see either the old content or all of the new.

    The data goes to a temporary file in the same folder, reaches the disk, and is then renamed. When anything
    fails, the temporary file is removed and the old file stays as it was.

    Parameters
    ----------
    path : path-like
        A symbolic link is followed; the file that it names is replaced.
    data : bytes

    Raises
    ------
    RunFolderError
        With the cause and a remedy: disk full, missing folder, no permission, not a regular file.
    """
    shown, target = os.fspath(path), Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        _refuse_special(shown, target)
        with _renamed(temporary, target) as handle:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]  # a write may be short
    except OSError as error:
        if isinstance(error, RunFolderError):
            raise
        raise _cannot_write(shown, f"{len(data)} bytes", error) from error


@contextlib.contextmanager
def open_atomically(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a stream to write a long file so that readers see either the old content or all of the new.

    As `write_atomically`, for what does not fit in memory: when the block is left by an exception, nothing is changed.

    Raises
    ------
    RunFolderError
        As `write_atomically`.
    """
    shown, target = os.fspath(path), Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        _refuse_special(shown, target)
        with _renamed(temporary, target) as handle, os.fdopen(os.dup(handle), "wb") as stream:
            yield stream
    except OSError as error:
        if isinstance(error, RunFolderError):
            raise
        raise _cannot_write(shown, "the file", error) from error


def _cannot_write(shown: str, what: str, error: OSError) -> RunFolderError:
    cause = os.strerror(error.errno) if error.errno else str(error)
    remedy = REMEDIES.get(error.errno or 0, "write elsewhere")
    return RunFolderError(f"file {shown!r}: cannot write {what}: {cause}; {remedy}")


def _refuse_special(shown: str, target: Path) -> None:
    """Refuse folders and devices: a rename over /dev/null would replace it."""
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        kind = "a folder" if target.is_dir() else "a device or pipe"
        raise RunFolderError(f"file {shown!r}: is {kind}, not a regular file; give the name of a file")


@contextlib.contextmanager
def _renamed(temporary: Path, target: Path) -> Iterator[int]:
    """Give the handle of a new file that takes the target's place at the end, and is removed if anything fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666)
    renamed = False
    try:
        try:
            yield handle
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, target)
        renamed = True
    finally:
        if not renamed:  # also on an interrupt from the keyboard
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where the system can."""
    if os.name != "posix":
        return
    # The new file is complete and in place: a filesystem that cannot sync folders is not a failure of the write.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
