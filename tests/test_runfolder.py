import json
import logging

import pytest

from neurosim.arrayfile import pack_arrays
from neurosim.errors import RunFolderError
from neurosim.runfolder import RunFolder, unique_run_path


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "runs" / "digits-001")


def checkpoint(generation: int) -> bytes:
    return pack_arrays({"generation": generation}, {"weights": [[generation]]})


def test_create_makes_the_folder_and_its_parents(run):
    assert run.checkpoints.is_dir() and run.plots.is_dir()
    assert run.model_path == run.path / "model.npz"
    assert run.metrics_path == run.path / "metrics.json"
    assert run.report_path == run.path / "report.html"


def test_create_takes_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunFolder.create(tmp_path / "empty").path.is_dir()


def test_create_refuses_a_folder_with_files_and_names_the_remedies(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        RunFolderError, match="is not empty; choose another with --out, or continue this run with --resume"
    ):
        RunFolder.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_removes_the_earlier_run_and_nothing_else(run):
    run.write_checkpoint(7, checkpoint(7))
    run.write_metrics({"seed": 1})
    run.model_path.write_bytes(b"old")
    (run.path / "notes.txt").write_text("mine")
    again = RunFolder.create(run.path, force=True)
    assert again.latest_checkpoint() is None
    assert sorted(path.name for path in run.path.iterdir()) == ["checkpoints", "notes.txt", "plots"]


def test_create_says_when_a_file_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunFolderError, match="a file is in the way; choose another"):
            RunFolder.create(path)


def test_create_reports_the_cause_of_other_failures(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be made: File name too long"):
        RunFolder.create(tmp_path / ("x" * 300))


def test_open_finds_the_folder_or_says_what_is_wrong(run):
    assert RunFolder.open(run.path) == run
    with pytest.raises(RunFolderError, match="does not exist; give the folder of a run"):
        RunFolder.open(run.path / "none")
    run.model_path.write_bytes(b"")
    with pytest.raises(RunFolderError, match="is not a folder"):
        RunFolder.open(run.model_path)


def test_the_newest_three_checkpoints_are_kept(run):
    for generation in (0, 10, 20, 30, 1_000_000):
        path = run.write_checkpoint(generation, checkpoint(generation))
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "gen-000020.npz",
        "gen-000030.npz",
        "gen-1000000.npz",
    ]
    assert run.latest_checkpoint() == path == run.checkpoint_path(1_000_000)


def test_a_new_checkpoint_is_never_dropped_for_damaged_later_ones(run):
    for generation in (110, 120, 130):
        run.write_checkpoint(generation, b"damaged")
    run.write_checkpoint(105, checkpoint(105))
    assert run.latest_checkpoint() == run.checkpoint_path(105)


def test_leftovers_of_a_killed_process_are_swept(run):
    (run.checkpoints / ".gen-000001.npz.abc.tmp").write_bytes(b"half")
    run.write_checkpoint(1, checkpoint(1))
    assert [path.name for path in run.checkpoints.iterdir()] == ["gen-000001.npz"]


def test_damaged_checkpoints_are_passed_over_with_a_warning(run, caplog):
    for generation in (1, 2, 3):
        run.write_checkpoint(generation, checkpoint(generation))
    run.checkpoint_path(3).write_bytes(checkpoint(3)[:100])
    altered = bytearray(checkpoint(2))
    altered[200] ^= 1
    run.checkpoint_path(2).write_bytes(altered)
    with caplog.at_level(logging.WARNING):
        assert run.latest_checkpoint() == run.checkpoint_path(1)
    assert "gen-000003.npz': is truncated" in caplog.text and "gen-000002.npz': is corrupt" in caplog.text


def test_no_checkpoint_is_none(run, tmp_path):
    assert run.latest_checkpoint() is None
    (run.checkpoints / "gen-1.npz").write_bytes(b"")  # not our name
    (run.checkpoints / "other.txt").write_bytes(b"")
    assert run.latest_checkpoint() is None
    assert RunFolder.open(tmp_path).latest_checkpoint() is None


def test_negative_generations_are_refused(run):
    with pytest.raises(RunFolderError, match="generation -1 is negative"):
        run.write_checkpoint(-1, b"")


def test_metrics_come_back_in_their_order_and_are_the_same_bytes_each_time(run):
    metrics = {"task": "digits", "größe": [1, 2.5, None], "a": {"z": 1, "b": True}}
    run.write_metrics(metrics)
    first = run.metrics_path.read_bytes()
    assert run.read_metrics() == metrics
    assert list(run.read_metrics()) == list(metrics) and list(run.read_metrics()["a"]) == ["z", "b"]
    run.write_metrics(run.read_metrics())
    assert run.metrics_path.read_bytes() == first and first.endswith(b"\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_metrics_that_json_lacks_are_refused_and_the_old_ones_stay(run, value):
    run.write_metrics({"a": 1})
    with pytest.raises(RunFolderError, match="metrics cannot be JSON"):
        run.write_metrics({"a": value})
    assert run.read_metrics() == {"a": 1}


def test_missing_and_broken_metrics_name_the_file_and_the_remedy(run):
    with pytest.raises(RunFolderError, match="metrics.json': does not exist; finish the run first"):
        run.read_metrics()
    run.metrics_path.write_text('{"a": ')
    with pytest.raises(RunFolderError, match="is not JSON"):
        run.read_metrics()
    run.metrics_path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunFolderError, match="is not JSON"):
        run.read_metrics()
    run.metrics_path.write_text(json.dumps([1]))
    with pytest.raises(RunFolderError, match="holds a list, not metrics"):
        run.read_metrics()


def test_run_paths_count_up(tmp_path):
    assert unique_run_path(tmp_path / "runs", "digits").name == "digits-001"
    for name in ("digits-001", "digits-007", "digits-x", "xor-009"):
        (tmp_path / name).mkdir()
    assert unique_run_path(tmp_path, "digits") == tmp_path / "digits-008"
    assert unique_run_path(tmp_path, "a.b") == tmp_path / "a.b-001"


def test_metrics_that_are_nested_very_deep_are_refused(tmp_path):
    run = RunFolder.create(tmp_path / "run")
    run.metrics_path.write_text("[" * 100_000)
    with pytest.raises(RunFolderError, match="is not JSON: maximum recursion depth"):
        run.read_metrics()


def test_a_folder_that_nothing_was_written_into_goes_again(run):
    run.discard_unused()
    assert not run.path.exists() and run.path.parent.is_dir()


@pytest.mark.parametrize("name", ["checkpoints/gen-000001.npz", "mine.txt", "plots/a/b.png"])
def test_a_folder_with_any_file_stays(run, name):
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).write_text("kept")
    run.discard_unused()
    assert (run.path / name).read_text() == "kept" and run.plots.is_dir()
