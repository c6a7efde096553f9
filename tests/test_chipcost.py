"""What a chip would need to learn, followed by hand, and each reason why it may not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurosim.chip import Chip, load_chip
from neurosim.chipcost import KEY_BITS, ChipCost, chip_cost, cost_of, learning_needs
from neurosim.compile_network import compile as compile_network
from neurosim.config import TrainConfig, override
from neurosim.counters import LEARNING
from neurosim.experiment import open_trainer, plan_training, prepare_program
from neurosim.learnplan import make_plan
from neurosim.network import LIF, Dense, Input, Network
from neurosim.report import chip_cost_lines, chip_cost_tables
from neurosim.tasks import load_task

AMPLE = {
    "tag_bits": 64, "trace_bits": 64, "pre_traces": 64, "post_traces": 64, "learning_accumulator_bits": 64,
    "message_bits": 64, "embedded_processors": 4,
}  # fmt: skip


def network(hidden: int = 2) -> Network:
    """Three inputs, a few hidden neurons and two classes, all weights plastic."""
    return Network(
        (Input("input", 3), LIF("hidden", hidden, 0, 0, 100), LIF("readout", 2, 0, 0, 131071)),
        (
            Dense("input", "hidden", np.full((hidden, 3), 2), plastic=True),
            Dense("hidden", "readout", np.full((2, hidden), 2), plastic=True),
        ),
    )


def chip_with(**limits: int | str) -> Chip:
    """Loihi 1 with other limits; a text is a kind without a value."""
    data: dict[str, Any] = load_chip("loihi1").to_dict()
    for name, value in (AMPLE | limits).items():
        kind = value if isinstance(value, str) else "assumed"
        data[name] = {"value": value, "unit": "x", "source": f"the test's {name}", "kind": kind}
    return Chip.from_dict(data)


def cost(chip: Chip | str, hidden: int = 2, batch: int = 1, row_memory: int | None = None, **rule: Any) -> ChipCost:
    settings: dict[str, Any] = {
        "form": "response", "factor": "trace", "rank": 1, "n_pairs": 1, "n_steps": 5, "error_bits": 7, "residual_bits": 8,
    }  # fmt: skip
    program = compile_network(network(hidden), chip)
    plan = make_plan(program, "readout", **(settings | rule))
    return chip_cost(program, plan, batch=batch, memory=5, row_memory=row_memory)


def bits_of(found: ChipCost, of: str) -> dict[str, int]:
    return {part.what: part.bits for part in found.state if part.of == of}


def test_state_of_the_response_form_by_hand():
    found = cost("loihi1")
    # near; 2 classes of 8 bits; their sums: 24 bits of voltage, 1 for the difference, 5 for 2**5 generations; 12 bits and sign
    assert bits_of(found, "hidden") == {
        "near its threshold": 1, "response, 2 entries": 16, "response, accumulators": 60, "local vote": 13,
    }  # fmt: skip
    assert bits_of(found, "readout") == {"local vote": 8}
    assert bits_of(found, "input->hidden") == {"weight": 8, "residual": 8, "spike count": 3}  # 5 steps: 0..5 in 3 bits
    assert (found.bits_per("neuron"), found.bits_per("synapse"), found.bits_per("row")) == (90, 16, 3)
    assert found.learning_bits == 2 * 90 + 2 * 8 + (6 + 4) * 8 + (3 + 2) * 3


def test_state_of_the_scalar_form_by_hand():
    found = cost("loihi1", form="scalar", n_pairs=2, gate=True)
    assert bits_of(found, "hidden") == {"near its threshold": 1, "local vote": 9}  # 2 * 127 in 8 bits, and a sign
    assert bits_of(found, "readout") == {"local vote": 9}


def test_a_batch_keeps_a_factor_for_each_sample():
    one, many = cost("loihi1"), cost("loihi1", batch=4)
    assert bits_of(many, "input->hidden")["spike count, for each of 4 samples"] == 4 * 3
    assert bits_of(many, "hidden")["local vote, for each of 4 samples"] == 4 * 13
    assert bits_of(many, "hidden")["response, accumulators"] == 2 * (24 + 1 + 2 + 5)  # the sum of 4 pairs: 2 bits more
    assert many.learning_bits > one.learning_bits


def test_windows_multiply_traces_and_random_factors_need_a_flag():
    assert bits_of(cost("loihi1", rank=2), "input->hidden")["spike count"] == 2 * 2  # windows of 3 steps: 2 bits each
    assert bits_of(cost("loihi1", form="scalar", factor="random", rank=2), "input->hidden")["whether it fired"] == 1


def test_full_rank_keeps_a_sum_at_each_synapse():
    found = cost("loihi1", form="scalar", factor="full", n_pairs=4)
    assert bits_of(found, "hidden->readout")["sum of votes"] == 10  # 4 * 127 in 9 bits, and a sign


def test_a_mean_square_lies_at_each_presynaptic_neuron():
    assert bits_of(cost("loihi1", row_memory=7), "input->hidden")["mean square of votes"] == 45 + 7


def test_messages_by_hand():
    sent = {(m.group, m.what): m[2:] for m in cost("loihi1").messages}
    assert sent == {
        ("hidden", "c(t)"): (
            "pair",
            2 * 5,
            5,
        ),  # both members, 5 steps, one core; 3 sources x 5 spikes in 4 bits and sign
        ("hidden", "readout differences"): ("pair", 2, 25),
        ("hidden", "errors"): ("sample", 2, 8),
        ("readout", "errors"): ("sample", 2, 8),
    }
    scalar = {(m.group, m.what): m[2:] for m in cost("loihi1", form="scalar", n_pairs=1).messages}
    assert scalar["hidden", "fitness difference"] == ("pair", 1, 8)
    assert scalar["readout", "fitness difference"] == ("pair", 1, 8)


def test_loihi_1_has_too_little_at_a_neuron_and_sends_no_values():
    found = cost("loihi1")
    assert found.fits is False
    assert [need.resource for need in found.needs if need.fits is False] == ["state of a neuron", "value of a message"]
    assert "state of a neuron (hidden) 90 bits, limit 21" in found.verdict
    needs = {need.resource: (need.need, need.limit) for need in found.needs}
    assert needs["state beside a weight"] == (8, 9)
    assert needs["synapse memory"] == (
        5 * 64,
        1 << 20,
    )  # an axon: 2 synapses of 16 bits and 10 of header, in words of 64
    assert needs["vote of a sample"] == (16, 16)  # 5 * 4095 in 15 bits, and a sign
    assert all(need.source for need in found.needs)


def test_a_chip_with_room_fits_and_one_that_says_nothing_is_not_known():
    assert cost(chip_with()).verdict.startswith("yes")
    assert cost("unlimited").fits is True
    unknown = cost(chip_with(post_traces="unknown"))
    assert unknown.fits is None and "state of a neuron (hidden) 90 bits" in unknown.verdict
    assert cost("loihi2").verdict.startswith("not known")


@pytest.mark.parametrize(
    ("limit", "rule", "reason"),
    [
        ({"tag_bits": 9}, {"residual_bits": 10}, "state beside a weight (input->hidden) 10 bits, limit 9"),
        ({"synapse_memory_bits_per_core": 400}, {"residual_bits": 16, "hidden": 3}, "synapse memory (core 0) 576 bits a core, limit 400"),
        ({"trace_bits": 2}, {}, "spike count (one window) 3 bits, limit 2"),
        ({"pre_traces": 1, "trace_bits": 3}, {"rank": 2}, "state of a presynaptic neuron (input->hidden) 4 bits, limit 3"),
        ({"post_traces": 1}, {}, "state of a neuron (hidden) 90 bits, limit 64"),
        ({"learning_accumulator_bits": 15}, {}, "vote of a sample (one synapse) 16 bits, limit 15"),
        ({"message_bits": 24}, {}, "value of a message (readout differences to hidden) 25 bits, limit 24"),
        ({"embedded_processors": 0}, {}, "embedded processor (softmax and division) 1 processors, limit 0"),
    ],
)  # fmt: skip
def test_each_reason_not_to_fit(limit, rule, reason):
    found = cost(chip_with(**limit), **rule)
    assert found.fits is False
    assert reason in found.verdict


def test_operations_are_those_counted_and_the_accumulator_is_measured():
    config = override(TrainConfig(), ["network.hidden=[8]", "network.n_steps=4", "batch=3", "rule.warmup=2"])
    task = load_task("digits", n_steps=4, augment=False)
    with open_trainer(config, prepare_program(config, task)[0], task, threads=1) as trainer:
        assert cost_of(trainer).per_sample is None
        trainer.step()
        found, counts = cost_of(trainer), trainer.op_counts
        widest = int(np.abs(trainer.accumulated).max())
    assert counts is not None and found.per_sample is not None and found.per_step is not None
    assert found.per_sample == {name: counts.total(name) / 3 for name in LEARNING}
    assert found.per_sample["noise_draws"] == 8  # one pair, 8 hidden neurons
    assert found.per_step["noise_draws"] == 8 / (3 * 6)  # three runs of 4 + 2 steps
    assert found.accumulator_bits_used is not None and widest < 1 << (found.accumulator_bits_used - 1) <= 2 * widest


def test_reports_say_whether_it_fits():
    start = plan_training(override(TrainConfig(), ["network.hidden=[8]", "network.n_steps=4", "augment=false"]))
    metrics = {"chip_cost": start.cost.to_dict()}
    lines = chip_cost_lines(metrics)
    assert lines[0].startswith("learning needs") and lines[1].startswith("fits on loihi1     no, because: ")
    assert [table.title for table in chip_cost_tables(metrics)] == [
        "Does learning fit on loihi1?", "State of learning", "Messages of learning",
    ]  # fmt: skip
    assert chip_cost_lines({}) == [] and chip_cost_tables({}) == []


def test_a_mapping_that_makes_room_for_learning_uses_what_the_cost_says():
    settings: dict[str, Any] = {"batch": 1, "memory": 5}
    chip = chip_with(compartments_per_core=1, synapse_memory_bits_per_core=1 << 20)
    program = compile_network(network(2), chip)
    plan = make_plan(
        program,
        "readout",
        form="response",
        factor="trace",
        rank=1,
        n_pairs=1,
        n_steps=5,
        error_bits=7,
        residual_bits=16,
    )
    found = chip_cost(program, plan, **settings)
    again = compile_network(network(2), chip, learning=learning_needs(program, plan, **settings))
    assert [(use.core, use.used["synapse_memory_bits"], use.used["learning_bits"]) for use in again.mapping.cores] == [
        tuple(core) for core in found.cores
    ]
    # a hidden neuron: 3 synapses with 16 bits, 3 counts of 3 bits, 90 bits of its own, and the core's key
    assert found.cores[0] == (0, 3 * 64, 3 * 16 + 3 * 3 + 90 + KEY_BITS)
    # counts of presynaptic neurons lie on both cores of their targets: (3 + 2) rows of 3 bits once more; four keys
    assert sum(core.learning_bits for core in found.cores) == found.learning_bits + 5 * 3 + 4 * KEY_BITS
    assert found.to_dict()["cores"][0] == found.cores[0]._asdict()
