"""What one commit costs as the Git store grows, and what many writers at once do to it.

Run with ``python -m benchmarks.commit_cost [--quick]``. Ends with status 1 when a commit at 50 000
devices takes more than 1.5 times as long as at 100, or when a commit of a concurrent writer is
missing from the history.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import git

from backups.engine.config_path import config_path
from backups.engine.git.store import GitStore
from backups.engine.types import CommitRequest, RedactedConfig

STORE_SIZES = (100, 1_000, 10_000, 50_000)
NAIVE_SIZES = (100, 1_000)
RATIO_LIMIT = 1.5
CHANGED_LINES = 5
#: The devices that are saved over and over; the rest of a repository is filler.
SAVED_DEVICES = 20
WRITERS = 4
COMMITS_PER_WRITER = 30

Commit = Callable[[], None]


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    store_rounds: int
    naive_rounds: int


FULL = Effort(store_rounds=300, naive_rounds=25)
QUICK = Effort(store_rounds=60, naive_rounds=8)


class Configuration:
    """A text of 50 kB that changes in a few lines each time it is asked for."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a repeatable text, no secret
        self._lines = [self._line() for _ in range(800)]

    def next_text(self) -> str:
        """Return the text with five lines changed."""
        for place in self._random.sample(range(len(self._lines)), CHANGED_LINES):
            self._lines[place] = self._line()
        return "\n".join(self._lines) + "\n"

    def _line(self) -> str:
        words = [f"{self._random.getrandbits(32):08x}" for _ in range(3)]
        return f" ip route 10.{words[0]} description uplink to {words[1]} tag {words[2]}"


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer commits: less exact")
    effort = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory(prefix="netraven-bench-") as folder:
        return measure(Path(folder), effort)


def measure(folder: Path, effort: Effort) -> int:
    """Run all parts inside ``folder`` and return the exit status."""
    started = time.perf_counter()
    stores = {size: prepared_store(folder / f"store-{size}.git", size) for size in STORE_SIZES}
    naive = {size: prepared_checkout(folder / f"naive-{size}", size) for size in NAIVE_SIZES}
    print(
        f"Repositories prepared in {time.perf_counter() - started:.0f} s. The {SAVED_DEVICES} "
        f"devices that are saved have 50 kB each and change {CHANGED_LINES} lines per commit; the "
        "other files are one short line each, all different.\n"
    )
    store_times = timed(
        {size: store_commits(store) for size, store in stores.items()}, effort.store_rounds
    )
    naive_times = timed(
        {size: naive_commits(checkout) for size, checkout in naive.items()}, effort.naive_rounds
    )
    print_table("NetRaven's Git store (every commit synced to disk)", store_times)
    print_table("GitPython index.add and index.commit (syncs nothing to disk)", naive_times)
    ratio = statistics.median(store_times[50_000]) / statistics.median(store_times[100])
    print(f"50 000 devices : 100 devices = {ratio:.2f} (at most {RATIO_LIMIT})\n")
    lost = write_at_once(folder / f"store-{NAIVE_SIZES[-1]}.git")
    return 1 if ratio > RATIO_LIMIT or lost else 0


def request_for(device_id: int, text: str) -> CommitRequest:
    """Return a request to save ``text`` for a device."""
    return CommitRequest(
        path=config_path("bench-sw", device_id),
        config=RedactedConfig(text=text, replaced={}),
        hostname="bench-sw",
        device_id=device_id,
        run_id=1,
        job_name="bench",
        collected_at=int(time.time()),
    )


def prepared_store(path: Path, size: int) -> GitStore:
    """Create a store with ``size`` files, packed as after ``git gc``."""
    store = GitStore.open_or_create(path)
    git_in(path, "fast-import", "--quiet", stdin=import_stream(size))
    return store


def prepared_checkout(path: Path, size: int) -> git.Repo:
    """Create a repository with the same files and a work tree, which the index way needs."""
    git_in(path.parent, "init", "--quiet", "--initial-branch=main", str(path))
    git_in(path, "fast-import", "--quiet", stdin=import_stream(size))
    git_in(path, "reset", "--quiet", "--hard", "main")
    return git.Repo(path)


def git_in(folder: Path, *arguments: str, stdin: bytes = b"") -> None:
    """Run git inside a folder; raise when it fails."""
    subprocess.run(["git", *arguments], cwd=folder, input=stdin, check=True)


