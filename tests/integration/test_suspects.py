"""Suspect outputs: kept, shown redacted, overtaken, accepted; with real PostgreSQL and Git."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import git
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups.engine.errors import DeviceError
from backups.engine.findings import FoundAttribution
from backups.models import Archive, ArchiveReading, Snapshot, SnapshotState, Suspect, SuspectState
from backups.selectors.archives import archive_bytes
from backups.selectors.git import git_store
from backups.selectors.snapshots import snapshot_text
from backups.selectors.suspects import SuspectNotFound, suspect_newest
from backups.services.commits import snapshots_commit
from backups.services.sessions import backup_request
from backups.services.store import RunLabel, backup_store
from backups.services.suspects import SuspectNotAccepted, suspect_accept, suspect_text
from credentials.cipher import CipherError
from credentials.services import credential_open
from inventory.models import Device
from inventory.platforms.definition import Fact
from tests.factories import CredentialFactory, DeviceFactory, backup_outcome, user_with
from tests.support.threads import all_at_once

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory", "web")]

LABEL = RunLabel(run_id=7, job_name="nightly")
REASON = "The end of the configuration is missing; the output was cut off."
SECRET = "Zq9-CANARY-community"
RAW = (
    "! Last configuration change at 09:00:00 UTC Mon Jan 1 2024 by jane\r\n"
    f"version 15.2\r\nhostname core\r\nsnmp-server community {SECRET} RO\r\n"
).encode()


def store_suspect(device: Device, raw: bytes = RAW) -> Suspect:
    outcome = backup_outcome(raw=raw, suspicions=(REASON,))
    assert backup_store(device=device, outcome=outcome, label=LABEL) is None
    return Suspect.objects.order_by("-id")[0]


def store_good(device: Device, text: str = "hostname core\nend\n", **fields: Any) -> Snapshot:
    snapshot = backup_store(device=device, outcome=backup_outcome(text, **fields), label=LABEL)
    assert snapshot is not None
    return snapshot


def state_of(suspect: Suspect) -> str:
    return Suspect.objects.values_list("state", flat=True).get(pk=suspect.pk)


# --- Stored and overtaken -----------------------------------------------------------------------


def test_a_suspect_is_kept_with_its_archive() -> None:
    device = DeviceFactory.create()
    suspect = store_suspect(device)
    assert (suspect.state, suspect.reasons, suspect.run_id) == ("OPEN", [REASON], 7)
    assert (suspect.device, suspect.accepted_by, suspect.decided_at) == (device, "", None)
    assert archive_bytes(archive=suspect.archive) == RAW
    assert suspect.archive.snapshot is None
    assert Snapshot.objects.count() == 0


@pytest.mark.parametrize("text", ["hostname core\nend\n", "hostname other\nend\n"])
def test_a_later_good_output_overtakes(text: str) -> None:
    device, other = DeviceFactory.create(), DeviceFactory.create()
    store_good(device)
    mine, foreign = store_suspect(device), store_suspect(other)
    store_good(device, text)
    assert (state_of(mine), state_of(foreign)) == ("OVERTAKEN", "OPEN")
    mine.refresh_from_db()
    assert mine.decided_at is not None
    with pytest.raises(SuspectNotAccepted, match="overtaken by a good one"):
        suspect_accept(suspect=mine, accepted_by="jane")
    assert Snapshot.objects.filter(device=device, job_name="").count() == 0


def test_a_decided_suspect_stays_as_it_is() -> None:
    device = DeviceFactory.create()
    suspect = store_suspect(device)
    suspect_accept(suspect=suspect, accepted_by="jane")
    store_good(device)
    assert state_of(suspect) == "ACCEPTED"


# --- Accepted -----------------------------------------------------------------------------------


def test_accepting_stores_and_commits(git_directory: Path) -> None:
    device = DeviceFactory.create(hostname="core-1")
    older = store_suspect(device)
    suspect, newer = store_suspect(device), store_suspect(device)
    snapshot = suspect_accept(suspect=suspect, accepted_by="jane")
    assert snapshot.state == SnapshotState.COMMITTED
    assert (snapshot.run_id, snapshot.collected_at) == (7, suspect.collected_at)
    assert (snapshot.changed_by, snapshot.changed_at_text[:8]) == ("jane", "09:00:00")
    text = snapshot_text(snapshot=snapshot)
    assert text == suspect_text(suspect=suspect).text
    assert "hostname core\n" in text and SECRET not in text and "Last configuration" not in text

    suspect.refresh_from_db()
    assert (suspect.state, suspect.accepted_by) == ("ACCEPTED", "jane")
    assert suspect.snapshot == snapshot and suspect.decided_at is not None
    assert suspect.archive.snapshot == snapshot
    assert archive_bytes(archive=suspect.archive) == RAW
    assert (state_of(older), state_of(newer)) == ("OVERTAKEN", "OPEN")
    assert ArchiveReading.objects.count() == 0
    history = git.Git(str(git_directory)).log("--format=%an <%ae>|%cn", "-p")
    assert history.startswith("jane <jane@core-1>|NetRaven")
    assert SECRET not in history


def test_what_was_accepted_is_trusted_next_time() -> None:
    device = DeviceFactory.create()
    snapshot = suspect_accept(suspect=store_suspect(device), accepted_by="jane")
    request = backup_request(
        device=device, credential=credential_open(credential=CredentialFactory.create())
    )
    assert request.previous_sha256 == snapshot.content_sha256
    assert request.previous_size == snapshot.size_bytes


def test_accepting_what_is_stored_already_makes_no_revision() -> None:
    device = DeviceFactory.create()
    first = suspect_accept(suspect=store_suspect(device), accepted_by="jane")
    again = store_suspect(device)
    assert suspect_accept(suspect=again, accepted_by="jane") == first
    assert (state_of(again), Snapshot.objects.count()) == ("ACCEPTED", 1)


def test_only_the_first_of_two_acceptances_counts() -> None:
    suspect = store_suspect(DeviceFactory.create())
    suspect_accept(suspect=suspect, accepted_by="jane")
    with pytest.raises(SuspectNotAccepted, match="accepted as it is"):
        suspect_accept(suspect=suspect, accepted_by="joe")
    suspect.refresh_from_db()
    assert suspect.accepted_by == "jane"


@pytest.mark.django_db(transaction=True)
def test_acceptances_at_once_make_one_revision() -> None:
    suspect = store_suspect(DeviceFactory.create())

    def accept() -> bool:
        try:
            suspect_accept(suspect=suspect, accepted_by="jane")
        except SuspectNotAccepted:
            return False
        return True

    assert sum(all_at_once(4, accept)) == 1
    assert Snapshot.objects.count() == 1


def test_an_older_output_is_not_stored_over_a_newer_one() -> None:
    device = DeviceFactory.create()
    suspect = store_suspect(device)
    store_good(device)
    Suspect.objects.update(state=SuspectState.OPEN, decided_at=None)
    with pytest.raises(SuspectNotAccepted, match="collected later is stored already"):
        suspect_accept(suspect=suspect, accepted_by="jane")
    assert (state_of(suspect), Snapshot.objects.count()) == ("OPEN", 1)


@pytest.mark.parametrize("raw", [b"", b"\r\n \r\n"])
def test_nothing_is_not_accepted(raw: bytes) -> None:
    suspect = store_suspect(DeviceFactory.create(), raw)
    with pytest.raises(SuspectNotAccepted, match="printed nothing"):
        suspect_accept(suspect=suspect, accepted_by="jane")
    assert (state_of(suspect), Snapshot.objects.count()) == ("OPEN", 0)


def test_without_redaction_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    suspect = store_suspect(DeviceFactory.create())

    def fail(*arguments: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr("backups.engine.redaction.redactor.key_blocks", fail)
    with pytest.raises(DeviceError, match="Redaction failed") as caught:
        suspect_accept(suspect=suspect, accepted_by="jane")
    assert SECRET not in str(caught.value)
    assert (state_of(suspect), Snapshot.objects.count()) == ("OPEN", 0)


def test_an_archive_that_cannot_be_opened_is_not_accepted() -> None:
    suspect = store_suspect(DeviceFactory.create())
    Archive.objects.update(sealed=b"\x00" * 64)
    with pytest.raises(CipherError):
        suspect_accept(suspect=suspect, accepted_by="jane")
    assert (state_of(suspect), Snapshot.objects.count()) == ("OPEN", 0)


@pytest.mark.django_db(transaction=True)
def test_a_broken_git_store_leaves_the_revision_pending(git_directory: Path) -> None:
    device = DeviceFactory.create()
    git_store()
    hidden = git_directory.with_name("hidden")
    git_directory.rename(hidden)
    snapshot = suspect_accept(suspect=store_suspect(device), accepted_by="jane")
    assert (snapshot.state, snapshot.commit) == ("PENDING", "")
    assert Suspect.objects.get().state == "ACCEPTED"
    hidden.rename(git_directory)
    snapshots_commit(device_id=device.pk)
    snapshot.refresh_from_db()
    assert snapshot.state == "COMMITTED"


def test_an_acceptance_has_a_name() -> None:
    suspect = store_suspect(DeviceFactory.create())
    with pytest.raises(IntegrityError):
        suspect_accept(suspect=suspect, accepted_by="")


# --- Author and facts ---------------------------------------------------------------------------


def test_the_author_is_whom_the_device_names(git_directory: Path) -> None:
    device = DeviceFactory.create(hostname="core-1")
    hostile = FoundAttribution(user="a> <b@c>\n\ncommitter x", time="Mon\x1b[2J")
    for text, found in (("a\n", None), ("b\n", hostile)):
        store_good(device, text, attribution=found)
        snapshots_commit(device_id=device.pk)
    repository = git.Git(str(git_directory))
    assert repository.log("--format=%an <%ae>|%cn <%ce>").splitlines() == [
        "a b@c committer x <a-b-c-committer-x@core-1>|NetRaven <netraven@localhost>",
        "NetRaven <netraven@localhost>|NetRaven <netraven@localhost>",
    ]
    assert repository.fsck("--strict") == ""


def found_out(device: Device) -> tuple[object, ...]:
    device.refresh_from_db()
    return (device.model, device.serial_number, device.os_version, device.has_unsaved_config)


def test_facts_are_written_down_when_they_are_new() -> None:
    device = DeviceFactory.create()
    edited = device.updated_at
    store_good(device, facts={Fact.MODEL: "C9300", Fact.OS_VERSION: "17.3"}, unsaved=True)
    assert found_out(device) == ("C9300", "", "17.3", True)
    first = device.facts_at
    assert first is not None

    with CaptureQueriesContext(connection) as captured:
        store_good(device, facts={Fact.MODEL: "C9300", Fact.OS_VERSION: "17.3"}, unsaved=True)
    assert not [query for query in captured if 'UPDATE "inventory_device"' in query["sql"]]

    store_good(device, facts={Fact.SERIAL_NUMBER: "FOC1"}, unsaved=None)
    assert found_out(device) == ("C9300", "FOC1", "17.3", None)
    assert device.facts_at is not None and device.facts_at > first
    assert device.updated_at == edited, "nobody edited the device"


def test_facts_that_do_not_change_are_confirmed_once_a_day() -> None:
    device = DeviceFactory.create()
    store_good(device, facts={Fact.MODEL: "C9300"})
    yesterday = timezone.now() - timedelta(days=1, seconds=1)
    Device.objects.update(facts_at=yesterday)
    store_good(device, facts={Fact.MODEL: "C9300"})
    device.refresh_from_db()
    assert device.facts_at is not None and device.facts_at > yesterday


def test_unsaved_work_is_no_new_fact() -> None:
    device = DeviceFactory.create()
    store_good(device, facts={Fact.MODEL: "C9300"}, unsaved=False)
    device.refresh_from_db()
    first = device.facts_at
    store_good(device, facts={Fact.MODEL: "C9300"}, unsaved=True)
    assert found_out(device)[3] is True
    assert device.facts_at == first


def test_without_facts_there_is_no_date() -> None:
    device = DeviceFactory.create()
    store_good(device, unsaved=False)
    assert found_out(device) == ("", "", "", False)
    assert device.facts_at is None


def test_a_suspect_output_says_nothing_about_the_device() -> None:
    device = DeviceFactory.create()
    outcome = backup_outcome(suspicions=(REASON,), facts={Fact.MODEL: "X"})
    backup_store(device=device, outcome=outcome, label=LABEL)
    assert found_out(device) == ("", "", "", None)


# --- Command ------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("suspects", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_shows_and_accepts() -> None:
    assert run() == "No output waits for a decision.\n"
    device = DeviceFactory.create(hostname="core-1")
    store_suspect(DeviceFactory.create(hostname="other"))
    store_suspect(device)
    assert REASON in run() and "core-1" in run()
    assert "other" not in run("core-1")
    rows = json.loads(run("--json"))["suspects"]
    assert [row["hostname"] for row in rows] == ["core-1", "other"]
    assert rows[0]["reasons"] == [REASON]

    shown = run("core-1", "--show")
    assert "hostname core\n" in shown and SECRET not in shown
    assert json.loads(run("core-1", "--show", "--json"))["text"] == shown
    printed = run("CORE-1", "--accept")
    snapshot = Snapshot.objects.get(device=device)
    assert printed == f"core-1: accepted, commit {snapshot.commit[:10]}\n"
    assert Suspect.objects.get(device=device).accepted_by.startswith("command line (")
    accepted = json.loads(run("other", "--accept", "--json"))
    assert len(accepted["commit"]) == 40


def test_the_command_refuses_in_one_line() -> None:
    DeviceFactory.create(hostname="core-1")
    store_suspect(DeviceFactory.create(hostname="mute"), b"")
    for arguments, words in [
        (("core-1", "--accept"), "no suspect output that waits"),
        (("core-1", "--show"), "no suspect output that waits"),
        (("nobody",), "nobody"),
        (("--accept",), "need a HOST"),
        (("mute", "--accept"), "printed nothing"),
        (("mute", "--accept", "--show"), "not allowed with"),
    ]:
        with pytest.raises(CommandError, match=words) as caught:
            run(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(SuspectNotFound):
        suspect_newest(device=Device.objects.get(hostname="core-1"))


# --- API ----------------------------------------------------------------------------------------


@pytest.fixture
def call() -> Callable[..., tuple[int, Any]]:
    def ask(method: str, path: str, *permissions: str) -> tuple[int, Any]:
        client = Client()
        client.force_login(user_with(*permissions))
        answer = client.generic(method, f"/api/v1/suspects/{path}")
        assert SECRET not in answer.content.decode()
        return answer.status_code, json.loads(answer.content)

    return ask


VIEW, ACCEPT = "backups.view_suspect", "backups.accept_suspect"


def test_the_api_lists_and_shows(call: Callable[..., tuple[int, Any]]) -> None:
    device = DeviceFactory.create(hostname="core-1")
    suspect = store_suspect(device)
    store_suspect(DeviceFactory.create())
    assert call("GET", "", VIEW)[1]["count"] == 2
    assert call("GET", f"?device={device.pk}&state=OPEN", VIEW)[1]["count"] == 1
    assert call("GET", "?state=ACCEPTED", VIEW)[1]["count"] == 0
    status, row = call("GET", f"{suspect.pk}/", VIEW)
    assert status == 200
    assert (row["hostname"], row["state"], row["reasons"]) == ("core-1", "OPEN", [REASON])
    assert (row["commit"], row["snapshot"]) == ("", None)
    status, shown = call("GET", f"{suspect.pk}/config/", VIEW)
    assert status == 200 and "hostname core\n" in shown["text"]


def test_the_api_accepts(call: Callable[..., tuple[int, Any]]) -> None:
    suspect = store_suspect(DeviceFactory.create())
    status, row = call("POST", f"{suspect.pk}/accept/", VIEW, ACCEPT)
    assert status == 200
    assert (row["state"], len(row["commit"])) == ("ACCEPTED", 40)
    assert row["accepted_by"] == User.objects.latest("pk").username
    status, answer = call("POST", f"{suspect.pk}/accept/", VIEW, ACCEPT)
    assert (status, answer["error"]["code"]) == (409, "conflict")


def test_the_api_asks_for_permissions(call: Callable[..., tuple[int, Any]]) -> None:
    suspect = store_suspect(DeviceFactory.create())
    for path in ("", f"{suspect.pk}/", f"{suspect.pk}/config/"):
        assert call("GET", path, ACCEPT)[0] == 403
    assert call("POST", f"{suspect.pk}/accept/", VIEW)[0] == 403
    assert state_of(suspect) == "OPEN"
    assert call("POST", "", VIEW, ACCEPT)[0] == 403
    assert call("GET", "999999/config/", VIEW)[0] == 404


def test_the_api_says_what_it_cannot_read(call: Callable[..., tuple[int, Any]]) -> None:
    mute = store_suspect(DeviceFactory.create(), b"")
    assert call("GET", f"{mute.pk}/config/", VIEW)[0] == 409
    Archive.objects.update(sealed=b"\x00" * 64)
    for method, path in [("GET", "config"), ("POST", "accept")]:
        status, answer = call(method, f"{mute.pk}/{path}/", VIEW, ACCEPT)
        assert (status, answer["error"]["code"]) == (503, "not_readable")


# --- Admin --------------------------------------------------------------------------------------


def admin_client(*permissions: str) -> Client:
    user = user_with(*permissions)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    return client


def accept_in_admin(client: Client, *suspects: Suspect) -> str:
    answer = client.post(
        reverse("admin:backups_suspect_changelist"),
        {"action": "accept", "_selected_action": [suspect.pk for suspect in suspects]},
        follow=True,
    )
    return answer.content.decode()


def test_the_admin_shows_and_accepts() -> None:
    device = DeviceFactory.create(hostname="core-1")
    suspect, mute = store_suspect(device), store_suspect(DeviceFactory.create(), b"")
    client = admin_client(VIEW, ACCEPT)
    page = client.get(reverse("admin:backups_suspect_change", args=[suspect.pk])).content.decode()
    assert "hostname core" in page and REASON in page and SECRET not in page
    listed = client.get(reverse("admin:backups_suspect_changelist") + "?state__exact=OPEN")
    assert REASON in listed.content.decode()
    shown = accept_in_admin(client, suspect, mute)
    assert "accepted." in shown and "printed nothing" in shown
    assert (state_of(suspect), state_of(mute)) == ("ACCEPTED", "OPEN")


def test_looking_in_the_admin_is_no_right_to_accept() -> None:
    suspect = store_suspect(DeviceFactory.create())
    accept_in_admin(admin_client(VIEW), suspect)
    assert state_of(suspect) == "OPEN"
