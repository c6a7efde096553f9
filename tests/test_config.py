"""Configuration: borders, files, overrides, and the example that cannot go stale."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from neurosim.config import (
    NetworkConfig,
    RuleConfig,
    TrainConfig,
    all_keys,
    assignments,
    example_toml,
    load_config,
    override,
)
from neurosim.errors import ConfigError
from neurosim.learnplan import FACTORS, FORMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTABLE = {
    "task": "letters", "augment": False, "seed": 0, "epochs": 2, "batch": 1, "chip": "loihi2", "backend": "reference",
    "energy_table": "loihi2", "start": "model.npz", "evaluate_every": 3, "checkpoint_every": 4, "network.hidden": [3, 5],
    "network.convolutions": ["4c3s2p1", "8c3"], "network.recurrent": True, "network.neuron": "atrlif",
    "network.n_steps": 7, "network.tau_mem": 0.5, "network.tau_syn": 0.25, "network.threshold": 2.5,
    "network.gain": 3.5, "network.rate": 0.25, "network.weight_bits": 6, "network.dt": 0.1, "rule.form": "scalar", "rule.factor": "trace", "rule.rank": 2,
    "rule.pairs": 3, "rule.error_bits": 5, "rule.residual_bits": 4, "rule.perturbation": 0.125, "rule.step": 0.75,
    "rule.memory": 6, "rule.warmup": 0, "rule.update": "rounding", "rule.chance": 0.5, "rule.momentum": 2,
    "rule.schedule": "halving", "rule.halvings": 3, "rule.biases": True, "rule.thresholds": True,
    "network.readout_threshold": 0.5, "network.readout_tau": 0.02, "rule.fitness": "count",
    "rule.rate_cost": 0.5, "rule.rate_target": 0.25, "rule.balance_cost": 0.125, "rule.window_labels": False,
    "rule.window_response": "own", "rule.window_read": "end",
    "rule.pair_every": 9, "rule.skip": 0.5, "rule.one_group": True, "rule.gate": False,
    "rule.row_step": False, "rule.readout_perturbation": 0.5, "mode": "stream",
    "method": "direct", "network.max_spikes": 4, "network.signed": True,
    "direct.rate": 0.5, "direct.schedule": "linear", "direct.warmup": 0.25, "direct.weight_decay": 0.5, "direct.smoothing": 0.125,
    "direct.dropout": 0.25, "direct.clip": 2.0, "direct.surrogate": "arctan", "direct.width": 0.75, "direct.learn_width": "step",
    "direct.reset_gradient": True, "direct.learn_threshold": True, "direct.learn_decay": True, "direct.balance": 0.0625,
    "direct.balance_layers": "last", "direct.balance_norm": "variance", "direct.arithmetic": "float", "direct.shards": 2,
    "faults.stuck_zero": 0.125, "faults.stuck_largest": 0.25, "faults.stuck_present": 0.5, "faults.dead": 0.0625,
    "faults.threshold_spread": 0.25, "faults.seed": 5,
}  # fmt: skip
SETTABLE_TEXTS = [
    f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in SETTABLE.items()
]


#: What some keys need beside them, if they are not 0.
GOES_WITH = {"network.readout_threshold": ["rule.fitness=count"], "rule.balance_cost": ["rule.form=scalar"]}


def values_of(config: TrainConfig) -> dict[str, object]:
    flat = {}
    for name, value in config.to_dict().items():
        flat |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def test_example_holds_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(example_toml(), encoding="utf-8")
    assert load_config(path) == TrainConfig()


def test_example_names_every_key_with_its_meaning() -> None:
    text = example_toml()
    assert tomllib.loads(text) == TrainConfig().to_dict()
    flat = " ".join(text.replace("#", " ").split())
    for about in all_keys().values():
        assert " ".join(about.text.split()) in flat
        assert about.limits in flat


def test_every_key_can_be_set() -> None:
    assert set(SETTABLE) == set(all_keys())
    assert values_of(override(TrainConfig(), SETTABLE_TEXTS)) == SETTABLE


def test_assignments_make_the_same_configuration_again() -> None:
    config = override(TrainConfig(), SETTABLE_TEXTS)
    assert override(TrainConfig(), assignments(config)) == config
    assert assignments(TrainConfig()) == []


def test_round_trip_through_json_is_exact() -> None:
    config = override(
        TrainConfig(), ["network.tau_mem=0.1", "rule.step=0.3", "network.hidden=[7, 9]", "seed=9223372036854775807"]
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_missing_keys_keep_their_defaults() -> None:
    config = TrainConfig.from_dict({"rule": {"pairs": 2}})
    assert config == TrainConfig(rule=RuleConfig(pairs=2))


def test_whole_numbers_become_floats_and_lists_tuples() -> None:
    config = NetworkConfig(hidden=[4], threshold=2)  # type: ignore[arg-type]
    assert config.hidden == (4,)
    assert isinstance(config.threshold, float)


def test_choices_are_those_of_the_learning_plan() -> None:
    assert all_keys()["rule.form"].choices == tuple(FORMS)
    assert all_keys()["rule.factor"].choices == tuple(FACTORS)


def test_texts_may_be_quoted_or_not() -> None:
    assert override(TrainConfig(), ['chip="loihi2"']) == override(TrainConfig(), ["chip = loihi2"])
    assert override(TrainConfig(), ["chip=my.toml"]).chip == "my.toml"


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs", "no '='; write key=value"),
        ("rule.pair=2", r"unknown key 'rule.pair'; did you mean 'rule.pairs'"),
        ("pairs=2", "did you mean 'rule.pairs'"),
        ("rule=3", "is a table, set one of its keys: rule.form"),
        ("zzz=3", "keys are task, augment"),
        ("rule.pairs=x", r"rule.pairs: 'x' is not an integer; give one in 1\.\.4096"),
        ("rule.pairs=0", r"rule.pairs: 0 is out of range; give one in 1\.\.4096"),
        ("rule.pairs=1.0", "1.0 is not an integer"),
        ("rule.pairs=true", "True is not an integer"),
        ("seed=-1", r"0\.\.9223372036854775807"),
        ("rule.form=respons", "did you mean 'response'"),
        ("rule.factor=random", "does not go with rule.form 'response'"),
        ("task=", "task: '' is not a text"),
        ("network.hidden=256", r"256 is not a list of at most 16 integers; write it like \[256\]"),
        ("network.hidden=[1, 'a']", "'a' is not an integer"),
        ("network.hidden=[1" + ", 1" * 16 + "]", "not a list of at most 16"),
        ("network.tau_mem=0", "0 is out of range; give one above 0, at most 100 s"),
        ("network.tau_mem=nan", "nan is not a finite number"),
        ("network.tau_syn=inf", "inf is not a finite number"),
        ("network.dt='a'", "'a' is not a finite number"),
        ("epochs=3\nseed=4", "is not an integer"),
        ("augment=1", "1 is not a truth value; write true or false"),
        ("network.convolutions=['16c']", "network.convolutions: '16c' cannot be read; layers of convolution"),
        ("network.convolutions=[5]", "network.convolutions: 5 cannot be read"),
        ("network.convolutions=16c5", "'16c5' is not a list of at most 16 texts"),
        ("network.neuron=ternery", "did you mean 'ternary'"),
    ],
)
def test_wrong_assignments_are_refused(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        override(TrainConfig(), [assignment])


def test_huge_integers_are_out_of_range_and_no_failure() -> None:
    with pytest.raises(ConfigError, match="out of range"):
        NetworkConfig(threshold=10**400)


def test_limits_allow_their_ends() -> None:
    for name, about in all_keys().items():
        if about.high is None or name == "network.hidden":
            continue
        low = about.high if about.positive else about.low
        for value in (low, about.high):
            others = GOES_WITH.get(name, []) if value else []
            assert values_of(override(TrainConfig(), [f"{name}={value!r}", *others]))[name] == value


def test_parts_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="is not a RuleConfig"):
        TrainConfig(rule={"pairs": 2})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"rule 3 is not a table; write \[rule\]"):
        TrainConfig.from_dict({"rule": 3})


def test_a_configuration_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3  # type: ignore[misc]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent.toml.*cannot be read.*neurosim train --example"):
        load_config(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("epochs = = 3")
    with pytest.raises(ConfigError, match="broken.toml.*not a TOML file"):
        load_config(tmp_path / "broken.toml")
    (tmp_path / "wrong.toml").write_text("[rule]\npears = 3\n")
    with pytest.raises(ConfigError, match="wrong.toml.*unknown key 'rule.pears'; did you mean 'rule.pairs'"):
        load_config(tmp_path / "wrong.toml")
