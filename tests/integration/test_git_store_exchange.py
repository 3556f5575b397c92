"""Comparing revisions, with the git program."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.engine.config_path import config_path
from backups.engine.git.store import GitStore, RevisionNotFound
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
