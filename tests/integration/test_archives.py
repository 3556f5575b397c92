"""Raw bytes: who reads them and why is written down first, and nobody else gets them."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from backups.models import Archive, ArchiveReading, Snapshot, Suspect
from backups.selectors.archives import archive_bytes, archive_newest, artefact_get, artefacts_of
from backups.selectors.suspects import suspects_open
from backups.services.archives import ReasonMissing, archive_read
from backups.services.artefacts import artefact_store
from backups.services.commits import snapshots_commit
from backups.services.store import RunLabel, backup_store
from credentials.cipher import CipherError
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome, user_with
from tests.support import keys
from tests.support.threads import all_at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

LABEL = RunLabel(run_id=1, job_name="nightly")
RAW = b"enable secret Zq9-CANARY\r\nend\r\n\xff"
TEXT = "hostname core\nend\n"
BINARY = bytes(range(256)) * 8
READ, VIEW, ADD = "backups.read_raw_archive", "backups.view_archive", "backups.add_artefact"


def stored(hostname: str = "core-1") -> Snapshot:
    """A committed snapshot with RAW behind it."""
    device = DeviceFactory.create(hostname=hostname)
    backup_store(device=device, outcome=backup_outcome(TEXT, raw=RAW), label=LABEL)
    snapshots_commit(device_id=device.pk)
    return Snapshot.objects.get(device=device)


def archive_of(snapshot: Snapshot) -> Archive:
    archive = archive_newest(snapshot=snapshot)
    assert archive is not None
    return archive


def test_the_newest_raw_copy_is_the_one_that_the_device_has() -> None:
    """A secret that redaction hides is changed, and changed back."""
    device = DeviceFactory.create()
    for raw in (b"secret A", b"secret B", b"secret B", b"secret A"):
        backup_store(device=device, outcome=backup_outcome(TEXT, raw=raw), label=LABEL)
    snapshot = Snapshot.objects.get()
    assert archive_bytes(archive=archive_of(snapshot)) == b"secret A"
    assert snapshot.archives.count() == 3


# --- The row comes first --------------------------------------------------------------------------


def test_a_reading_is_written_down_with_all_that_matters() -> None:
    archive = archive_of(stored())
    raw = archive_read(archive=archive, reader="jane", reason=" replace it ", address="192.0.2.9")
    assert raw == RAW
    reading = ArchiveReading.objects.get()
    assert (reading.archive, reading.hostname) == (archive, "core-1")
    assert reading.collected_at == archive.collected_at
    assert (reading.reader, reading.reason) == ("jane", "replace it")
    assert reading.address == "192.0.2.9"


@pytest.mark.django_db(transaction=True)
def test_a_reading_that_fails_is_written_down_as_well() -> None:
    archive = archive_of(stored())
    Archive.objects.update(sealed=b"\x00" * 64)
    archive.refresh_from_db()
    with pytest.raises(CipherError):
        archive_read(archive=archive, reader="jane", reason="look")
    assert ArchiveReading.objects.get().reason == "look"


@pytest.mark.django_db(transaction=True)
def test_no_transaction_around_it_can_take_the_row_back() -> None:
    archive = archive_of(stored())
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        archive_read(archive=archive, reader="jane", reason="look")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_without_a_reason_nothing_is_read(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        archive_read(archive=archive_of(stored()), reader="jane", reason=reason)
    assert ArchiveReading.objects.count() == 0


def test_a_raw_copy_whose_key_is_lost_is_made_anew(configure: Callable[..., None]) -> None:
    with keys.fresh_cipher():
        keys.use_keys(configure, keys.OLD)
        snapshot = stored()
        outcome = backup_outcome(TEXT, raw=RAW)
        backup_store(device=snapshot.device, outcome=outcome, label=LABEL)
        assert Archive.objects.count() == 1
        keys.use_keys(configure, keys.NEW)
        for _ in range(2):
            backup_store(device=snapshot.device, outcome=outcome, label=LABEL)
        assert Archive.objects.count() == 2 and Snapshot.objects.count() == 1
        assert archive_read(archive=archive_of(snapshot), reader="me", reason="x") == RAW


# --- API ------------------------------------------------------------------------------------------


def post(path: str, body: object, *permissions: str, **headers: str) -> Any:
    client = Client(REMOTE_ADDR="192.0.2.7", headers=headers)
    user = user_with(*permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True, username="jane")
    client.force_login(User.objects.get(pk=user.pk))
    return client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("what", ["snapshots", "archives"])
def test_the_api_hands_out_raw_bytes(what: str) -> None:
    snapshot = stored("core-1")
    pk = snapshot.pk if what == "snapshots" else archive_of(snapshot).pk
    answer = post(f"{what}/{pk}/raw/", {"reason": "replace it"}, READ, accept="application/zip")
    assert (answer.status_code, answer.content) == (200, RAW)
    assert answer["Content-Type"] == "text/plain"
    assert answer["Content-Disposition"].startswith('attachment; filename="running-config-')
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "no-store"
    reading = ArchiveReading.objects.get()
    assert (reading.reader, reading.reason) == ("jane", "replace it")
    assert reading.address == "192.0.2.7"


@pytest.mark.parametrize("path", ["snapshots/{}/raw/", "snapshots/{}/restore-pack/"])
def test_the_api_asks_for_right_and_reason(path: str) -> None:
    path = path.format(stored().pk)
    for permissions in ([], [VIEW, "backups.view_snapshot", ADD]):
        answer = post(path, {"reason": "x"}, *permissions)
        assert (answer.status_code, b"CANARY" in answer.content) == (403, False)
        User.objects.all().delete()
    bodies: list[object] = [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, []]
    for body in bodies:
        answer = post(path, body, READ)
        assert (answer.status_code, b"CANARY" in answer.content) == (400, False), body
        User.objects.all().delete()
    assert Client().post(f"/api/v1/{path}").status_code == 401
    assert ArchiveReading.objects.count() == 0


def test_the_api_says_what_is_not_there_and_what_cannot_be_opened() -> None:
    snapshot = stored()
    Archive.objects.update(sealed=b"\x00" * 64)
    for path in ("raw", "restore-pack"):
        answer = post(f"snapshots/{snapshot.pk}/{path}/", {"reason": "x"}, READ)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_readable")
        User.objects.all().delete()
    assert ArchiveReading.objects.count() == 2
    ArchiveReading.objects.update(archive=None)
    Archive.objects.all().delete()
    for path in ("raw", "restore-pack"):
        answer = post(f"snapshots/{snapshot.pk}/{path}/", {"reason": "x"}, READ)
        assert answer.status_code == 404 and "not kept" in answer.json()["error"]["message"]
        User.objects.all().delete()
    assert post("archives/999999/raw/", {"reason": "x"}, READ).status_code == 404


def test_nothing_logs_the_bytes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    snapshot = stored()
    for path in ("raw", "restore-pack"):
        answer = post(f"snapshots/{snapshot.pk}/{path}/", {"reason": "x"}, READ)
        assert answer.status_code == 200
        User.objects.all().delete()
    assert "CANARY" not in caplog.text


def test_the_list_says_what_there_is_and_nothing_of_what_is_in_it() -> None:
    snapshot = stored()
    artefact_store(device=snapshot.device, name="vlan.dat", payload=BINARY)
    client = Client()
    client.force_login(user_with(VIEW))
    listed = client.get("/api/v1/archives/?ordering=id").json()["results"]
    assert [set(row) for row in listed] == [
        {
            *("id", "device", "hostname", "snapshot", "name", "media_type", "size_bytes"),
            *("key_id", "run_id", "collected_at"),
        }
    ] * 2
    assert [row["name"] for row in listed] == ["", "vlan.dat"]
    assert listed[0]["size_bytes"] == len(RAW)
    assert client.get("/api/v1/archives/?name=vlan.dat").json()["count"] == 1
    assert client.get(f"/api/v1/archives/{listed[0]['id']}/").status_code == 200
    client.force_login(user_with(READ))
    assert client.get("/api/v1/archives/").status_code == 403


# --- Admin ----------------------------------------------------------------------------------------


def admin_client(*permissions: str) -> Client:
    user = user_with(*permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True, username="jane")
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    return client


def test_the_admin_asks_for_a_reason_and_gives_the_bytes() -> None:
    archive = archive_of(stored())
    client = admin_client(VIEW, READ)
    page = reverse("admin:backups_archive_change", args=[archive.pk])
    address = reverse("admin:backups_archive_read_raw", args=[archive.pk])
    assert address in client.get(page).content.decode()
    shown = client.get(address)
    assert shown.status_code == 200 and b"CANARY" not in shown.content
    refused = client.post(address, {"reason": " "})
    assert refused.status_code == 200 and b"CANARY" not in refused.content
    assert ArchiveReading.objects.count() == 0
    answer = client.post(address, {"reason": "replace it"})
    assert answer.content == RAW and answer["Cache-Control"].startswith("no-store")
    reading = ArchiveReading.objects.get()
    assert (reading.reader, reading.reason, reading.address) == ("jane", "replace it", "127.0.0.1")
    pack = client.post(
        reverse("admin:backups_archive_read_pack", args=[archive.pk]), {"reason": "replace it"}
    )
    assert pack["Content-Type"] == "application/zip" and pack.content[:2] == b"PK"


def test_looking_in_the_admin_is_no_right_to_read() -> None:
    archive = archive_of(stored())
    client = admin_client(VIEW)
    for name in ("read_raw", "read_pack"):
        address = reverse(f"admin:backups_archive_{name}", args=[archive.pk])
        page = reverse("admin:backups_archive_change", args=[archive.pk])
        assert address not in client.get(page).content.decode()
        assert client.get(address).status_code == 403
        assert client.post(address, {"reason": "x"}).status_code == 403
    assert ArchiveReading.objects.count() == 0


def test_the_admin_says_what_it_cannot_give() -> None:
    device = DeviceFactory.create()
    artefact, _ = artefact_store(device=device, name="a.bin", payload=BINARY)
    client = admin_client(VIEW, READ)
    pack = reverse("admin:backups_archive_read_pack", args=[artefact.pk])
    assert "no stored revision" in client.post(pack, {"reason": "x"}).content.decode()
    Archive.objects.update(sealed=b"\x00" * 64)
    raw = reverse("admin:backups_archive_read_raw", args=[artefact.pk])
    assert (
        "not a value that NetRaven encrypted" in client.post(raw, {"reason": "x"}).content.decode()
    )
    assert client.get(raw.replace(str(artefact.pk), "none")).status_code == 404
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(User.objects.get())
    assert forged.post(raw, {"reason": "x"}).status_code == 403


# --- Artefacts ------------------------------------------------------------------------------------


def test_the_same_bytes_again_make_no_second_row() -> None:
    device = DeviceFactory.create()
    first, is_new = artefact_store(device=device, name="vlan.dat", payload=BINARY)
    again, is_new_again = artefact_store(device=device, name="vlan.dat", payload=BINARY)
    assert (is_new, is_new_again, again) == (True, False, first)
    artefact_store(device=device, name="vlan.dat", payload=b"other")
    _, back = artefact_store(device=device, name="vlan.dat", payload=BINARY)
    assert back, "what is newest counts"
    artefact_store(device=device, name="other.dat", payload=BINARY)
    artefact_store(device=DeviceFactory.create(), name="vlan.dat", payload=BINARY)
    assert [found.name for found in artefacts_of(device=device)] == ["other.dat", "vlan.dat"]
    newest = artefact_get(device=device, name="vlan.dat")
    assert archive_read(archive=newest, reader="me", reason="x") == BINARY
    assert first.raw_digest != hashlib.sha256(BINARY).hexdigest(), "it would tell what is in it"


def test_the_same_bytes_again_make_a_row_where_the_key_of_the_old_one_is_lost() -> None:
    device = DeviceFactory.create()
    lost, _ = artefact_store(device=device, name="vlan.dat", payload=BINARY)
    Archive.objects.filter(pk=lost.pk).update(key_id="lost")
    again, is_new = artefact_store(device=device, name="vlan.dat", payload=BINARY)
    assert is_new and again.pk != lost.pk
    newest = artefact_get(device=device, name="vlan.dat")
    assert archive_read(archive=newest, reader="me", reason="x") == BINARY


@pytest.mark.django_db(transaction=True)
def test_the_same_bytes_at_once_make_one_row() -> None:
    device = DeviceFactory.create()
    made = all_at_once(4, lambda: artefact_store(device=device, name="a.bin", payload=BINARY)[1])
    assert sum(made) == 1 == Archive.objects.count()


def test_artefacts_confuse_neither_snapshots_nor_suspects() -> None:
    snapshot = stored()
    device = snapshot.device
    before = archive_of(snapshot)
    artefact, _ = artefact_store(device=device, name="running-config", payload=BINARY)
    assert archive_of(snapshot) == before
    assert not suspects_open().exists() and Suspect.objects.count() == 0
    backup_store(device=device, outcome=backup_outcome(TEXT, raw=RAW), label=LABEL)
    assert Archive.objects.filter(name="").count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Archive.objects.filter(pk=artefact.pk).update(snapshot=snapshot)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": ""}, "1 to 100 letters"),
        ({"name": "../x"}, "1 to 100 letters"),
        ({"name": "a/b"}, "1 to 100 letters"),
        ({"name": ".hidden"}, "1 to 100 letters"),
        ({"name": "a\n"}, "1 to 100 letters"),
        ({"name": "dot."}, "1 to 100 letters"),
        ({"name": "x" * 101}, "1 to 100 letters"),
        ({"media_type": "text/html; charset=x"}, "no media type"),
        ({"media_type": "html"}, "no media type"),
        ({"media_type": "a/b\r\nX: y"}, "no media type"),
        ({"payload": b""}, "nothing in it"),
        ({"payload": b"x" * 1025}, "more than 1024 bytes"),
    ],
)
def test_what_is_no_artefact(
    configure: Callable[..., None], changed: dict[str, Any], words: str
) -> None:
    configure(max_artefact_bytes=1024)
    values = {"name": "a.bin", "payload": b"x" * 1024} | changed
    with pytest.raises(ValidationError, match=words):
        artefact_store(device=DeviceFactory.create(), **values)
    assert Archive.objects.count() == 0


def upload(device: Device, name: str, body: bytes, media_type: str, *permissions: str) -> Any:
    client = Client()
    client.force_login(user_with(*permissions))
    address = f"/api/v1/devices/{device.pk}/artefacts/?name={name}"
    return client.generic("POST", address, body, content_type=media_type)


def test_the_api_takes_artefacts(configure: Callable[..., None]) -> None:
    device = DeviceFactory.create()
    big = b"\x00" * (3 * 1024 * 1024)  # more than Django keeps of a form
    answer = upload(device, "box.ucs", big, "application/x-gzip", ADD)
    assert answer.status_code == 201
    row = answer.json()
    assert (row["name"], row["media_type"], row["size_bytes"]) == (
        *("box.ucs", "application/x-gzip"),
        len(big),
    )
    assert upload(device, "box.ucs", big, "application/x-gzip", ADD).status_code == 200
    answer = post(f"archives/{row['id']}/raw/", {"reason": "x"}, READ)
    assert answer.content == big
    assert answer["Content-Type"] == "application/x-gzip"
    assert 'filename="box.ucs"' in answer["Content-Disposition"]

    assert upload(device, "box.ucs", b"x", "a/b", READ, VIEW).status_code == 403
    assert upload(device, "..%2Fx", b"x", "a/b", ADD).status_code == 400
    assert upload(device, "box.ucs", b"", "a/b", ADD).status_code == 400
    configure(max_artefact_bytes=1024)
    assert upload(device, "box.ucs", b"x" * 1025, "a/b", ADD).status_code == 400
    assert Archive.objects.count() == 1
    for media_type in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
        answer = upload(device, "form.bin", b"a=b&c=d", media_type, ADD)
        assert answer.status_code in {200, 201}
    assert artefact_get(device=device, name="form.bin").size_bytes == 7


# --- Command --------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("artefact", *arguments, stdout=out)
    return out.getvalue()


class BytesOut(io.TextIOWrapper):
    """Standard output whose bytes a test can see."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())


