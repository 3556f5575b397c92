"""Faults of disk, process, repository and keys: nothing is lost, and nothing is stored twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone
from pydantic import SecretStr

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.git.inspection import Inspection
from backups.models import Archive, Snapshot, SnapshotState
from backups.selectors.archives import archive_bytes
from backups.selectors.git import git_store
from backups.selectors.snapshots import snapshot_text
from backups.services.commits import devices_with_pending_snapshots, snapshots_commit
from backups.services.repair import store_repair
from backups.services.retention import archives_prune
from backups.services.verify import store_verify
from backups.services.verify_report import Problem, Report
from credentials.cipher import CipherError, generate_key
from credentials.services import installation_cipher
from inventory.models import Device
from jobs.reconcile import reconcile
from tests.factories import DeviceFactory
from tests.support.git_repository import assert_sound, history, run_git
from tests.support.stored import (
    DAMAGES,
    empty_folder,
    history_of,
    in_process,
    put_empty_repository,
    remove_branch,
    remove_folder,
    store,
    store_some,
    texts,
)

pytestmark = [pytest.mark.django_db(transaction=True)]


def nothing(_: int) -> None:
    return


def commits(repository: Path) -> int:
    return len(Inspection(repository).commit_ids())


def verify() -> Report:
    return store_verify(progress=nothing)


@pytest.fixture
def reconcile_later(configure: Callable[..., None]) -> Callable[[], int]:
    """A pass of the reconciler when all leases are over; gives the devices that it committed."""

    def run() -> int:
        configure(lease_seconds=0)
        return reconcile().devices_committed

    return run


# --- a full disk --------------------------------------------------------------------------------

_STORE_WITHOUT_SPACE = """
import resource, sys
from backups.engine.errors import DeviceError
from inventory.models import Device
from tests.support.stored import store
device = Device.objects.get(pk=int(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    store(device, sys.argv[3])
except DeviceError as error:
    sys.exit(7 if error.message.startswith("No space for the Git store") else 8)
"""


@pytest.mark.parametrize("limit", ["0", "30", "100"])
def test_a_full_disk_only_delays_the_commit(
    git_directory: Path, reconcile_later: Callable[[], int], limit: str
) -> None:
    before = store_some(devices=2)
    device = Device.objects.order_by("pk")[0]
    commits = len(history(git_directory))
    text = "hostname full\nend\n"
    arguments = (_STORE_WITHOUT_SPACE, str(device.pk), limit, text)
    assert in_process(*arguments, git_directory=git_directory) == 7

    waiting = Snapshot.objects.get(state=SnapshotState.PENDING)
    assert waiting.archives.count() == 1
    assert verify().is_clean
    assert len(history(git_directory)) == commits

    assert reconcile_later() == 1
    assert texts() == before | {waiting.pk: text}
    assert len(history(git_directory)) == commits + 1
    assert verify().is_clean
    assert_sound(git_directory)


def test_a_snapshot_of_a_clock_that_was_ahead_is_committed_at_once(git_directory: Path) -> None:
    device = DeviceFactory.create()
    waiting = store(device, "hostname ahead\nend\n", commit=False)
    assert devices_with_pending_snapshots(older_than_seconds=90, limit=10) == []
    Snapshot.objects.filter(pk=waiting.pk).update(collected_at=timezone.now() + timedelta(hours=3))
    assert devices_with_pending_snapshots(older_than_seconds=90, limit=10) == [device.pk]


# --- a killed process ---------------------------------------------------------------------------

_STORE_UNTIL_KILLED = """
import os, random, signal, time
from django.db import connection
from inventory.models import Device
from tests.support.stored import store
draw = random.Random(16)
devices = list(Device.objects.order_by("pk"))
for turn in range(20):
    connection.close()
    connection.close_pool()
    begun, told = os.pipe()
    child = os.fork()
    if child == 0:
        revision = 0
        while True:
            for device in devices:
                store(device, f"hostname sw{device.pk}\\nround {turn} {revision}\\nend\\n")
                os.write(told, b".")
            revision += 1
    os.close(told)
    assert os.read(begun, 1), "the child ended by itself"
    time.sleep(draw.uniform(0, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
@pytest.mark.fault
def test_kills_at_any_moment_leave_a_sound_store(
    git_directory: Path, reconcile_later: Callable[[], int]
) -> None:
    """A process that does nothing but store is killed twenty times."""
    before = store_some(devices=3, revisions=1)
    assert in_process(_STORE_UNTIL_KILLED, git_directory=git_directory) == 0
    run_git(git_directory, "fsck", "--strict", "--full")
    assert Snapshot.objects.count() >= len(before) + 20
    assert verify().is_clean

    reconcile_later()
    assert not Snapshot.objects.filter(state=SnapshotState.PENDING).exists()
    assert len(set(texts().values())) == Snapshot.objects.count()
    store(Device.objects.order_by("pk")[0], "hostname next\nend\n")
    assert verify().is_clean
    assert_whole(git_directory)


def assert_whole(repository: Path) -> None:
    """As ``assert_sound``, but for halves of files that Git does not look at and clears away."""
    run_git(repository, "fsck", "--strict", "--full")
    assert [path.name for path in repository.rglob("*.lock") if path.stem[:8] != "netraven"] == []


_STORE_AND_DIE = """
import os, signal, sys
from inventory.models import Device
from tests.support.stored import store
device = Device.objects.get(pk=int(sys.argv[1]))
if sys.argv[3] == "before Git":
    store(device, sys.argv[2], commit=False)
    os.kill(os.getpid(), signal.SIGKILL)
moved = False
def die(event, arguments):
    global moved
    if moved:
        moved = False
        os.kill(os.getpid(), signal.SIGKILL)
    moved = event == "os.rename" and str(arguments[1]).endswith("refs/heads/main")
sys.addaudithook(die)
store(device, sys.argv[2])
"""


@pytest.mark.parametrize("moment", ["before Git", "after Git"])
@pytest.mark.parametrize("revisions", [0, 2])
def test_a_kill_on_the_way_makes_one_revision(
    git_directory: Path, reconcile_later: Callable[[], int], moment: str, revisions: int
) -> None:
    device = DeviceFactory.create()
    for number in range(revisions):
        store(device, f"{number}\n")
    git_store()
    text = "hostname killed\nline\nend\n"
    arguments = (_STORE_AND_DIE, str(device.pk), text, moment)
    assert in_process(*arguments, git_directory=git_directory) == -signal.SIGKILL

    waiting = Snapshot.objects.get(state=SnapshotState.PENDING)
    assert commits(git_directory) == revisions + (moment == "after Git")
    assert verify().is_clean

    assert reconcile_later() == 1
    waiting.refresh_from_db()
    assert waiting.state == SnapshotState.COMMITTED
    assert waiting.lines_added >= 2
    assert history_of(git_directory, waiting.path)[-1] == text
    assert len(history(git_directory)) == revisions + 1
    assert Snapshot.objects.count() == revisions + 1
    assert verify().is_clean
    store(device, "what comes next\n")  # clears away what the dead process left
    assert_sound(git_directory)


def test_the_same_text_after_a_kill_is_no_second_revision(git_directory: Path) -> None:
    device = DeviceFactory.create()
    git_store()
    arguments = (_STORE_AND_DIE, str(device.pk), "hostname killed\n", "after Git")
    in_process(*arguments, git_directory=git_directory)
    snapshot = store(device, "hostname killed\n")
    assert snapshot.state == SnapshotState.COMMITTED
    assert (Snapshot.objects.count(), len(history(git_directory))) == (1, 1)


# --- a damaged repository -----------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_backups_go_on_and_everything_is_mended(
    git_directory: Path, reconcile_later: Callable[[], int], damage: Callable[[Path], None]
) -> None:
    before = store_some()
    damage(git_directory)
    for device in Device.objects.order_by("pk"):
        store(device, f"hostname later{device.pk}\nend\n", commit=False)
        try:
            snapshots_commit(device_id=device.pk)
        except DeviceError as error:
            assert error.category is ErrorCategory.STORE_FAILURE
            assert "\n" not in error.message
    assert Snapshot.objects.count() == 12

    assert not verify().is_clean
    assert store_repair(progress=nothing).after.is_clean
    reconcile_later()

    assert not Snapshot.objects.filter(state=SnapshotState.PENDING).exists()
    after = texts()
    assert {pk: after[pk] for pk in before} == before
    assert sorted(after[pk] for pk in after.keys() - before.keys()) == sorted(
        f"hostname later{device.pk}\nend\n" for device in Device.objects.all()
    )
    for path in Snapshot.objects.values_list("path", flat=True).distinct():
        of_path = Snapshot.objects.filter(path=path).order_by("collected_at", "pk")
        assert history_of(git_directory, path) == [after[row.pk] for row in of_path]
    assert verify().is_clean
    assert_sound(git_directory)


@pytest.mark.parametrize(
    "damage", [empty_folder, remove_folder, put_empty_repository, remove_branch]
)
@pytest.mark.parametrize("is_new_process", [False, True])
def test_no_new_history_is_begun_in_place_of_a_lost_one(
    git_directory: Path, damage: Callable[[Path], None], is_new_process: bool
) -> None:
    store_some(devices=1)
    damage(git_directory)
    if is_new_process:
        git_store.cache_clear()
    device = Device.objects.get()
    waiting = store(device, "hostname later\nend\n", commit=False)
    with pytest.raises(DeviceError) as caught:
        snapshots_commit(device_id=device.pk)
    if is_new_process or damage in {put_empty_repository, remove_branch}:
        assert "verify_store --repair" in caught.value.message
    waiting.refresh_from_db()
    assert (waiting.state, snapshot_text(snapshot=waiting)) == (
        SnapshotState.PENDING,
        "hostname later\nend\n",
    )
    assert not (git_directory / "refs/heads/main").exists()


# --- a missing encryption key -------------------------------------------------------------------


@pytest.fixture
def other_key(configure: Callable[..., None]) -> Iterator[Callable[[bool], None]]:
    """Takes the encryption key away, another one in its place, and gives it back."""
    from django.conf import settings

    right = settings.NETRAVEN.key("encryption_keys")
    other = generate_key("other")

    def change(is_missing: bool) -> None:
        keys = other if is_missing else f"{right},{other}"
        configure(encryption_keys=SecretStr(keys))
        installation_cipher.cache_clear()

    yield change
    installation_cipher.cache_clear()


def test_a_missing_key_loses_nothing(
    git_directory: Path, other_key: Callable[[bool], None], configure: Callable[..., None]
) -> None:
    before = store_some(devices=2)
    other_key(True)
    device = DeviceFactory.create()
    new = store(device, "hostname new\nend\n")
    assert archive_bytes(archive=new.archives.get()) == b"hostname new\nend\n"

    report = verify()
    assert dict(report.counts) == {Problem.KEY_MISSING: 6}
    [finding] = report.findings[Problem.KEY_MISSING]
    assert finding.detail == ("6 archives need the encryption key 'test', which is not configured")
    old = Archive.objects.order_by("pk")[0]
    with pytest.raises(CipherError, match="'test' is not configured"):
        archive_bytes(archive=old)

    assert store_repair(progress=nothing).replaced is None
    archives_prune()
    assert Archive.objects.count() == 7
    assert {pk: texts()[pk] for pk in before} == before

    other_key(False)
    assert verify().is_clean
    assert archive_bytes(archive=old).startswith(b"hostname sw")


def test_texts_that_need_a_missing_key_come_back_with_it(
    git_directory: Path, other_key: Callable[[bool], None]
) -> None:
    before = store_some(devices=1)
    empty_folder(git_directory)
    other_key(True)
    repaired = store_repair(progress=nothing)
    assert len(repaired.named) == 2  # the newest one is in the text that is searched
    assert all("'test' is not configured" in line for line in repaired.named)
    assert repaired.after.counts[Problem.TEXT_LOST] == 2
    assert Snapshot.objects.filter(state=SnapshotState.LOST).count() == 2

    other_key(False)
    assert store_repair(progress=nothing).after.is_clean
    assert texts() == before
    assert len(history(git_directory)) == 3


def test_raw_copy_and_snapshot_are_written_together(git_directory: Path) -> None:
    device = DeviceFactory.create()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        store(device, "one\n", commit=False)
        raise ZeroDivisionError
    assert (Archive.objects.count(), Snapshot.objects.count()) == (0, 0)
