"""Where data sets are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurosim.data.folder import CHECKOUT, DataSet, data_roots, find_data, read_bytes
from neurosim.errors import DataError

SHELLS = DataSet("shells", "shells.txt", ("shells.txt",), "the sea, https://example.org")


def test_the_variable_alone_counts_where_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    assert data_roots() == [tmp_path]


def test_otherwise_the_current_folder_comes_before_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    shared = Path("shared") / "data"
    assert data_roots() == [tmp_path / "data", CHECKOUT / "data", tmp_path.parent / shared, CHECKOUT.parent / shared]
    for root in (tmp_path / "data" / "shells",):
        root.mkdir(parents=True)
        (root / "shells.txt").write_text("3")
    assert find_data(SHELLS) == tmp_path / "data" / "shells"


def test_a_folder_without_its_files_is_not_the_data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    (tmp_path / "shells").mkdir()
    with pytest.raises(
        DataError, match=r"data set 'shells': not found in .*shells; the folder must hold shells.txt. Get it"
    ):
        find_data(SHELLS)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'.*gone.bin': cannot be read .*; get the data set anew"):
        read_bytes(tmp_path / "gone.bin")
