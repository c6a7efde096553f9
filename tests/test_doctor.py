"""The doctor: every finding, and what it advises."""

from pathlib import Path

import pytest

from neurosim.doctor import (
    FAIL,
    MIN_FREE_BYTES,
    NEWEST_PYTHON,
    OK,
    WARN,
    check_all,
    check_backends,
    check_cache,
    check_disk,
    check_package,
    check_python,
    check_self,
    run_two_neurons,
)
from neurosim.errors import BackendError


def test_everything_is_looked_at_and_nothing_fails_here() -> None:
    checks = check_all()
    names = [check.name for check in checks]
    assert names[:3] == ["python", "numpy", "numba"]
    assert {"kernel cache", "disk", "backend simulator", "backend reference", "self-test"} <= set(names)
    assert [check for check in checks if check.state == FAIL] == []
    assert all(check.remedy for check in checks if check.state != OK and not check.name.startswith("backend"))


@pytest.mark.parametrize(
    ("found", "state"),
    [((3, 9), FAIL), ((3, 10), OK), (NEWEST_PYTHON, OK), ((NEWEST_PYTHON[0], NEWEST_PYTHON[1] + 1), WARN)],
)
def test_python_is_compared_with_what_is_tested(found: tuple[int, int], state: str) -> None:
    check = check_python(found)
    assert check.state == state
    assert (check.remedy is None) == (state == OK)


def test_a_missing_package_fails_with_its_command() -> None:
    check = check_package("neurosim-no-such-package")
    assert (check.state, check.remedy) == (FAIL, "python -m pip install neurosim-no-such-package")


def test_a_full_disk_is_a_warning() -> None:
    assert check_disk(MIN_FREE_BYTES).state == OK
    assert check_disk(MIN_FREE_BYTES - 1).state == WARN


def test_a_cache_folder_that_cannot_be_written_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_CACHE_DIR", str(tmp_path / "cache"))
    assert check_cache().state == OK
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NEUROSIM_CACHE_DIR", str(tmp_path / "file"))
    check = check_cache()
    assert check.state == WARN
    assert "cannot be written" in check.detail


def test_backends_that_are_missing_are_no_failure() -> None:
    assert {check.state for check in check_backends()} <= {OK, WARN}


def test_two_neurons_fire_on_both_backends() -> None:
    steps, voltages = run_two_neurons("simulator")
    assert steps
    assert any(voltages)
    assert run_two_neurons("reference") == (steps, voltages)


def test_backends_that_disagree_fail_with_both_results() -> None:
    check = check_self(lambda backend: ([1], [2]) if backend == "simulator" else ([1], [3]))
    assert check.state == FAIL
    assert "[2]" in check.detail
    assert "[3]" in check.detail


def test_a_backend_that_cannot_run_fails_with_its_error() -> None:
    def run(backend: str) -> tuple[list[int], list[int]]:
        raise BackendError("out of order")

    check = check_self(run)
    assert (check.state, check.detail) == (FAIL, "out of order")
