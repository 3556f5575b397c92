"""Repositories for tests of the Git store, read and written with the git command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.git.store import GitStore
from backups.engine.types import CommitRequest, RedactedConfig

PATH = config_path("core-sw1", 42)
_SYSTEM_EVENTS = {"fcntl", "open", "os", "subprocess", "tempfile"}


def request_for(text: str, device_id: int = 42, **changed: Any) -> CommitRequest:
    """Return a request to save ``text`` as the configuration of a device named core-sw1."""
    values: dict[str, Any] = {
        "path": config_path("core-sw1", device_id),
        "config": RedactedConfig(text=text, replaced={}),
        "hostname": "core-sw1",
        "device_id": device_id,
        "run_id": 7,
        "job_name": "nightly",
        "collected_at": 1_700_000_000,
    }
    return CommitRequest(**{**values, **changed})


def run_git(repository: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Run git as another program would, and return its output. Raises when it fails."""
    result = subprocess.run(
        ["git", "--git-dir", str(repository), *arguments],
        input=stdin,
        capture_output=True,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "A Person",
            "GIT_AUTHOR_EMAIL": "person@example.net",
            "GIT_COMMITTER_NAME": "A Person",
            "GIT_COMMITTER_EMAIL": "person@example.net",
        },
    )
    return result.stdout.decode()


def history(repository: Path) -> list[str]:
    """Return the ids of all commits on main, newest first."""
    return run_git(repository, "log", "--format=%H", "main").split()


def commit_time(repository: Path, commit: str) -> int:
    """Return when a commit was made, in Unix seconds."""
    return int(run_git(repository, "show", "--no-patch", "--format=%ct", commit))


def assert_sound(repository: Path) -> None:
    """Assert that git finds the repository whole, and that no lock or half-written file is left."""
    run_git(repository, "fsck", "--strict", "--full")
    assert GitStore(repository).fsck() == []
    left = [p.name for p in repository.rglob("*") if p.name.startswith("tmp_obj_")]
    left += [p.name for p in repository.rglob("*.lock") if not p.name.startswith("netraven")]
    left += [p.name for p in repository.glob("*.next")]
    assert left == []


@contextmanager
def store_failure(words: str) -> Iterator[None]:
    """Expect one clear line that holds ``words``."""
    with pytest.raises(DeviceError, match=words) as caught:
        yield
    assert caught.value.category is ErrorCategory.STORE_FAILURE
    assert "\n" not in caught.value.message


def die_at(moment: int) -> None:
    """Kill this process at the ``moment``-th thing that it asks of the system from now on."""
    asked = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal asked
        asked += event.split(".")[0] in _SYSTEM_EVENTS
        if asked == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