def import_stream(size: int) -> bytes:
    """Return one commit with ``size`` files (git-fast-import(1))."""
    files = "".join(
        f"M 100644 inline {config_path('bench-sw', device_id)}\n{data(f'device {device_id}')}\n"
        for device_id in range(1, size + 1)
    )
    who = "Bench <bench@localhost> 1700000000 +0000"
    return f"commit refs/heads/main\ncommitter {who}\n{data('filler')}\n{files}".encode()


def data(text: str) -> str:
    """Return a text as fast-import reads it."""
    return f"data {len(text) + 1}\n{text}\n"


def store_commits(store: GitStore) -> Iterator[Commit]:
    """Yield commits to make with NetRaven's store, each of another device in turn."""
    configurations = [Configuration(seed) for seed in range(SAVED_DEVICES)]
    while True:
        for device_id, configuration in enumerate(configurations, start=1):
            yield partial(save, store, request_for(device_id, configuration.next_text()))


def save(store: GitStore, request: CommitRequest) -> None:
    """Save, and stop the benchmark when that made no commit."""
    if not store.save(request).changed:
        raise RuntimeError("A save made no commit: the figures would be worthless.")


def naive_commits(repo: git.Repo) -> Iterator[Commit]:
    """Yield commits to make the way that GitPython's tutorial shows."""
    configurations = [Configuration(seed) for seed in range(SAVED_DEVICES)]
    while True:
        for device_id, configuration in enumerate(configurations, start=1):
            path = config_path("bench-sw", device_id)
            yield partial(add_and_commit, repo, path, configuration.next_text())


def add_and_commit(repo: git.Repo, path: str, text: str) -> None:
    """Write a file, add it to the index, commit."""
    (Path(repo.working_dir) / path).write_text(text)
    repo.index.add([path])
    repo.index.commit(f"backup of {path}")


def timed(ways: dict[int, Iterator[Commit]], rounds: int) -> dict[int, list[float]]:
    """Return milliseconds per commit by repository size.

    Sizes take turns, so that noise of the machine hits all alike. Each repository first gets one
    uncounted commit per device.
    """
    for commits in ways.values():
        for _ in range(SAVED_DEVICES):
            next(commits)()
    times: dict[int, list[float]] = {size: [] for size in ways}
    for _ in range(rounds):
        for size, commits in ways.items():
            commit = next(commits)
            started = time.perf_counter()
            commit()
            times[size].append((time.perf_counter() - started) * 1000)
    return times


def print_table(title: str, times: dict[int, list[float]]) -> None:
    """Print median and 95th percentile per size."""
    print(title)
    print(f"{'devices':>10} {'commits':>8} {'median ms':>10} {'p95 ms':>8}")
    for size, values in times.items():
        p95 = statistics.quantiles(values, n=20)[-1]
        print(f"{size:>10} {len(values):>8} {statistics.median(values):>10.1f} {p95:>8.1f}")
    print()


def write_at_once(repository: Path) -> int:
    """Let processes commit at once; print what became of it and return the number of lost ones."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    start = spawn.Event()
    writers = [
        spawn.Process(target=writer, args=(repository, 1 + 50 * number, start, sender))
        for number in range(WRITERS)
    ]
    for process in writers:
        process.start()
    for _ in writers:
        receiver.recv()
    started = time.perf_counter()
    start.set()
    reported = [receiver.recv() for _ in range(WRITERS * COMMITS_PER_WRITER)]
    seconds = time.perf_counter() - started
    for process in writers:
        process.join()
    log = subprocess.run(
        ["git", "--git-dir", str(repository), "log", "--format=%H"],
        check=True,
        capture_output=True,
        text=True,
    )
    lost = len({commit for commit, _ in reported} - set(log.stdout.split()))
    milliseconds = sorted(duration for _, duration in reported)
    print(
        f"{WRITERS} processes, {COMMITS_PER_WRITER} commits each, 1 000 devices: "
        f"{len(reported) - lost} of {len(reported)} in the history, "
        f"{len(reported) / seconds:.0f} commits/s, "
        f"median {statistics.median(milliseconds):.0f} ms, "
        f"p99 {milliseconds[int(0.99 * len(milliseconds))]:.0f} ms"
    )
    return lost


def writer(repository: Path, first_device: int, start: Event, reports: Connection) -> None:
    """Commit in a process of its own; report each commit with its milliseconds."""
    store = GitStore(repository)
    configurations = [Configuration(first_device + number) for number in range(5)]
    reports.send("ready")
    start.wait()
    for number in range(COMMITS_PER_WRITER):
        text = configurations[number % 5].next_text()
        started = time.perf_counter()
        commit = store.save(request_for(first_device + number % 5, text)).commit
        reports.send((commit, (time.perf_counter() - started) * 1000))


if __name__ == "__main__":
    sys.exit(main())
