"""Fault tests 7, 8, 11, 12 and 14 on a Ray cluster: workers, actors and nodes that die, trials that hang or leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clusters import cluster, ended, heard, light, notices, of, small
from light_worker import intervals, proposal
from ray.cluster_utils import Cluster
from test_worker_faults import gone

from nas.execution.base import Ended, Report
from nas.execution.ray_trial import Share
from nas.execution.ray_tune import RayTune
from nas.proposal import Status

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]  # Ray's own

Runs = Callable[..., RayTune]


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    """Return a cluster with a node of two processors and two GPUs that nobody has."""
    with cluster() as made:
        made.add_node(**small(num_cpus=2, num_gpus=2))
        yield made


@pytest.fixture
def runs(two: Cluster, tmp_path: Path) -> Iterator[Runs]:
    """Return a maker of executors on the cluster that are closed in the end."""
    made: list[RayTune] = []

    def begin(*plays: str, **words: object) -> RayTune:
        made.append(light(two, tmp_path, *plays, **words))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    for executor in made:
        executor.close()


def at_work(executor: RayTune, count: int = 1) -> None:
    heard(executor, lambda happened: len(of(Report, happened)) >= count)


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def worker_of(folder: Path) -> int:
    """Return the worker process that began last."""
    logs = sorted((folder / "workers").glob("*.log"), key=lambda log: log.stat().st_mtime)
    return int(logs[-1].read_text().split("begun ")[-1].split()[0])


def test_what_ends_in_its_worker_process_is_told_as_on_one_machine(runs: Runs, tmp_path: Path) -> None:
    plays = (
        "be_killed",
        "leave",
        "exit_with_success",
        "raise_what_will_not_pickle",
        "raise_fifty_megabytes",
        "done",
    )
    executor = runs(*plays, workers=1)
    outcomes = []
    for number in range(len(plays)):
        executor.submit(proposal(number), 0)
        [one] = ended(executor)
        assert (one.number, one.attempt) == (number, 0)
        outcomes.append(one.outcome)
    assert [o.status for o in outcomes] == [Status.LOST, Status.LOST, *[Status.BUG] * 3, Status.DONE]
    assert "SIGKILL" in outcomes[0].note
    assert "exit code 0" in outcomes[1].note
    assert "SystemExit: 0" in outcomes[2].note
    assert all(len(outcome.note) < 10_000 for outcome in outcomes)
    assert len(list((tmp_path / "workers").glob("*.log"))) == 1  # one actor served them all


@pytest.mark.parametrize("play", ["hang", "spin_in_c"])
def test_a_trial_that_nothing_but_a_kill_ends_is_timed_out_in_time_and_its_processor_is_free(
    play: str, runs: Runs, tmp_path: Path
) -> None:
    executor = runs(play, "done", workers=1, seconds=0.5)
    executor.submit(proposal(0), 0)
    at_work(executor)
    began, process = time.monotonic(), worker_of(tmp_path)
    [one] = ended(executor)
    assert time.monotonic() - began < 0.5 + 5
    assert (one.outcome.status, one.outcome.note) == (Status.TIMED_OUT, "killed after its limit of 0.5 s")
    assert gone(process)
    executor.submit(proposal(1), 0)
    assert ended(executor)[0].outcome.status is Status.DONE


def test_a_trial_whose_actor_is_killed_begins_again_up_to_twice(runs: Runs, tmp_path: Path) -> None:
    executor = runs("hang", "done", workers=1)
    executor.submit(proposal(0), 0)
    for attempt in range(3):
        at_work(executor)
        process = worker_of(tmp_path)
        os.kill(parent_of(process), signal.SIGKILL)
        [one] = ended(executor)
        assert (one.number, one.attempt, one.outcome.status) == (0, attempt, Status.LOST)
        assert "actor" in one.outcome.note
        assert gone(process)
        if attempt < 2:
            executor.submit(proposal(0), attempt + 1)  # as the study asks; it has begun again already
            assert executor.free == 0
    assert executor.free == 1
    executor.submit(proposal(1), 0)
    [one] = ended(executor)
    assert (one.number, one.outcome.status) == (1, Status.DONE)


def test_what_has_run_out_of_memory_runs_again_with_nobody_on_its_node_and_nothing_starves(
    runs: Runs, tmp_path: Path
) -> None:
    executor = runs("out_of_memory_once", "slow", "slow", "slow", workers=2)
    executor.submit(proposal(0), 0)
    executor.submit(proposal(1), 0)
    first = ended(executor, 2)
    assert {one.number: one.outcome.status for one in first} == {0: Status.OUT_OF_MEMORY, 1: Status.DONE}
    executor.submit(proposal(2), 0)
    executor.submit(proposal(0), 1, alone=True)
    assert executor.free == 0  # until it has its node
    assert {one.number for one in ended(executor, 2)} == {0, 2}
    executor.submit(proposal(3), 0)
    assert ended(executor)[0].number == 3
    ran = {number: (begin, end) for number, begin, end, _ in intervals(tmp_path)}  # of a number the last
    alone = ran.pop(0)
    assert all(end <= alone[0] or begin >= alone[1] for begin, end in ran.values())


@pytest.mark.parametrize(("gpus", "side_by_side", "seen"), [(0, 2, 0), (0.5, 2, 1), (1, 2, 1), (2, 1, 2)])
def test_a_trial_sees_the_gpus_that_it_asked_for_and_no_other(
    gpus: float, side_by_side: int, seen: int, runs: Runs, tmp_path: Path
) -> None:
    executor = runs("note_the_gpus", share=Share(gpus=gpus))
    assert executor.workers == (2 if gpus < 2 else 1)
    for number in range(side_by_side):
        executor.submit(proposal(number), 0)
    ended(executor, side_by_side)
    shown = [(tmp_path / f"gpus-{number}").read_text() for number in range(side_by_side)]
    assert [len(one.split(",")) if one else 0 for one in shown] == [seen] * side_by_side
    if gpus == 1:
        assert len(set(shown)) == 2


def test_closing_leaves_no_process_behind(runs: Runs, tmp_path: Path) -> None:
    executor = runs("hang_with_a_child", "hang_with_a_child", workers=1)
    executor.submit(proposal(0), 0)
    at_work(executor)
    process = worker_of(tmp_path)
    actor = parent_of(process)
    began = time.monotonic()
    executor.close()
    executor.close()
    assert time.monotonic() - began < 5
    assert gone(process)
    assert gone(actor)
    assert not (tmp_path / "tune").exists()


def test_a_folder_that_a_node_cannot_write_ends_the_driving_and_blames_no_trial(
    runs: Runs, tmp_path: Path
) -> None:
    executor = runs("done")
    (tmp_path / "workers").write_text("in the way")
    executor.submit(proposal(0), 0)
    with pytest.raises(Exception, match="is the run's folder shared with every node") as raised:
        ended(executor)
    assert type(raised.value).__name__ == "StorageError"


def test_nodes_that_go_and_come_cost_attempts_and_time_and_nothing_else(tmp_path: Path) -> None:
    with cluster() as made:
        nodes = [made.add_node(**small(num_cpus=1)) for _ in range(2)]
        executor = light(made, tmp_path, "hang", "hang", "done")
        try:
            for number in (0, 1):
                executor.submit(proposal(number), 0)
            at_work(executor, 2)
            for node in nodes:
                made.remove_node(node, allow_graceful=False)
            happened = heard(executor, notices)
            lost = of(Ended, happened)
            assert {(one.number, one.attempt, one.outcome.status) for one in lost} == {
                (0, 0, Status.LOST), (1, 0, Status.LOST)
            }  # fmt: skip
            [waiting] = notices(happened)
            assert waiting.startswith("no node of the cluster can take a trial now; waiting: 1 node alive")
            assert executor.free == 0
            still = time.monotonic() + 5
            assert heard(executor, lambda _: time.monotonic() > still) == []
            made.add_node(**small(num_cpus=2))
            happened = heard(executor, lambda happened: notices(happened) and len(of(Report, happened)) == 2)
            assert notices(happened) == ["trials run again"]
            assert of(Ended, happened) == []
        finally:
            executor.close()


@pytest.mark.slow
def test_what_is_to_run_alone_on_a_node_that_is_gone_takes_another(tmp_path: Path) -> None:
    with cluster() as made:
        large = made.add_node(**small(num_cpus=2))
        executor = light(made, tmp_path, "hang_once", "done")
        try:
            executor.submit(proposal(0), 0)
            at_work(executor)
            executor.submit(proposal(1), 1, alone=True)  # which waits for both processors
            made.remove_node(large, allow_graceful=False)
            made.add_node(**small(num_cpus=1))
            done = {one.number: one.outcome.status for one in ended(executor, 3)}
            assert done == {0: Status.DONE, 1: Status.DONE}
        finally:
            executor.close()


def test_what_ray_kills_for_its_memory_is_out_of_memory_and_not_lost(tmp_path: Path) -> None:
    with cluster(system={"memory_usage_threshold": 0.01, "memory_monitor_refresh_ms": 250}) as made:
        made.add_node(**small(num_cpus=1))  # where all memory but a little is taken: each actor is killed
        executor = light(made, tmp_path, "hang")
        try:
            executor.submit(proposal(0), 0)
            for attempt in range(2):
                [one] = ended(executor)
                assert (one.attempt, one.outcome.status) == (attempt, Status.OUT_OF_MEMORY)
                assert "low on memory" in one.outcome.note
                assert executor.free == 1
                executor.submit(proposal(0), attempt + 1, alone=True)
        finally:
            executor.close()
