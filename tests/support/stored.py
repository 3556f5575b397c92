"""Stored revisions for tests, and ways to damage where they are kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

from backups.engine.git.inspection import Inspection
from backups.models import Snapshot
from backups.selectors.snapshots import snapshot_text
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from netraven_site.config import PROJECT_DIR
from tests.factories import DeviceFactory, backup_outcome
from tests.support.git_repository import run_git

LABEL = RunLabel(run_id=1, job_name="nightly")


def store(device: Device, text: str, *, commit: bool = True, label: RunLabel = LABEL) -> Snapshot:
    """A snapshot of ``device`` with ``text``, in Git unless ``commit`` is False."""
    snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
    assert snapshot is not None
    if commit:
        snapshots_commit(device_id=device.pk)
        snapshot.refresh_from_db()
    return snapshot


def store_some(devices: int = 3, revisions: int = 3) -> dict[int, str]:
    """Several devices with several revisions each; the texts by snapshot."""
    made = [DeviceFactory.create() for _ in range(devices)]
    for revision in range(revisions):
        for number, device in enumerate(made):
            store(device, f"hostname sw{number}\ninterface Vlan{revision}\nend\n")
    return texts()


def texts() -> dict[int, str]:
    """What every snapshot reads as."""
    return {row.pk: snapshot_text(snapshot=row) for row in Snapshot.objects.order_by("pk")}


def history_of(repository: Path, path: str) -> list[str]:
    """The texts that ``path`` had on the main branch, oldest first."""
    inspection = Inspection(repository)
    commits = run_git(repository, "log", "--reverse", "--format=%H", "main", "--", path).split()
    blobs = inspection.blobs_at([(commit, path) for commit in commits])
    return [text or "" for _, text in inspection.texts(blob for blob in blobs if blob)]


def in_process(code: str, *arguments: str, git_directory: Path) -> int:
    """Run ``code`` with Django set up, on this test's database and store; its exit status.

    The status is negative after a signal; the test fails when there is a traceback.
    """
    database = urlsplit(os.environ["DATABASE_URL"])
    keys = [f"NETRAVEN_{key}" for key in ("SECRET_KEY", "ENCRYPTION_KEYS", "REDACTION_KEY")]
    result = subprocess.run(
        [sys.executable, "-c", f"import django\ndjango.setup()\n{code}", *arguments],
        cwd=PROJECT_DIR,
        env={
            **{name: os.environ[name] for name in ("PATH", *keys)},
            "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
            "DATABASE_URL": database._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
            "NETRAVEN_GIT_PATH": str(git_directory),
            "NETRAVEN_DATA_DIR": str(git_directory.parent / "data"),
        },
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    return result.returncode


def _object_files(repository: Path) -> list[Path]:
    files = [path for path in (repository / "objects").rglob("*") if path.is_file()]
    for file in files:
        file.chmod(0o644)
    return sorted(files)


def _some_object_files(repository: Path) -> list[Path]:
    files = _object_files(repository)
    return files[::4]


def delete_objects(repository: Path) -> None:
    for file in _some_object_files(repository):
        file.unlink()


def truncate_objects(repository: Path) -> None:
    for file in _some_object_files(repository):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def garble_objects(repository: Path) -> None:
    for file in _some_object_files(repository):
        body = bytearray(file.read_bytes())
        body[len(body) // 2] ^= 0xFF
        file.write_bytes(body)


def garble_pack(repository: Path) -> None:
    run_git(repository, "gc", "--quiet", "--prune=now")
    for pack in (repository / "objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        body = bytearray(pack.read_bytes())
        for place in range(40, len(body), 60):
            body[place] ^= 0xFF
        pack.write_bytes(body)


def garble_head(repository: Path) -> None:
    run_git(repository, "gc", "--quiet", "--prune=now")
    (repository / "HEAD").write_bytes(b"\0\1 nonsense")


def garble_branch(repository: Path) -> None:
    (repository / "refs/heads/main").write_text("nonsense\n")


def remove_branch(repository: Path) -> None:
    (repository / "refs/heads/main").unlink()


def reset_branch(repository: Path) -> None:
    older = run_git(repository, "rev-parse", "main~3").strip()
    (repository / "refs/heads/main").write_text(f"{older}\n")


def garble_settings(repository: Path) -> None:
    (repository / "config").write_text("[core\nbare")


def empty_folder(repository: Path) -> None:
    shutil.rmtree(repository)
    repository.mkdir()


def remove_folder(repository: Path) -> None:
    shutil.rmtree(repository)


def put_empty_repository(repository: Path) -> None:
    shutil.rmtree(repository)
    run_git(repository, "init", "--quiet", "--bare", "--initial-branch=main")


DAMAGES: list[Callable[[Path], None]] = [
    delete_objects,
    truncate_objects,
    garble_objects,
    garble_pack,
    garble_head,
    garble_branch,
    remove_branch,
    reset_branch,
    garble_settings,
    empty_folder,
    remove_folder,
    put_empty_repository,
]
