"""A history goes only when somebody wants it to: purging, renaming, decommissioning, deleting."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from backups.engine.errors import DeviceError
from backups.engine.git.inspection import Inspection
from backups.engine.git.rebuild import Rebuild
from backups.models import (
    Archive,
    ArchiveReading,
    CurrentText,
    HistoryDeletion,
    SecretUse,
    Snapshot,
    Suspect,
)
from backups.selectors.archives import archive_bytes
from backups.services.artefacts import artefact_store
from backups.services.history_deletion import history_delete, store_rewrite
from backups.services.store import backup_store
from backups.services.verify import store_verify
from inventory.models import Device
from jobs.models import DeviceResult
from tests.factories import (
    DeviceFactory,
    DeviceResultFactory,
    PlatformDetectionFactory,
    backup_outcome,
    user_with,
)
from tests.support.git_repository import assert_sound, history, run_git
from tests.support.stored import LABEL, store, texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]


def purge(*arguments: str) -> str:
    out = io.StringIO()
    call_command("purge_history", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def config(*arguments: str) -> str:
    out = io.StringIO()
    call_command("config", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def is_clean() -> bool:
    return store_verify(progress=lambda _: None).is_clean


@pytest.fixture
def device() -> Device:
    """A device with three revisions, a suspect and a result; another one beside it."""
    device = DeviceFactory.create(hostname="old-sw1")
    for number in range(3):
        store(device, f"hostname old-sw1\nsnmp-server community <redacted:0000000{number}> RO\n")
    outcome = backup_outcome("cut", suspicions=("cut off",))
    assert backup_store(device=device, outcome=outcome, label=LABEL) is None
    PlatformDetectionFactory.create(device=device)
    DeviceResultFactory.create(device=device, snapshot=Snapshot.objects.order_by("pk")[0])
    store(DeviceFactory.create(hostname="other"), "hostname other\n")
    return device


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def give(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return give


# --- purging ------------------------------------------------------------------------------------


def test_everything_of_the_device_goes_and_nothing_else(
    device: Device, git_directory: Path
) -> None:
    archive = Archive.objects.filter(device=device).order_by("pk")[0]
    ArchiveReading.objects.create(
        archive=archive,
        hostname="old-sw1",
        collected_at=archive.collected_at,
        reader="jane",
        reason="audit",
    )
    assert SecretUse.objects.filter(device=device).exists()

    printed = purge("old-sw1", "--yes")

    assert printed == "old-sw1: deleted 3 snapshots, 4 archives and 1 suspects\n"
    for model in (Snapshot, Archive, Suspect, CurrentText, SecretUse):
        assert not model.objects.filter(device=device).exists(), model
    assert texts() == {Snapshot.objects.get().pk: "hostname other\n"}
    reading = ArchiveReading.objects.get()
    assert (reading.archive, reading.hostname, reading.reader) == (None, "old-sw1", "jane")
    assert DeviceResult.objects.get().snapshot is None
    assert list(Inspection(git_directory).files()) == [Snapshot.objects.get().path]
    assert "old-sw1: history deleted" in run_git(git_directory, "log", "-1", "--format=%s", "main")
    assert_sound(git_directory)
    assert is_clean()


def test_it_is_written_down_who_did_it(device: Device) -> None:
    purge("old-sw1", "--yes")
    row = HistoryDeletion.objects.get()
    assert (row.hostname, row.device_id, row.before) == ("old-sw1", device.pk, None)
    assert (row.snapshot_count, row.archive_count, row.suspect_count) == (3, 4, 1)
    assert row.deleted_by.startswith("command line (")


def test_before_a_day_the_newest_revision_stays(device: Device, git_directory: Path) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    first, second, third = Snapshot.objects.filter(device=device).order_by("pk")
    for days, row in enumerate((first, second, third)):
        at = old + timedelta(days=days)
        Snapshot.objects.filter(pk=row.pk).update(collected_at=at)
        Archive.objects.filter(snapshot=row).update(collected_at=at)
    purge("old-sw1", "--before", "2020-01-02", "--yes")
    assert list(Snapshot.objects.filter(device=device).order_by("pk")) == [second, third]
    purge("old-sw1", "--before", "2021-01-01T00:00:00+00:00", "--yes")
    assert list(Snapshot.objects.filter(device=device)) == [third]
    assert Archive.objects.filter(snapshot=third).exists()
    assert Suspect.objects.count() == 1
    assert third.path in Inspection(git_directory).files()
    assert is_clean()


def test_before_a_day_the_newest_artefact_of_each_name_stays(
    device: Device, git_directory: Path
) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    for days, (name, data) in enumerate([("licence.dat", b"1"), ("licence.dat", b"2")]):
        artefact, _ = artefact_store(device=device, name=name, payload=data)
        Archive.objects.filter(pk=artefact.pk).update(collected_at=old + timedelta(days=days))
    purge("old-sw1", "--before", "2021-01-01T00:00:00+00:00", "--yes")
    [kept] = Archive.objects.filter(device=device).exclude(name="")
    assert archive_bytes(archive=kept) == b"2"


def test_a_store_that_is_not_at_hand_keeps_everything(
    device: Device, git_directory: Path, configure: Callable[..., None]
) -> None:
    git_directory.rename(git_directory.with_name("elsewhere.git"))
    with pytest.raises(DeviceError, match="is gone, and the configuration is in it"):
        history_delete(device=device, deleted_by="jane")
    configure(git_writer="queue")
    for refused in (
        lambda: history_delete(device=device, deleted_by="jane"),
        lambda: store_rewrite(progress=lambda _: None),
    ):
        with pytest.raises(DeviceError, match="lives where the queue 'git' is served"):
            refused()
    assert not git_directory.exists()
    assert Snapshot.objects.filter(device=device).count() == 3
    assert not HistoryDeletion.objects.exists()


def test_a_rewritten_store_has_none_of_it(device: Device, git_directory: Path) -> None:
    blobs = list(Snapshot.objects.filter(device=device).values_list("blob", flat=True))
    printed = purge("old-sw1", "--yes", "--rewrite-git")
    assert "built anew with 1 snapshots" in printed
    assert "still holds" not in printed
    assert Rebuild(git_directory).asides() == []
    assert len(history(git_directory)) == 1
    found = run_git(git_directory, "cat-file", "--batch-all-objects", "--batch-check")
    assert not [blob for blob in blobs if blob in found]
    assert "old-sw1" not in run_git(git_directory, "log", "main")
    assert is_clean()


def test_repositories_that_still_hold_it_are_named(device: Device, git_directory: Path) -> None:
    aside = git_directory / "replaced-20200101T000000Z"
    run_git(git_directory, "clone", "--quiet", "--bare", str(git_directory), str(aside))
    assert f"still holds what was deleted: {aside}" in purge("old-sw1", "--yes", "--rewrite-git")
    assert aside.exists()


def test_nothing_is_deleted_when_git_cannot_be_written(device: Device, git_directory: Path) -> None:
    (git_directory / "refs/heads/main").write_text("nonsense\n")
    with pytest.raises(DeviceError, match="damaged"):
        history_delete(device=device, deleted_by="jane")
    assert Snapshot.objects.filter(device=device).count() == 3
    assert Archive.objects.filter(device=device).count() == 4
    assert not HistoryDeletion.objects.exists()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("other\n", "that is not the hostname; nothing was deleted"),
        ("\n", "that is not the hostname; nothing was deleted"),
        ("", "without a terminal give --yes"),
    ],
)
def test_the_hostname_has_to_be_typed(
    device: Device, typed: Callable[[str], None], answer: str, words: str
) -> None:
    typed(answer)
    with pytest.raises(CommandError, match=words):
        purge("old-sw1")
    assert Snapshot.objects.filter(device=device).count() == 3


def test_after_the_right_answer_it_goes(device: Device, typed: Callable[[str], None]) -> None:
    typed("old-sw1\n")
    assert "This deletes everything that is stored of old-sw1" in purge("old-sw1")
    assert not Snapshot.objects.filter(device=device).exists()


@pytest.mark.parametrize("day", ["yesterday", "2020-13-01", "2020-02-30T10:00"])
def test_days_that_are_none(device: Device, day: str) -> None:
    with pytest.raises(CommandError, match="give a day such as"):
        purge("old-sw1", "--before", day, "--yes")
    assert Snapshot.objects.filter(device=device).count() == 3


def test_a_device_without_history_can_be_purged(git_directory: Path) -> None:
    DeviceFactory.create(hostname="new")
    assert "deleted 0 snapshots" in purge("new", "--yes")
    assert not git_directory.exists()


def test_an_inactive_device_can_be_purged_and_then_deleted(device: Device) -> None:
    Device.objects.filter(pk=device.pk).update(is_active=False)
    purge("old-sw1", "--yes")
    Device.objects.get(pk=device.pk).delete()
    assert is_clean()
    assert HistoryDeletion.objects.get().hostname == "old-sw1"


def test_the_next_backup_begins_a_new_history(device: Device, git_directory: Path) -> None:
    purge("old-sw1", "--yes")
    snapshot = store(device, "hostname again\n")
    assert (snapshot.lines_added, snapshot.change_digest) == (1, "")
    assert is_clean()


# --- renaming and decommissioning ---------------------------------------------------------------


def test_a_renamed_device_keeps_its_history_and_its_path(device: Device) -> None:
    path = Snapshot.objects.filter(device=device)[0].path
    device.hostname = "new-sw1"
    device.save()
    assert store(device, "hostname new-sw1\n").path == path
    revisions = json.loads(config("history", "new-sw1", "--json"))["revisions"]
    assert len(revisions) == 4
    assert "+hostname new-sw1" in config("diff", "new-sw1")


def test_a_decommissioned_device_can_still_be_read(device: Device) -> None:
    Device.objects.filter(pk=device.pk).update(is_active=False)
    assert config("show", "old-sw1").startswith("hostname old-sw1\n")
    assert "+snmp-server community <redacted:00000002> RO" in config("diff", "old-sw1")
    assert len(json.loads(config("history", "old-sw1", "--json"))["revisions"]) == 3
    assert is_clean()


# --- deleting the device ------------------------------------------------------------------------


def api_client(*permissions: str) -> Client:
    client = Client()
    client.force_login(user_with(*permissions))
    return client


@pytest.mark.usefixtures("web")
def test_the_api_says_what_to_do_first(device: Device) -> None:
    client = api_client("inventory.view_device", "inventory.delete_device")
    answer: Any = client.delete(f"/api/v1/devices/{device.pk}/")
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "conflict"
    assert error["message"] == (
        "old-sw1 has stored configurations. Set is_active to false to keep them, or delete them "
        "first with 'manage.py purge_history'."
    )
    assert Device.objects.filter(pk=device.pk).exists()
    purge("old-sw1", "--yes")
    assert client.delete(f"/api/v1/devices/{device.pk}/").status_code == 204


@pytest.mark.usefixtures("web")
def test_the_admin_shows_what_stands_in_the_way(device: Device) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    page = client.post(reverse("admin:inventory_device_delete", args=[device.pk]), {"post": "yes"})
    assert page.status_code == 200
    assert "following protected related objects" in page.content.decode()
    assert "or delete them first with" in page.content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [device.pk], "post": "yes"}
    page = client.post(reverse("admin:inventory_device_changelist"), chosen)
    assert "or delete them first with" in page.content.decode()
    assert Device.objects.filter(pk=device.pk).exists()
    assert Snapshot.objects.filter(device=device).count() == 3
    purge("old-sw1", "--yes")
    client.post(reverse("admin:inventory_device_changelist"), chosen)
    assert not Device.objects.filter(pk=device.pk).exists()
