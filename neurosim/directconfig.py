"""The configuration of training by gradients (`method = "direct"`): keys of the table `[direct]`."""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.configkeys import Key, check_fields, with_key

#: Shapes of the surrogate gradient, and the width of each at which it is 1 at the threshold.
SURROGATES = {"rectangle": 0.5, "triangle": 1.0, "sigmoid": 0.25, "inverse-square": 0.5, "arctan": 0.3183098861837907}
WIDTHS = ("fixed", "layer", "step")
BALANCED = ("hidden", "first", "last", "readout")
NORMALISATIONS = ("absolute", "neurons", "variance")
ARITHMETICS = ("chip", "float")
SCHEDULES = ("cosine", "linear", "constant")


@dataclass(frozen=True)
class DirectConfig:
    """Training by gradients through time; keys as in `neurosim.config.example_toml`."""

    rate: float = with_key(2e-3, Key("Largest learning rate of Adam.", 0, 1.0, positive=True))
    schedule: str = with_key("cosine", Key("How the rate falls over the run.", choices=SCHEDULES))
    warmup: float = with_key(0.02, Key("Share of the run in which the rate rises to its largest.", 0.0, 1.0))
    weight_decay: float = with_key(0.0, Key("Share of a weight lost per step, times the rate (AdamW).", 0.0, 10.0))
    smoothing: float = with_key(
        0.0, Key("Probability that the target of the loss gives to the other classes together.", 0.0, 0.9)
    )
    dropout: float = with_key(
        0.0, Key("Share of the hidden neurons that send nothing, drawn anew for each sample and batch.", 0.0, 0.9)
    )
    clip: float = with_key(0.0, Key("Largest norm of the gradient of all weights; 0: no limit.", 0.0, 1e6))
    surrogate: str = with_key(
        "triangle", Key("Shape of the pretended derivative of a spike.", choices=tuple(SURROGATES))
    )
    width: float = with_key(
        0.0, Key("Its width at the start, in thresholds; 0: that at which it is 1 at the threshold.", 0.0, 100.0)
    )
    learn_width: str = with_key(
        "fixed",
        Key("Learn the width: not at all, one for each layer, or one for each layer and time step.", choices=WIDTHS),
    )
    reset_gradient: bool = with_key(False, Key("Gradients also pass through the reset of a spike."))
    learn_threshold: bool = with_key(False, Key("Learn a threshold for each hidden layer."))
    learn_decay: bool = with_key(
        False, Key("Learn the decay of the voltage, and of the current, of each hidden layer.")
    )
    balance: float = with_key(
        0.0, Key("Weight of the loss that keeps positive and negative membrane potentials equal.", 0.0, 1000.0)
    )
    balance_layers: str = with_key(
        "hidden",
        Key("Layers that it looks at: all hidden ones, the first or last of them, or the readout.", choices=BALANCED),
    )
    balance_norm: str = with_key(
        "absolute",
        Key(
            "What the difference of both sums is divided by: the sum of all absolute potentials, the number of neurons and steps, or "
            "the potentials' variance.",
            choices=NORMALISATIONS,
        ),
    )
    arithmetic: str = with_key(
        "chip",
        Key(
            "chip: training sees the integers of the chip, so that the trained network is the one on the chip; float: it sees "
            "floats, which are rounded once at the end.",
            choices=ARITHMETICS,
        ),
    )
    shards: int = with_key(
        4, Key("Parts of a batch that threads share out; their gradients are added in a fixed order.", 1, 64)
    )

    def __post_init__(self) -> None:
        check_fields(self, "direct.")
