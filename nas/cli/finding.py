"""What a study found: the winner, how it was judged, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from ..analysis.metrics import metric, shown
from ..driver import Ending
from ..history import Trial
from ..proposal import Kind
from ..study import Study, confirmed
from .describe import describe
from .show import Json, duration, facts, many
