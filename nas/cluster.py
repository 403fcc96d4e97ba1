"""What a study asks of the cluster that its config names, checked before a run is made."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from .config import StudyConfig

if TYPE_CHECKING:
    from .execution.ray_preflight import Needs
    from .execution.ray_trial import Share

LOG = logging.getLogger(__name__)


def check_cluster(config: StudyConfig, results: Path) -> None:
    """Join the cluster that a config names, if it does, and refuse one that cannot serve it; warnings are logged."""
    if config.execution.cluster is not None and not config.table:
        from .execution.ray_preflight import preflight  # which loads Ray

        for warning in preflight(config.execution.cluster, needs_of(config, results)):
            LOG.warning(warning)


def needs_of(config: StudyConfig, results: Path) -> Needs:
    """Return what a study will ask of a cluster's nodes."""
    from .execution.ray_preflight import Needs

    module, own, _ = config.data.source.partition(":")
    return Needs(
        share=share_of(config),
        results=results.resolve(),
        modules=(*config.imports, *((module,) if own else ())),
        data=config.data.path,
    )


def share_of(config: StudyConfig) -> Share:
    """Return what each trial of a study asks of a node."""
    from .execution.ray_trial import Share

    return Share(cpus=config.execution.cpus, gpus=config.execution.gpus)
