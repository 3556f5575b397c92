"""The Git history of Oxidized and RANCID becomes our own: redacted, dated, in order."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from backups.engine.foreign_history import ForeignHistory, HistoryFormat, NoHistory
from backups.models import Archive, Snapshot
from backups.selectors.archives import archive_bytes
from backups.selectors.git import git_store
from backups.selectors.snapshots import snapshot_get, snapshot_text, snapshots_of
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.support.git_repository import assert_sound, run_git

SECRET = "Zq9-CANARY-community"
LABEL = RunLabel(run_id=1, job_name="nightly")


class Foreign:
    """A repository that another program wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=master")

    def git(self, *arguments: str, **environment: str) -> None:
        identity = {"GIT_COMMITTER_NAME": "oxidized", "GIT_COMMITTER_EMAIL": "o@example.net"}
        subprocess.run(
            ["git", "-c", "user.name=oxidized", "-c", "user.email=o@example.net", *arguments],
            cwd=self.path,
            env=os.environ | identity | environment,
            check=True,
            capture_output=True,
        )

    def commit(self, when: str, author: str = "oxidized", **files: str | None) -> None:
        """Write ``files`` (``__`` in a name is a slash), None deletes; commit them."""
        for name, text in files.items():
            file = self.path / name.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink() if text is None else file.write_text(text)
        self.git("add", "--all")
        date = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        self.git(
            *("commit", "--quiet", "--allow-empty", "-m", "update"),
            *("--author", f"{author} <{author}@example.net>"),
            **date,
        )


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    return Foreign(tmp_path / "old")


@pytest.fixture
def device(transactional_db: None, git_directory: Path) -> Iterator[Device]:
    yield DeviceFactory.create(hostname="Core1", platform="cisco_ios")
    assert_sound(git_directory)


def config(*lines: str) -> str:
    return "\n".join(["hostname core1", *lines, "end", ""])


def imported(foreign: Foreign, *options: str, kind: str = "oxidized") -> list[dict[str, object]]:
    output = StringIO()
    call_command(
        "import_history", str(foreign.path), f"--format={kind}", "--json", *options, stdout=output
    )
    rows: list[dict[str, object]] = json.loads(output.getvalue())["files"]
    return rows


def three_versions(foreign: Foreign) -> None:
    foreign.commit("2020-01-01T10:00:00Z", core1=config("vlan 1"))
    foreign.commit("2020-02-01T10:00:00Z", "jane", core1=config("vlan 1", "vlan 2"))
    foreign.commit(
        "2021-03-01T10:00:00Z", core1=config("vlan 2", f"snmp-server community {SECRET} RO")
    )


