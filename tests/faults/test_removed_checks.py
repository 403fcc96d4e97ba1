"""Removing any fsync, CRC, lock or hash check makes a fault test fail: each is cut out of a copy and the test run.

An entry is (file, text, text in its place, the test that must notice). The text must occur exactly once, so that
this list follows the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("search_spaces", "scaling", "nas", "tests", "benchmarks", "pyproject.toml")
JOURNAL = "tests/faults/test_journal_faults.py"
CHECKPOINT, WORKER = "tests/faults/test_checkpoint_faults.py", "tests/faults/test_worker_faults.py"
MEMORY, DISK = "tests/faults/test_memory_faults.py", "tests/faults/test_disk_faults.py"


@dataclass(frozen=True, slots=True)
class Cut:
    """A check that is taken out, and the test that must fail then."""

    name: str
    file: str
    text: str
    instead: str
    noticed_by: str


CUTS = (
    Cut("fsync of an outcome", "nas/journal.py", "if durable:\n", "if False:\n",
        f"{JOURNAL}::test_a_crash_at_any_disk_call_leaves_the_state_before_or_after_it"),
    Cut("fsync of what is seen at opening", "nas/journal.py",
        "    disk.fsync(descriptor)\n    sync_folder(folder, disk=disk)", "    sync_folder(folder, disk=disk)",
        f"{JOURNAL}::test_an_event_seen_at_opening_is_on_disk_before_it_is_acted_on"),
    Cut("fsync of a tail that is set aside", "nas/journal.py",
        "        disk.fsync(descriptor)\n    finally:", "    finally:",
        f"{JOURNAL}::test_a_crash_while_the_tail_is_mended_loses_neither_events_nor_tail"),
    Cut("fsync of what was taken back", "nas/journal.py",
        "            self._disk.fsync(self._descriptor)\n\n\ndef read", "            pass\n\n\ndef read",
        f"{JOURNAL}::test_what_was_taken_back_does_not_return_after_a_power_cut"),
    Cut("taking back what could not be recorded", "nas/journal.py", "            self._take_back()\n", "",
        f"{JOURNAL}::test_after_a_refusal_the_journal_is_whole_and_takes_no_more_until_opened"),
    Cut("fsync of a new file", "nas/storage.py",
        "        disk.fsync(descriptor)\n    finally:\n        os.close(descriptor)\n\n\ndef _seize",
        "    finally:\n        os.close(descriptor)\n\n\ndef _seize",
        f"{JOURNAL}::test_a_crash_at_any_disk_call_leaves_the_state_before_or_after_it"),
    Cut("fsync of the folder of a new file", "nas/storage.py",
        "            raise\n        sync_folder(path.parent, disk=disk)\n", "            raise\n",
        f"{JOURNAL} tests/nas/test_storage.py"),
    Cut("fsync of the folder of a new folder", "nas/storage.py",
        "            sync_folder(path.parent, disk=disk)\n    finally", "    finally", "tests/nas/test_storage.py"),
    Cut("fsync of folders that are made", "nas/storage.py",
        "            sync_folder(folder.parent, disk=disk)\n", "            pass\n", "tests/nas/test_storage.py"),
    Cut("a temporary file before it is renamed", "nas/storage.py",
        "            _write_new(temporary, data, disk=disk)\n            disk.replace(temporary, path)\n",
        "            path.unlink(missing_ok=True)\n            _write_new(path, data, disk=disk)\n",
        "tests/nas/test_storage.py"),
    Cut("the CRC of a line", "nas/journal_lines.py", "    if crc != b'%08x\",' % zlib.crc32(body):", "    if False:",
        f"{JOURNAL}::test_any_flipped_byte_is_refused_by_its_line_and_the_file_is_left_alone"),
    Cut("the number of a line", "nas/journal_lines.py",
        "    if not line.startswith(start):", "    start = line[: line.find(b'crc') + 6]\n    if False:",
        f"{JOURNAL}::test_a_lost_doubled_or_moved_line_is_refused_by_its_line"),
    Cut("the version of a journal", "nas/journal_lines.py",
        "    if version not in READABLE_VERSIONS:", "    if False:",
        "tests/faults/test_old_journals.py::test_a_journal_of_a_newer_release_is_refused_and_left_as_it_is"),
    Cut("the lock", "nas/storage.py",
        "        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "        pass\n",
        f"{JOURNAL}::test_a_second_driver_leaves_at_once_naming_the_first_whose_death_frees_the_lock"),
    Cut("the look at the lock before an event", "nas/journal.py", "        self._lock.check()\n", "",
        f"{JOURNAL}::test_a_driver_whose_lock_was_deleted_records_no_more"),
    Cut("the lock let go in a forked child", "nas/storage.py",
        "os.register_at_fork(after_in_child=_let_go_in_child)\n", "",
        f"{JOURNAL}::test_a_forked_worker_that_outlives_its_driver_does_not_keep_the_lock"),
    Cut("the look at the journal before an event", "nas/journal.py",
        "!= (there.st_dev, there.st_ino, self._size)", "!= (ours.st_dev, ours.st_ino, ours.st_size)",
        f"{JOURNAL}::test_a_journal_changed_behind_the_driver_takes_no_more"),
    Cut("no event after one that failed", "nas/journal.py", "        if not self._sound:", "        if False:",
        f"{JOURNAL}::test_after_a_refusal_the_journal_is_whole_and_takes_no_more_until_opened"),
    Cut("the hash of a checkpoint", "nas/evaluation/checkpoint.py",
        '    if data[:HEAD_BYTES] != HEAD + sha256(body).hexdigest().encode() + b"\\n":', "    if False:",
        f"{CHECKPOINT}::test_the_earlier_checkpoint_serves_where_the_last_is_damaged"),
    Cut("the identity of a checkpoint", "nas/evaluation/checkpoint.py",
        '    if held["identity"] != identity:', "    if False:",
        f"{CHECKPOINT}::test_the_earlier_checkpoint_serves_where_the_last_is_damaged"),
    Cut("the first outcome of a proposal wins", "nas/study.py",
        "        if trial.outcome is not None or attempt != trial.attempts:", "        if False:",
        "tests/nas/test_study.py::test_an_answer_to_an_earlier_attempt_comes_too_late"),
    Cut("the attempt an answer of a worker is of", "nas/execution/local.py",
        'if worker.proposal is None or heard.get("of") != [worker.proposal.number, worker.attempt]:',
        "if worker.proposal is None:",
        f"{WORKER}::test_an_outcome_delivered_twice_or_late_is_credited_to_no_other_trial"),
    Cut("the time limit", "nas/execution/local.py", "        happened += self._overdue()\n", "",
        f"{WORKER}::test_a_stopped_process_is_killed_at_its_limit_too"),
    Cut("the kill of what a trial started", "nas/execution/process.py",
        "(os.kill if self._log is None else os.killpg)(self.pid, signal.SIGKILL)",
        "os.kill(self.pid, signal.SIGKILL)",
        f"{WORKER}::test_closing_kills_what_runs_and_what_it_started"),
    Cut("the look for dead processes", "nas/execution/local.py",
        "*(w for w in self._workers if w.dead)", "*()",
        f"{WORKER} -k leave_a_child_behind"),
    Cut("a worker's death with its driver", "nas/worker.py",
        "        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)\n", "        pass\n",
        f"{WORKER} -k dies_with_its_driver"),
    Cut("a log of its own", "nas/execution/local.py",
        "        slot = next(number for number in range(len(taken) + 1) if number not in taken)\n",
        "        slot = len(taken)\n",
        f"{WORKER}::test_no_two_workers_at_work_share_a_log_even_after_deaths"),
    Cut("the outputs put back after a trial", "nas/worker.py", "        _print_to(log)\n", "",
        f"{WORKER}::test_what_a_trial_prints_closes_or_reads_disturbs_neither_messages_nor_the_next_trial"),
    Cut("the retry that runs alone", "nas/driver.py", ", alone=trial.alone)", ")",
        f"{MEMORY}::test_the_second_try_after_running_out_of_memory_runs_alone_in_a_process_of_its_own"),
    Cut("a full disk that is no trial's fault", "nas/evaluation/job.py",
        "    except (KeyboardInterrupt, StorageError):", "    except KeyboardInterrupt:",
        f"{DISK}::test_a_full_disk_in_the_final_training_leaves_it_to_be_done_again"),
)  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code and its tests, in which one check at a time is taken out."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def passes(copy: Path, tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests.split()],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.name)
def test_a_check_that_is_taken_out_is_missed(cut: Cut, copy: Path) -> None:
    path = copy / cut.file
    whole = path.read_text(encoding="utf-8")
    try:
        path.write_text(whole.replace(cut.text, cut.instead), encoding="utf-8")
        done = passes(copy, cut.noticed_by)
    finally:
        path.write_text(whole, encoding="utf-8")
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.name)
def test_each_check_of_this_list_is_in_the_code_once(cut: Cut) -> None:
    assert (ROOT / cut.file).read_text(encoding="utf-8").count(cut.text) == 1
