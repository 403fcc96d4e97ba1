"""Evaluation: what is done for one proposal, and how it fails."""

from ..kept import SPEC, WEIGHTS
from .failures import Diverged, TimedOut, TrialFailure
from .job import JOBS, run
from .result import Result
from .workspace import Workspace

__all__ = ["JOBS", "SPEC", "WEIGHTS", "Diverged", "Result", "TimedOut", "TrialFailure", "Workspace", "run"]