def test_every_version_becomes_a_snapshot_with_author_and_date(
    foreign: Foreign, device: Device, git_directory: Path
) -> None:
    three_versions(foreign)
    (row,) = imported(foreign)
    assert (row["hostname"], row["versions"], row["stored"], row["problem"]) == ("Core1", 3, 3, "")
    newest, second, first = snapshots_of(device=device)
    assert {row.state for row in (newest, second, first)} == {"COMMITTED"}
    assert (second.changed_by, first.changed_by) == ("jane", "oxidized")
    assert first.collected_at == datetime(2020, 1, 1, 10, tzinfo=UTC)
    assert newest.collected_at == datetime(2021, 3, 1, 10, tzinfo=UTC)
    assert (second.lines_added, second.lines_removed) == (1, 0)
    assert {row.imported_from for row in (newest, second, first)} == {"oxidized:old"}
    assert snapshot_text(snapshot=first) == config("vlan 1")
    shown = subprocess.run(
        ["git", f"--git-dir={git_directory}", "log", "--format=%an %at", "--", newest.path],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert shown.splitlines()[1] == f"jane {int(second.collected_at.timestamp())}"


def test_secrets_are_redacted_and_the_raw_bytes_are_in_the_archive(
    foreign: Foreign, device: Device, git_directory: Path
) -> None:
    three_versions(foreign)
    imported(foreign)
    newest = snapshot_get(device=device)
    assert "snmp-server community <redacted:" in snapshot_text(snapshot=newest)
    assert SECRET.encode() in archive_bytes(archive=Archive.objects.get(snapshot=newest))
    objects = subprocess.run(
        ["git", f"--git-dir={git_directory}", "cat-file", "--batch-all-objects", "--batch"],
        capture_output=True,
        check=True,
    ).stdout
    assert b"vlan 2" in objects and SECRET.encode() not in objects


def test_a_second_import_takes_only_what_is_new(foreign: Foreign, device: Device) -> None:
    three_versions(foreign)
    imported(foreign)
    foreign.commit("2022-01-01T00:00:00Z", core1=config("vlan 9"))
    (row,) = imported(foreign)
    assert (row["known"], row["stored"]) == (3, 1)
    assert Snapshot.objects.count() == 4


def test_equal_and_unusable_versions_make_no_snapshot(foreign: Foreign, device: Device) -> None:
    stamp = "! Last configuration change at 10:0{}:00 UTC Mon Jan 3 2022"
    for minute in range(3):
        foreign.commit(f"2020-01-0{minute + 1}T00:00:00Z", core1=stamp.format(minute) + "\nend\n")
    foreign.commit("2020-01-05T00:00:00Z", core1="\n \n")
    foreign.commit("2020-01-06T00:00:00Z", core1=None)
    foreign.commit("2020-01-07T00:00:00Z", core1=config())
    (row,) = imported(foreign)
    counts = {key: row[key] for key in ("versions", "stored", "unchanged", "unusable")}
    assert counts == {"versions": 5, "stored": 2, "unchanged": 2, "unusable": 1}


def test_dates_that_go_back_keep_the_order_of_the_history(foreign: Foreign, device: Device) -> None:
    for number, when in enumerate(["2020-05-01", "2019-01-01", "2099-01-01"]):
        foreign.commit(f"{when}T00:00:00Z", core1=config(f"vlan {number}"))
    imported(foreign)
    newest, second, first = snapshots_of(device=device)
    texts = [snapshot_text(snapshot=row) for row in (first, second, newest)]
    assert texts == [config(f"vlan {number}") for number in range(3)]
    assert first.collected_at == second.collected_at
    assert newest.collected_at <= datetime.now(UTC)


def test_a_clock_that_was_ahead_spoils_no_other_date(foreign: Foreign, device: Device) -> None:
    """The same at each import: what was stored once is known the next time."""
    for number, when in enumerate(["2020-01-01", "2038-01-01", "2020-01-03", "2020-01-04"]):
        foreign.commit(f"{when}T00:00:00Z", core1=config(f"vlan {number}"))
    imported(foreign)
    dates = [row.collected_at.date().isoformat() for row in snapshots_of(device=device)]
    assert dates == ["2020-01-04", "2020-01-03", "2020-01-01", "2020-01-01"]
    (again,) = imported(foreign)
    assert (again["known"], again["stored"]) == (4, 0)


def test_our_own_history_stays_the_newest(foreign: Foreign, device: Device) -> None:
    backup_store(device=device, outcome=backup_outcome(config("vlan 77")), label=LABEL)
    snapshots_commit(device_id=device.pk)
    Snapshot.objects.update(collected_at=datetime(2025, 1, 1, tzinfo=UTC))
    three_versions(foreign)
    foreign.commit("2025-01-02T00:00:00Z", core1=config("vlan 5"))
    (row,) = imported(foreign)
    assert (row["stored"], row["overtaken"]) == (3, 1)
    own = snapshot_get(device=device)
    assert own.imported_from == "" and snapshot_text(snapshot=own) == config("vlan 77")
    assert git_store().read(own.path) == config("vlan 77")
    oldest = snapshots_of(device=device).last()
    assert oldest is not None and snapshot_text(snapshot=oldest) == config("vlan 1")


def test_rancid_keeps_its_files_in_configs(foreign: Foreign, device: Device) -> None:
    foreign.commit(
        "2020-01-01T00:00:00Z",
        backbone__configs__core1=config(),
        backbone__router_db="core1;cisco;up\n",
        backbone__core1="no configuration\n",
    )
    (row,) = imported(foreign, kind="rancid")
    assert (row["path"], row["stored"]) == ("backbone/configs/core1", 1)


def test_files_of_other_names_are_mapped_and_the_rest_is_named(
    foreign: Foreign, device: Device, tmp_path: Path
) -> None:
    foreign.commit("2020-01-01T00:00:00Z", site__r1=config(), site__r2=config("vlan 3"))
    with pytest.raises(CommandError, match="no file belongs to a device"):
        imported(foreign)
    mapping = tmp_path / "map.csv"
    mapping.write_text("path,hostname\nsite/r1,core1\n")
    first, second = imported(foreign, "--map", str(mapping))
    assert (first["path"], first["stored"]) == ("site/r1", 1)
    assert (second["stored"], second["problem"] != "") == (0, True)
    mapping.write_text("file;host\nx;y\n")
    with pytest.raises(CommandError, match="columns path,hostname"):
        imported(foreign, "--map", str(mapping))


def test_a_dry_run_stores_nothing(foreign: Foreign, device: Device) -> None:
    three_versions(foreign)
    (row,) = imported(foreign, "--dry-run")
    assert (row["stored"], Snapshot.objects.count()) == (3, 0)
    git_store()  # the fixture looks at it


def test_the_foreign_configuration_runs_no_program(
    foreign: Foreign, device: Device, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    script.chmod(0o755)
    three_versions(foreign)
    (foreign.path / ".gitattributes").write_text("* diff=evil\n")
    foreign.git("add", ".gitattributes")
    for key in ("diff.external", "diff.evil.textconv", "diff.evil.command", "gpg.program"):
        foreign.git("config", key, str(script))
    foreign.git("config", "core.fsmonitor", str(script))
    foreign.git("config", "log.showSignature", "true")
    imported(foreign)
    assert not trap.exists()


def test_what_is_missing_is_not_fetched_by_a_program(
    foreign: Foreign, device: Device, tmp_path: Path
) -> None:
    """A partial clone fetches a missing blob when it is asked for, by the means of its settings."""
    trap = tmp_path / "trap"
    three_versions(foreign)
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::sh -c touch% {trap}",
        "protocol.ext.allow": "always",
    }.items():
        foreign.git("config", key, value)
    blob = run_git(foreign.path / ".git", "rev-parse", "HEAD:core1").strip()
    (foreign.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with suppress(CommandError, NoHistory):
        imported(foreign)
    assert not trap.exists()
    git_store()  # the fixture looks at it


def test_a_repository_of_somebody_else_is_refused_in_one_line(
    foreign: Foreign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)  # root may read everything
    with pytest.raises(NoHistory, match=r"cannot be read \(Permission denied\)"):
        ForeignHistory(foreign.path, HistoryFormat.OXIDIZED)


def test_what_is_no_repository_is_refused_in_one_line(tmp_path: Path, foreign: Foreign) -> None:
    for path in (tmp_path / "none", tmp_path, foreign.path):  # the last one has no commit
        with pytest.raises(NoHistory) as caught:
            ForeignHistory(path, HistoryFormat.OXIDIZED)
        assert "\n" not in str(caught.value)
