"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

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
        _write_then_rename(temporary, target, data)
    except OSError as error:
        if isinstance(error, RunFolderError):
            raise
        cause = os.strerror(error.errno) if error.errno else str(error)
        remedy = REMEDIES.get(error.errno or 0, "write elsewhere")
        raise RunFolderError(f"file {shown!r}: cannot write {len(data)} bytes: {cause}; {remedy}") from error


def _refuse_special(shown: str, target: Path) -> None:
    """Refuse folders and devices: a rename over /dev/null would replace it."""
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        kind = "a folder" if target.is_dir() else "a device or pipe"
        raise RunFolderError(f"file {shown!r}: is {kind}, not a regular file; give the name of a file")


def _write_then_rename(temporary: Path, target: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666)
    renamed = False
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]  # a write may be short
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
