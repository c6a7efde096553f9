"""Where compiled kernels are kept: chosen by the environment, named after the sources, never in the way."""

import logging
from pathlib import Path

import pytest
from numba.core import config

from neurosim.kernels.jit import cache_folder, jit


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NEUROSIM_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_own_variable_comes_before_those_of_numba_and_of_the_desktop(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().parent == tmp_path / "xdg" / "neurosim"
    environment.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    assert cache_folder().parent == tmp_path / "numba"
    environment.setenv("NEUROSIM_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder().parent == tmp_path / "own"


def test_home_is_the_last_choice(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder().parent == tmp_path / ".cache" / "neurosim"


def test_folder_is_named_after_the_bounds_check(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("NEUROSIM_CACHE_DIR", str(tmp_path))
    before = cache_folder().name
    assert cache_folder().name == before
    environment.setattr(config, "BOUNDSCHECK", 0 if config.BOUNDSCHECK else 1)
    assert cache_folder().name != before


def test_folder_that_cannot_be_written_is_replaced_and_named_in_the_log(
    environment: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    taken = tmp_path / "file"
    taken.write_text("not a folder")
    environment.setenv("NEUROSIM_CACHE_DIR", str(taken))
    environment.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        folder = cache_folder()
    assert folder.is_dir()
    assert folder.parent.parent == tmp_path
    assert str(taken) in caplog.text


def test_compiling_a_kernel_leaves_numbas_own_setting_alone() -> None:
    before = config.CACHE_DIR

    def three() -> int:
        return 3

    assert jit(three)() == 3
    assert config.CACHE_DIR == before
