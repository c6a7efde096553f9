"""Tables of times: presets, the barrier, and what is refused."""

import pytest

from neurosim.costs.timetable import TIME_KINDS, TIMES, Barrier, TimeTable, load_time_table, time_table_names
from neurosim.energytable import SYNAPTIC_KINDS
from neurosim.errors import ChipError


def entry(**changes):
    return {"value": 2.0, "unit": "ns", "source": "a test", "kind": "assumed"} | changes


def barrier(**changes):
    return entry(value=[1.0, 3.0], tiles=[1, 5], between="linear") | changes


def minimal(**changes):
    table = {
        "format": 1, "name": "t", "title": "t", "notes": "t", "uncertainty": "u", "not_modelled": ["all else"],
        "time": {"spikes": entry()},
    }  # fmt: skip
    return table | changes


@pytest.mark.parametrize("name", time_table_names())
def test_preset_loads_with_sources_and_kinds(name):
    table = load_time_table(name)
    assert table.name == name and table.uncertainty and table.not_modelled
    for constant in table.times.values():
        assert constant.unit == "ns" and constant.source and constant.kind in TIME_KINDS and constant.value > 0
    if table.barrier is not None:
        assert table.barrier.source and table.barrier.kind in TIME_KINDS


@pytest.mark.parametrize("name", time_table_names())
def test_preset_times_explains_or_dismisses_every_operation(name):
    table = load_time_table(name)
    listed = {*table.times, *table.unknown, *table.not_work, *(["barrier"] if table.barrier else [])}
    assert listed >= {*TIMES, "barrier"} - set(SYNAPTIC_KINDS) - {"step"} and listed <= {*TIMES, "barrier"}


def test_derived_times_are_the_fitted_ones_divided_by_the_factors_in_their_sources():
    fitted, derived = load_time_table("loihi1-sanafe2026"), load_time_table("loihi2-derived")
    factors = {"synaptic_operations": 5, "neuron_updates_active": 2, "neuron_updates_idle": 2, "spikes": 10}
    assert {constant.kind for constant in derived.times.values()} == {"derived"} and set(derived.times) == set(factors)
    for name, factor in factors.items():
        assert derived.of(name) == pytest.approx(fitted.of(name) / factor)
        assert f"/ {factor} " in derived.times[name].source
    assert derived.barrier.ns == pytest.approx([ns / 9 for ns in fitted.barrier.ns], abs=0.05)


@pytest.mark.parametrize(
    ("n_tiles", "ns"), [(1, 600), (2, 1000), (3, 1000), (4, 1400), (28, 1400), (29, 1800), (32, 1800)]
)
def test_barrier_by_steps_takes_the_entry_below(n_tiles, ns):
    assert load_time_table("loihi1-sanafe2026").barrier.at(n_tiles) == ns


def test_barrier_by_a_line_meets_its_ends():
    found = load_time_table("loihi1-davies2018").barrier
    assert (found.at(1), found.at(32), found.at(40)) == (113.0, 465.0, 465.0)
    assert found.at(2) == pytest.approx(113 + 352 / 31)
    assert Barrier((2, 3), (7.0, 9.0), "linear", "ns", "s", "assumed").at(1) == 7.0


def test_operations_without_a_time_are_none_and_those_without_work_zero():
    table = load_time_table("loihi1-sanafe2026")
    assert table.of("link_packets") is None and table.of("within_tile") == 0.0 and table.of("spikes") == 30.0
    assert TimeTable.from_dict(minimal()).of("messages") is None


def test_kinds_of_connections_have_times_of_their_own_where_a_table_lists_them():
    table = load_time_table("loihi1-sanafe2026")
    found = [table.synaptic_name(kind) for kind in ("dense", "sparse", "one_to_one", "conv graded", "dense graded")]
    plain = "synaptic_operations"
    assert found == [plain, f"{plain}_sparse", f"{plain}_one_to_one", f"{plain}_conv", plain]
    graded = TimeTable.from_dict(minimal(time={f"{plain}_graded": entry(), f"{plain}_conv": entry()}))
    assert graded.synaptic_name("conv graded") == f"{plain}_graded" and graded.synaptic_name("conv") == f"{plain}_conv"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time": {"spike": entry()}}, "unknown key 'spike'; did you mean 'spikes'"),
        ({"time": {"spikes": 3}}, "time of spikes: 3 is a bare value"),
        ({"time": 3}, "time 3 is not a table"),
        ({"time": {"spikes": entry(unit="us")}}, "time of spikes is in 'us'; times are in ns"),
        ({"time": {"spikes": entry(value=-1)}}, "time of spikes: value -1 is not a number"),
        ({"time": {"spikes": entry(value=True)}}, "time of spikes: value True is not a number"),
        ({"time": {"spikes": entry(value="?")}}, "leave out what is unknown"),
        ({"time": {"spikes": entry(source="")}}, "source '' is not a text"),
        ({"time": {"spikes": entry(kind="guess")}}, "unknown kind 'guess'"),
        ({"time": {"spikes": {"value": 1, "unit": "ns", "kind": "derived"}}}, "missing source"),
        ({"barrier": barrier(unit="us")}, "barrier is in 'us'; times are in ns"),
        ({"barrier": barrier(between="curve")}, "between 'curve' is not known; choose one of steps, linear"),
        ({"barrier": barrier(value=[1.0])}, "are not two lists of one length"),
        ({"barrier": barrier(value=3.0)}, "are not two lists of one length"),
        ({"barrier": barrier(tiles=[5, 1])}, "are not ascending positive integers"),
        ({"barrier": barrier(tiles=[0, 1])}, "are not ascending positive integers"),
        ({"barrier": barrier(value=[1.0, -3.0])}, "barrier: value -3.0 is not a number"),
        ({"barrier": entry(value=[1.0])}, "barrier: missing tiles, between"),
        ({"unknown": {"spikes": "no"}}, "listed under time and unknown"),
        ({"unknown": {"messages": ""}}, "is not a table of reasons"),
        ({"not_work": {"message": "no"}}, "unknown key 'message'"),
        ({"not_modelled": "x"}, "is not a list of texts"),
        ({"uncertainty": ""}, "uncertainty '' is not a text"),
        ({"uncertainty_percent": "25"}, "uncertainty_percent: value '25' is not a number"),
        ({"format": 2}, "format 2 cannot be read"),
        ({"price": {}}, "unknown key 'price'"),
    ],
)
def test_wrong_table_is_refused_by_name(changes, words):
    with pytest.raises(ChipError, match=words):
        TimeTable.from_dict(minimal(**changes))


def test_own_table_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'format = 1\nname = "mine"\ntitle = "t"\nnotes = "n"\nuncertainty = "u"\nnot_modelled = ["all else"]\n'
        '[time.spikes]\nvalue = 2\nunit = "ns"\nsource = "me"\nkind = "measured"\n',
        encoding="utf-8",
    )
    assert load_time_table(path).of("spikes") == 2.0


def test_unknown_table_suggests_a_close_one():
    with pytest.raises(ChipError, match="unknown time table 'loihi1-sanafe'.*did you mean 'loihi1-sanafe2026'"):
        load_time_table("loihi1-sanafe")
