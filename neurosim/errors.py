"""The exceptions that neurosim raises; each text names object, value, limit and remedy."""

MAX_LINE = 600  # characters of an error that quotes a file


def one_line(text: str, most: int = MAX_LINE) -> str:
    """Return an error text that quotes a file, fit to be shown: one line, no control characters, about `most` long at most."""
    if len(text) > most:
        return f"{one_line(text[: most // 2])} ... {one_line(text[-(most // 2) :])}"
    return "".join(sign if sign.isprintable() else " " for sign in text)


class NeurosimError(Exception):
    """Base of all errors that a user can cause."""


class NetworkError(NeurosimError, ValueError):
    """A network description is inconsistent: shapes, names, ranges, types."""


class QuantizationError(NeurosimError, ValueError):
    """A float quantity cannot be held by the chip's integer formats."""


class CapacityError(NeurosimError, ValueError):
    """A network does not fit on the chip."""


class ChipError(NeurosimError, ValueError):
    """A chip or energy table is unknown, incomplete or wrong."""


class BackendError(NeurosimError, RuntimeError):
    """A backend is unknown, not installed, or failed while running."""


class FeatureError(BackendError, NotImplementedError):
    """A backend was asked for something that it cannot do."""


class OverflowDetected(NeurosimError, ArithmeticError):
    """A chip register overflowed in strict mode."""


class DataError(NeurosimError, ValueError):
    """Input events or a data set are malformed."""


class ConfigError(NeurosimError, ValueError):
    """A configuration file or an argument is wrong."""


class ModelFileError(NeurosimError, ValueError):
    """A model file or checkpoint is missing, corrupt, or from an unknown version."""


class RunFolderError(NeurosimError, OSError):
    """A run folder exists already, or cannot be written."""


class UnsupportedNode(NeurosimError, NotImplementedError):
    """A node or layer of another framework's model that a chip cannot express."""
