"""Comparing revisions and pushing them, with the git program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from backups.engine.config_path import config_path
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.git_store import GitStore, RevisionNotFound
from backups.engine.redaction import redacted_from_store
from backups.engine.types import CommitRequest, SavedRevision


def save(store: GitStore, text: str) -> SavedRevision:
    request = CommitRequest(
        path=config_path("sw1", 1),
        config=redacted_from_store(text),
        hostname="sw1",
        device_id=1,
        run_id=1,
        job_name="nightly",
        collected_at=1_700_000_000,
    )
    return store.save(request)


def test_diff_has_the_hunks_only(tmp_path: Path) -> None:
    store = GitStore.open_or_create(tmp_path / "configs.git")
    old = save(store, "hostname sw1\nvlan 1\n!\nend\n")
    new = save(store, "hostname sw1\nvlan 2\n!\nend\n")
    assert store.diff(old.blob, new.blob) == (
        "@@ -1,4 +1,4 @@\n hostname sw1\n-vlan 1\n+vlan 2\n !\n end\n"
    )
    assert store.diff(old.blob, old.blob) == ""
    with pytest.raises(RevisionNotFound):
        store.diff(old.blob, "0" * 40)


def test_push_over_the_ssh_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Stands in for the ssh program: runs what would run on the other side, here.
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    store = GitStore.open_or_create(tmp_path / "configs.git")
    saved = save(store, "hostname sw1\nend\n")
    store.push(f"ssh://git@backup.example{remote}")
    tip = subprocess.run(
        ["git", "-C", str(remote), "rev-parse", "refs/heads/main"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert tip.stdout.strip() == saved.commit


@pytest.mark.parametrize(
    "remote",
    ["https://user:t0p-hidden@127.0.0.1:1/x.git", "ext::sh -c touch% /tmp/x", "/tmp/somewhere"],
)
def test_failed_push_says_why_without_the_url(tmp_path: Path, remote: str) -> None:
    store = GitStore.open_or_create(tmp_path / "configs.git")
    save(store, "hostname sw1\nend\n")
    with pytest.raises(DeviceError) as caught:
        store.push(remote)
    assert caught.value.category is ErrorCategory.STORE_FAILURE
    assert "t0p-hidden" not in caught.value.message
    assert "\n" not in caught.value.message
