"""Imported history in the store as a whole: checked, repaired and deleted like the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from backups.models import Snapshot
from backups.selectors.git import git_store
from backups.selectors.snapshots import snapshot_text, snapshots_of
from backups.services.commits import snapshots_commit
from backups.services.history_deletion import history_delete, store_rewrite
from backups.services.rebuild import store_rebuild
from backups.services.repair import store_repair
from backups.services.store import RunLabel, backup_store
from backups.services.verify import store_verify
from backups.services.verify_report import Report
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.integration.test_import_history import Foreign, config, imported, three_versions
from tests.support.git_repository import assert_sound, run_git

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def foreign(tmp_path: Path) -> Foreign:
    return Foreign(tmp_path / "old")


@pytest.fixture
def device(git_directory: Path) -> Device:
    return DeviceFactory.create(hostname="core1", platform="cisco_ios")


def nothing(_: int) -> None:
    return


def verified() -> Report:
    return store_verify(progress=nothing)


def back_up(device: Device, text: str) -> Snapshot:
    label = RunLabel(run_id=1, job_name="nightly")
    snapshot = backup_store(device=device, outcome=backup_outcome(text), label=label)
    assert snapshot is not None
    snapshots_commit(device_id=device.pk)
    snapshot.refresh_from_db()
    return snapshot


def test_a_history_that_came_after_our_own_is_in_order(foreign: Foreign, device: Device) -> None:
    back_up(device, config("vlan 77"))
    three_versions(foreign)
    imported(foreign)
    report = verified()
    assert report.is_clean, report
    assert not [note for note in report.notes if "no snapshot" in note]


def test_two_imported_histories_are_in_order(
    foreign: Foreign, device: Device, tmp_path: Path
) -> None:
    three_versions(foreign)
    imported(foreign)
    older = Foreign(tmp_path / "older")
    older.commit("2015-01-01T10:00:00Z", core1=config("vlan 15"))
    imported(older)
    report = verified()
    assert report.is_clean, report
    assert git_store().read(snapshots_of(device=device)[0].path) == snapshot_text(
        snapshot=snapshots_of(device=device)[0]
    )


def test_after_a_repair_the_order_is_that_of_time(
    foreign: Foreign, device: Device, git_directory: Path
) -> None:
    back_up(device, config("vlan 77"))
    three_versions(foreign)
    imported(foreign)
    texts = [snapshot_text(snapshot=row) for row in snapshots_of(device=device)]
    (git_directory / "refs/heads/main").write_text("nonsense\n")
    repaired = store_repair(progress=nothing)
    assert repaired.after.is_clean, repaired.after
    assert [snapshot_text(snapshot=row) for row in snapshots_of(device=device)] == texts
    assert_sound(git_directory)


def test_a_rewritten_store_has_none_of_what_was_imported(
    foreign: Foreign, device: Device, git_directory: Path
) -> None:
    other = DeviceFactory.create(hostname="other", platform="cisco_ios")
    back_up(other, config("vlan 1234"))
    back_up(device, config("vlan 77"))
    three_versions(foreign)
    imported(foreign)
    snapshot = Snapshot.objects.filter(device=device).first()
    assert snapshot is not None
    git_store().grow("zone-somewhere", [snapshot.path])
    blobs = list(Snapshot.objects.filter(device=device).values_list("blob", flat=True))
    history_delete(device=device, deleted_by="jane")
    store_rewrite(progress=nothing)
    objects = run_git(git_directory, "cat-file", "--batch-all-objects", "--batch-check")
    assert not [blob for blob in blobs if blob in objects]
    report = verified()
    assert report.is_clean, report


def test_what_is_imported_during_a_repair_is_not_the_newest(
    foreign: Foreign, device: Device, git_directory: Path
) -> None:
    own = back_up(device, config("vlan 77"))
    three_versions(foreign)
    calls = iter([lambda: imported(foreign)])

    def once(_: int) -> None:
        next(calls, lambda: None)()

    store_rebuild(progress=once)
    assert Snapshot.objects.count() == 4
    assert git_store().read(own.path) == config("vlan 77")
    report = verified()
    assert report.is_clean, report
