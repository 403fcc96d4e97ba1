"""The errors this project raises on purpose: where, what was got, what was expected, what to do."""


class ArchscaleError(Exception):
    """The root of our errors; `exit_code` is what the command line leaves with."""

    exit_code = 2


class BadInput(ArchscaleError):
    """A config, spec, file or argument that cannot be used as it stands."""


class BadSpec(BadInput):
    """A space or architecture that breaks the vocabulary's rules; the message begins with the path."""


class OutOfSpace(BadInput):
    """A spec that the given space cannot produce; the message begins with the path."""


class Unbuildable(BadInput):
    """A spec whose layers do not fit together, such as a stride that eats its input."""


class Infeasible(ArchscaleError):
    """No architecture of the space can keep the limits."""

    exit_code = 3


class StorageError(ArchscaleError):
    """A results folder or journal that cannot be read or written safely."""

    exit_code = 4


class ClusterError(ArchscaleError):
    """A cluster that cannot be reached or cannot serve the request."""

    exit_code = 5
