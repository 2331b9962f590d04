"""Every error that Tilework raises on purpose: what must hold, what came, what to do."""


class TileworkError(Exception):
    """Base of all; the command line prints it as one sentence and ends with exit code 2."""


class NetworkError(TileworkError):
    """A network, a nest or an operation that is not well formed."""


class WeightsError(TileworkError):
    """A weight file that cannot be read or does not fit the network."""


class ImageError(TileworkError):
    """An image that cannot be read or used as the network's input."""


class DataError(TileworkError):
    """A data set, or a file of one, that is missing, malformed, cut short or altered."""


class MachineError(TileworkError):
    """A machine description that is missing, malformed or contradictory."""


class AssemblyError(TileworkError):
    """Assembly text that does not parse; names the line."""


class ProgramError(TileworkError):
    """A program file that is foreign, altered, cut short or of another version."""


class CompileError(TileworkError):
    """A network that the named machine cannot run."""


class SimulationError(TileworkError):
    """A program that does something the processor forbids while it runs."""


class DebugError(TileworkError):
    """A command of the debugger that does not exist, or that this program or machine has nothing for."""


class TrainingError(TileworkError):
    """A recipe, a data set or a run of training that cannot go on."""


class OutputError(TileworkError):
    """A file that cannot be written."""


class MissingPackageError(TileworkError):
    """An optional package that this command needs; says what to install."""


class ValidationError(TileworkError):
    """A published case that is not among those that Tilework has."""


class ExerciseError(TileworkError):
    """An exercise that does not exist or lacks one of its parts."""
