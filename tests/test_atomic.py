import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from neurosim.atomic import open_atomically, write_atomically
from neurosim.errors import NeurosimError, RunFolderError

OLD, NEW = b"old content", b"new content, longer" * 1000


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def failing(code: int):
    def fail(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


def test_new_file_is_written_and_old_one_replaced(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, OLD)
    write_atomically(path, NEW)
    write_atomically(str(path), NEW)
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["a.json"]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    write_atomically(tmp_path / "a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW


@pytest.mark.parametrize(
    ("function", "code", "words"),
    [
        ("write", errno.ENOSPC, "No space left on device; free some space"),
        ("write", errno.EIO, "Input/output error; write elsewhere"),
        ("fsync", errno.ENOSPC, "free some space"),
        ("fsync", errno.EDQUOT, "free some of your quota"),
        ("replace", errno.EACCES, "Permission denied; change its permissions"),
        ("open", errno.EROFS, "a folder that is not read-only"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, function, code, words, exists):
    path = tmp_path / "a.npz"
    if exists:
        path.write_bytes(OLD)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, failing(code))
        with pytest.raises(RunFolderError, match=words) as caught:
            write_atomically(path, NEW)
    assert str(path) in str(caught.value) and f"{len(NEW)} bytes" in str(caught.value)
    assert isinstance(caught.value, NeurosimError)
    assert names(tmp_path) == (["a.npz"] if exists else [])
    assert not exists or path.read_bytes() == OLD


def test_interrupt_from_the_keyboard_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a", NEW)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_synced_does_not_matter_after_the_rename(tmp_path, monkeypatch):
    real = os.fsync

    def only_files(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "folders cannot be synced here")
        real(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomically(tmp_path / "a", NEW)
    assert (tmp_path / "a").read_bytes() == NEW


def test_missing_folder_is_named_with_the_remedy(tmp_path):
    with pytest.raises(RunFolderError, match="No such file or directory; make the folder first"):
        write_atomically(tmp_path / "none" / "a", NEW)


def test_folders_and_devices_are_not_replaced(tmp_path):
    with pytest.raises(RunFolderError, match="is a folder, not a regular file"):
        write_atomically(tmp_path, NEW)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RunFolderError, match="is a device or pipe"):
        write_atomically(pipe, NEW)
    with pytest.raises(RunFolderError, match="is a device or pipe"):
        write_atomically(os.devnull, NEW)
    assert pipe.is_fifo()


def test_a_symbolic_link_keeps_pointing(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(OLD)
    link.symlink_to(real)
    write_atomically(link, NEW)
    assert link.is_symlink() and real.read_bytes() == NEW


SCRIPT = """
from neurosim.atomic import open_atomically, write_atomically
from neurosim.errors import RunFolderError
try:
    write_atomically({path!r}, bytes(1 << 20))
except RunFolderError as error:
    print(error)
"""


def run_python(script: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_real_limit_of_the_file_size_is_reported(tmp_path):
    pytest.importorskip("resource", reason="no RLIMIT_FSIZE on this system")
    path = tmp_path / "a.npz"
    path.write_bytes(OLD)
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
    assert "File too large; raise the limit" in run_python(limit + SCRIPT.format(path=str(path)))
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.npz"]


def test_a_really_full_disk_leaves_the_old_file(tmp_path):
    mount = tmp_path / "tiny"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command: cannot make a small disk")
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        path = mount / "a.npz"
        path.write_bytes(OLD)
        with pytest.raises(RunFolderError, match="No space left on device; free some space"):
            write_atomically(path, bytes(1 << 20))
        assert path.read_bytes() == OLD and names(mount) == ["a.npz"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_stream_replaces_the_file_at_its_end(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    with open_atomically(path) as stream:
        stream.write(NEW)
        stream.flush()
        assert path.read_bytes() == OLD and len(names(tmp_path)) == 2
        stream.write(NEW)
    assert path.read_bytes() == NEW + NEW and names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_stream_that_is_left_by_an_error_changes_nothing(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(OLD)
    with pytest.raises(error), open_atomically(path) as stream:
        stream.write(NEW)
        raise error
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.bin"]
    with pytest.raises(RunFolderError, match="cannot write the file: No such file or directory; make the folder first"):
        with open_atomically(tmp_path / "none" / "a"):
            raise AssertionError("not reached")
    with pytest.raises(RunFolderError, match="cannot write the file: No space left on device; free some space"):
        with open_atomically(path) as stream:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(RunFolderError, match="is a folder, not a regular file"):
        with open_atomically(tmp_path):
            raise AssertionError("not reached")
    assert path.read_bytes() == OLD and names(tmp_path) == ["a.bin"]
