"""Rotation of the encryption key: nothing lost, nothing overwritten, whatever happens meanwhile."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from backups.models import Archive
from backups.selectors.archives import archive_bytes
from backups.services.archives import archive_write
from backups.services.key_rotation import keys_in_use, keys_removable, keys_rotate
from backups.services.store import RunLabel, backup_store
from credentials.cipher import sealed_key_id
from credentials.models import Credential
from credentials.rotation import Rotation
from credentials.services import (
    SECRET_FIELDS,
    credential_open,
    credential_set_secrets,
    installation_cipher,
)
from inventory.models import Device
from tests.factories import CredentialFactory, DeviceFactory, backup_outcome
from tests.support import keys
from tests.support.keys import NEW, OLD, OTHER
from tests.support.waiting import wait_for

pytestmark = pytest.mark.django_db

SECRETS = {
    "password": "CANARY-1",
    "enable_secret": "CANARY-2",
    "ssh_key": "CANARY-3\nPRIVATE KEY-----",
    "ssh_key_passphrase": "CANARY-4",
}
LABEL = RunLabel(run_id=1, job_name="nightly")
Use = Callable[..., None]


@pytest.fixture
def use(configure: Callable[..., None]) -> Iterator[Use]:
    """Changes the keys of this process."""
    with keys.fresh_cipher():
        yield lambda *names: keys.use_keys(configure, *names)


def archives(device: Device, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        backup_store(device=device, outcome=backup_outcome(f"line {number}\n"), label=LABEL)


def opened() -> list[bytes]:
    return [archive_bytes(archive=archive) for archive in Archive.objects.order_by("pk")]


def rotate(batch: int = 2) -> Rotation:
    return keys_rotate(batch=batch, progress=lambda noun, count: None)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=out)
    return out.getvalue()


def test_everything_is_sealed_anew_and_opens_with_the_new_key_alone(use: Use) -> None:
    use(OLD)
    archives(DeviceFactory.create(), 5)
    credential = CredentialFactory.create(**SECRETS)
    before = opened()
    use(NEW, OLD)
    assert keys_removable() == []
    changed_at = Credential.objects.get().updated_at
    result = rotate()
    assert result.rotated == {"credential secret": 4, "archive": 5, "notification secret": 0}
    assert result.unreadable == []
    assert keys_in_use() == {"new": {"archive": 5, "credential secret": 4}}
    assert keys_removable() == ["old"]
    use(NEW)
    assert opened() == before
    login = credential_open(credential=Credential.objects.get())
    assert {field: getattr(login, field) for field in SECRETS} == SECRETS
    assert Credential.objects.get(pk=credential.pk).updated_at == changed_at
    for archive in Archive.objects.all():
        assert archive.key_id == sealed_key_id(bytes(archive.sealed)) == "new"


def test_a_second_time_there_is_nothing_to_do(use: Use) -> None:
    use(OLD)
    archives(DeviceFactory.create(), 3)
    use(NEW, OLD)
    rotate()
    sealed = list(Archive.objects.order_by("pk").values_list("sealed", flat=True))
    assert set(rotate().rotated.values()) == {0}
    again = Archive.objects.order_by("pk").values_list("sealed", flat=True)
    assert [bytes(value) for value in sealed] == [bytes(value) for value in again]


def test_a_value_that_cannot_be_opened_is_named_and_left(use: Use) -> None:
    use(OLD)
    good, bad = (DeviceFactory.create(hostname=name) for name in ("good", "bad"))
    archives(bad, 1)
    archives(good, 4)
    damaged = Archive.objects.get(device=bad)
    Archive.objects.filter(pk=damaged.pk).update(sealed=bytes(damaged.sealed)[:-1] + b"\x00")
    CredentialFactory.create(name="lost")
    Credential.objects.update(sealed_password=b"\x01")
    use(NEW, OLD)
    result = rotate()
    named = [(found.noun, found.row, found.name) for found in result.unreadable]
    lost = Credential.objects.get()
    assert named == [("credential secret", lost.pk, "lost"), ("archive", damaged.pk, "bad")]
    assert result.rotated["archive"] == 4
    assert bytes(Credential.objects.get().sealed_password or b"") == b"\x01"
    assert keys_in_use()["old"] == {"archive": 1}
    assert keys_removable() == []


def test_what_an_unknown_key_sealed_is_named_with_that_key(use: Use) -> None:
    use(OTHER)
    archives(DeviceFactory.create(hostname="r1"), 1)
    use(NEW, OLD)
    (found,) = rotate().unreadable
    assert found.name == "r1"
    assert "encryption key 'other' is not configured" in found.reason


def test_the_command_tells_and_fails_where_something_is_left(
    use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    use(OLD)
    device = DeviceFactory.create(hostname="r1")
    archives(device, 2)
    use(NEW, OLD)
    printed = command()
    assert "encrypted anew under key 'new': 2 archives" in printed
    assert "nothing needs key 'old' any more" in printed
    Archive.objects.filter(pk=Archive.objects.earliest("pk").pk).update(key_id="old", sealed=b"x")
    err = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("rotate_keys", "--json", stdout=io.StringIO(), stderr=err)
    assert caught.value.code == 1
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("rotate_keys", "--json", stdout=out)
    row = json.loads(out.getvalue())
    assert [(found["what"], found["name"]) for found in row["unreadable"]] == [("archive", "r1")]
    assert (row["current_key"], row["removable"]) == ("new", [])
    assert "CANARY" not in out.getvalue()


class Terminal(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_shows_how_far_it_is(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    use(OLD)
    archives(DeviceFactory.create(), 3)
    use(NEW, OLD)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    call_command("rotate_keys", "--batch", "2", stdout=io.StringIO(), stderr=terminal)
    shown = terminal.getvalue().split("\r")
    assert shown[1:3] == ["2 of 3 archives", "3 of 3 archives\n"]


@pytest.mark.parametrize("batch", ["0", "x", "-3", "10001"])
def test_a_wrong_batch_is_one_line(batch: str) -> None:
    with pytest.raises(CommandError, match="give a number from 1 to 10000"):
        command("--batch", batch)


# --- While others work ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_credential_that_is_changed_meanwhile_keeps_its_new_password(use: Use) -> None:
    """The rotation meets the row while somebody writes it: it waits and takes what was written."""
    use(OLD)
    credential = CredentialFactory.create(password="before")
    use(NEW, OLD)
    results: list[Rotation] = []
    thread = threading.Thread(target=lambda: results.append(_in_thread(rotate)))
    with transaction.atomic():
        locked = Credential.objects.select_for_update().get(pk=credential.pk)
        # As a process that does not have the new list yet would write it.
        use(OLD, NEW)
        credential_set_secrets(credential=locked, password="after")
        locked.save()
        use(NEW, OLD)
        thread.start()
        wait_for(_somebody_waits, "the rotation waits for the row")
    thread.join(30)
    assert results[0].rotated["credential secret"] == 1
    use(NEW)
    assert credential_open(credential=Credential.objects.get()).password == "after"


@pytest.mark.django_db(transaction=True)
def test_two_rotations_share_the_work(use: Use) -> None:
    use(OLD)
    archives(DeviceFactory.create(), 24)
    before = opened()
    use(NEW, OLD)
    installation_cipher()
    barrier, results = threading.Barrier(2), []

    def work() -> None:
        barrier.wait()
        results.append(_in_thread(lambda: rotate(batch=1)))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(result.rotated["archive"] for result in results) == 24
    assert [result.unreadable for result in results] == [[], []]
    use(NEW)
    assert opened() == before


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_killed_midway_it_goes_on_where_it_was(use: Use) -> None:
    """Two killed processes, jobs that store all the time, and at last only the new key."""
    use(OLD)
    device = DeviceFactory.create()
    for number in range(400):
        archive_write(
            device=device,
            raw=os.urandom(2000) + str(number).encode(),
            raw_digest=str(number),
            collected_at=device.created_at,
        )
    CredentialFactory.create(**SECRETS)
    before = opened()
    use(NEW, OLD)
    end = threading.Event()
    stored: list[int] = []

    def store() -> None:
        try:
            while not end.is_set():
                archives(device, 1, start=len(stored))
                stored.append(len(stored))
        finally:
            connection.close()

    jobs = threading.Thread(target=store)
    jobs.start()
    try:
        done = 0
        for _ in range(2):
            done = _kill_midway(done)
        assert 0 < done < 400
    finally:
        end.set()
        jobs.join(30)
    finished = keys.run("manage.py", "rotate_keys", "--json", env=keys.environment(NEW, OLD))
    assert finished.returncode == 0, finished.stderr
    row = json.loads(finished.stdout)
    assert 0 < row["rotated"]["archive"] <= 400 - done
    assert row["removable"] == ["old"]
    use(NEW)
    assert opened()[:400] == before
    assert len(opened()) == 400 + len(stored)
    login = credential_open(credential=Credential.objects.get())
    assert {field: getattr(login, field) for field in SECRET_FIELDS} == SECRETS


def _kill_midway(done: int) -> int:
    """Start a rotation, kill it after it has done something; the archives that are done."""
    arguments = ("manage.py", "rotate_keys", "--batch", "1")
    with keys.start(*arguments, env=keys.environment(NEW, OLD)) as process:
        wait_for(lambda: _rotated() > done, "some archives are done")
        process.kill()
        process.communicate()
    return _rotated()


def _rotated() -> int:
    """How many of the old archives are under the new key; those of the jobs have a snapshot."""
    return Archive.objects.filter(key_id="new", snapshot=None).count()


def _in_thread(work: Callable[[], Rotation]) -> Rotation:
    try:
        return work()
    finally:
        connection.close()


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        # Within a transaction the view shows what was when it was first asked.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])
