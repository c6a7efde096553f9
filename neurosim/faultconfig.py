"""The configuration of a faulty chip to learn on: keys of the table `[faults]`."""

from __future__ import annotations

from dataclasses import dataclass

from neurosim.configkeys import Key, check_fields, keyed_fields, with_key
from neurosim.errors import ConfigError

LARGEST_SPREAD = 0.3  # of thresholds: the table of normal shape ends at 2.9 standard deviations, so none falls to zero


@dataclass(frozen=True)
class FaultConfig:
    """What is broken on the chip that learns; keys as in `neurosim.config.example_toml`."""

    stuck_zero: float = with_key(0.0, Key("Share of the synapses whose weight is stuck at zero.", 0.0, 1.0))
    stuck_largest: float = with_key(
        0.0, Key("Share of the synapses whose weight is stuck at an end of its range, of either sign.", 0.0, 1.0)
    )
    stuck_present: float = with_key(
        0.0, Key("Share of the synapses whose weight is stuck at what it is when the run begins.", 0.0, 1.0)
    )
    dead: float = with_key(0.0, Key("Share of the neurons that never fire.", 0.0, 1.0))
    threshold_spread: float = with_key(
        0.0, Key("Standard deviation of the neurons' thresholds, in thresholds.", 0.0, LARGEST_SPREAD)
    )
    seed: int = with_key(
        0, Key("Names the broken chip: the same seed breaks the same parts, whatever the run.", 0, (1 << 63) - 1)
    )

    @property
    def any(self) -> bool:
        """Whether anything is broken."""
        return max(self.stuck_zero, self.stuck_largest, self.stuck_present, self.dead, self.threshold_spread) > 0

    def __post_init__(self) -> None:
        check_fields(self, "faults.")
        total = self.stuck_zero + self.stuck_largest + self.stuck_present
        if total > 1:
            raise ConfigError(
                f"faults: stuck_zero, stuck_largest and stuck_present are {total:.3g} in sum, more than all synapses; "
                "lower one"
            )


def parse_faults(text: str) -> FaultConfig:
    """Read faults as an option of the command line gives them: keys of the table with values, separated by commas.

    Raises
    ------
    ConfigError
        For a key that there is not, and for values that are no numbers or out of range.

    Examples
    --------
    >>> parse_faults("stuck_zero=0.05,dead=0.05,seed=3").dead
    0.05
    """
    kinds = {each.name: int if isinstance(each.default, int) else float for each in keyed_fields(FaultConfig)}
    values: dict[str, float] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in kinds or not equals:
            raise ConfigError(
                f"--faults: {part!r} is no key with its value; write for instance stuck_zero=0.05,dead=0.05, keys are "
                f"{', '.join(kinds)}"
            )
        try:
            values[key] = kinds[key](value)
        except ValueError as error:
            raise ConfigError(f"--faults: {key} {value!r} is not a number; give one") from error
    try:
        return FaultConfig(**values)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"--faults: {error}") from error