def test_the_command_adds_lists_and_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DeviceFactory.create(hostname="core-1")
    file = tmp_path / "flash.tgz"
    file.write_bytes(BINARY)
    assert run("add", "core-1", str(file)) == "core-1: flash.tgz: stored\n"
    assert "stored already" in run("add", "core-1", str(file))
    row = json.loads(
        run("add", "core-1", str(file), "--name", "n", "--media-type", "a/b", "--json")
    )
    assert (row["name"], row["media_type"], row["stored"]) == ("n", "a/b", True)
    assert run("list", "core-1").startswith(f"flash.tgz  {len(BINARY)} bytes  ")
    listed = json.loads(run("list", "core-1", "--json"))["artefacts"]
    assert [entry["name"] for entry in listed] == ["flash.tgz", "n"]

    output = tmp_path / "out.bin"
    output.write_bytes(b"old")
    run("get", "core-1", "n", "--reason", "replace it", "--output", str(output))
    assert output.read_bytes() == BINARY
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".netraven-*")) == []
    printed = BytesOut()
    monkeypatch.setattr(sys, "stdout", printed)
    run("get", "core-1", "flash.tgz", "--reason", "replace it")
    assert printed.buffer.getvalue() == BINARY  # type: ignore[attr-defined]  # a BytesIO
    readings = ArchiveReading.objects.values_list("reason", "address")
    assert list(readings) == [("replace it", None)] * 2
    assert ArchiveReading.objects.latest("pk").reader.startswith("command line (")


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    DeviceFactory.create(hostname="core-1")
    file = tmp_path / "a b"
    file.write_bytes(b"x")
    for arguments, words in [
        (("add", "core-1", str(file)), "1 to 100 letters"),
        (("add", "core-1", str(tmp_path / "none")), "No such file"),
        (("add", "core-1", str(tmp_path)), "Is a directory"),
        (("add", "nobody", str(file)), "nobody"),
        (("get", "core-1", "n", "--reason", "x"), "no artefact 'n'; it has none"),
    ]:
        with pytest.raises(CommandError, match=words) as caught:
            run(*arguments)
        assert "\n" not in str(caught.value)
    run("add", "core-1", str(file), "--name", "n")
    for output in ("/proc/none/x", str(tmp_path)):
        with pytest.raises(CommandError):
            run("get", "core-1", "n", "--reason", "x", "--output", output)
    with pytest.raises(CommandError, match="needs a reason"):
        run("get", "core-1", "n", "--reason", " ")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a b", "static"}
