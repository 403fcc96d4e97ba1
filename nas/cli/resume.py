"""`nas resume`: go on with a run."""

from __future__ import annotations

from typing import Annotated

import typer

from search_spaces.errors import BadInput

from ..launch import fork, reopen, run_folder
from ..proposal import Kind
from .options import RESULTS, AsJson, Cluster, Results, on_cluster
from .running import carry_out
from .search import OVERRIDE
from .show import complain

CAPS = ("trials", "minutes", "execution.gpu_hours")  # of the search


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's name, or its folder.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE", help="trials, minutes or execution, to change them.", show_default=False
        ),
    ] = None,
    fork_name: Annotated[
        str | None,
        typer.Option("--fork", metavar="NAME", help="Begin a new run from this one; any setting may change."),
    ] = None,
    cluster: Cluster = None,
    results: Results = RESULTS,
    as_json: AsJson = False,
) -> int:
    """Go on with a run, whether it was stopped, killed or lost its machine.

    Nothing that was finished is lost or done twice; what was in the middle goes on from its last checkpoint.

    nas resume digits-mixed-1
    nas resume digits-mixed-1 trials=100 execution.workers=4
    nas resume digits-mixed-1 --cluster 10.0.0.9
    nas resume digits-mixed-1 seed=1 --fork second
    """
    for text in overrides or []:
        if not OVERRIDE.match(text):
            raise BadInput(f"got {text!r} after the run's name, expected a setting such as trials=100")
    folder = run_folder(run, results).resolve()
    changes = on_cluster(overrides or [], cluster)
    if fork_name is not None:
        study, config, new = fork(folder, changes, name=fork_name, results=results)
        return carry_out(study, config, new, as_json=as_json)
    study, config = reopen(folder, changes)
    if study.history.of(Kind.CONFIRM) or study.history.of(Kind.FINAL):
        late = [text for text in overrides or [] if text.partition("=")[0].strip() in CAPS]
        if late:
            complain(f"{' and '.join(late)} changes nothing: the search of {folder.name} was over already")
    return carry_out(study, config, folder, as_json=as_json)
