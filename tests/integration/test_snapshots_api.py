"""Stored revisions in the API: lists, texts and differences, from the index and never from logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.engine.git.command import GitCommand
from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import DeviceFactory, ZoneFactory, backup_outcome, user_with
from tests.support.history import copy_rows, store_texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory", "web")]

API = "/api/v1/"
OLD = "hostname core\ninterface E1\n mtu 1500\n!\ninterface E2\n shutdown\nend\n"
NEW = "hostname core\ninterface E1\n mtu 9000\n!\ninterface E2\n shutdown\nend\n"


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(user_with("backups.view_snapshot"))
    return client


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create(hostname="core-1", tags=["core"], zone=ZoneFactory.create(name="z"))


@pytest.fixture
def git_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git processes that were started, by their command."""
    calls: list[str] = []
    execute = GitCommand.execute

    def counted(self: GitCommand, arguments: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(arguments[0])
        return execute(self, arguments, *args, **kwargs)

    monkeypatch.setattr(GitCommand, "execute", counted)
    return calls


def get(client: Client, path: str, status: int = 200) -> Any:
    answer = client.get(API + path)
    assert answer.status_code == status, answer.content
    return answer.json()


def error(client: Client, path: str, status: int) -> str:
    return str(get(client, path, status)["error"]["message"])


# --- Lists --------------------------------------------------------------------------------------


def test_a_revision_says_where_it_comes_from(reader: Client, device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    page = get(reader, "snapshots/")
    assert [row["id"] for row in page["results"]] == [second.pk, first.pk]
    row = get(reader, f"snapshots/{second.pk}/")
    assert row == page["results"][0]
    assert (row["hostname"], row["commit"], row["run_id"]) == ("core-1", second.commit, 1)
    assert (row["lines_added"], row["lines_removed"], row["read_count"]) == (1, 1, 1)
    assert len(row["change_digest"]) == 64
    assert "pending_text" not in row and "text" not in row


def test_filters(reader: Client, device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    other = DeviceFactory.create(hostname="edge-1", platform="arista_eos")
    (third,) = store_texts(other, [OLD], RunLabel(run_id=9, job_name="edges"))
    Snapshot.objects.filter(pk=second.pk).update(changed_by="jane")
    backup_store(
        device=other, outcome=backup_outcome(NEW), label=RunLabel(run_id=10, job_name="edges")
    )
    pending = Snapshot.objects.get(state="PENDING")

    def ids(query: str) -> set[int]:
        return {row["id"] for row in get(reader, f"snapshots/?{query}")["results"]}

    assert ids(f"device={device.pk}") == {first.pk, second.pk}
    assert ids("device__hostname=CORE-1") == ids("hostname=core") == {first.pk, second.pk}
    assert ids("run_id=9") == {third.pk}
    assert ids("job_name=edges") == {third.pk, pending.pk}
    assert ids("changed_by=jane") == {second.pk}
    assert ids("tag=CORE") == ids("zone=z") == ids("platform=cisco_ios") == {first.pk, second.pk}
    assert ids("state=PENDING") == {pending.pk}
    since = second.collected_at.isoformat().replace("+", "%2B")
    assert ids(f"since={since}") == {second.pk, third.pk, pending.pk}
    assert ids(f"until={since}") == {first.pk}
    assert ids(f"commit={third.commit}") == {third.pk}
    oldest = get(reader, "snapshots/?ordering=collected_at")["results"][0]
    assert oldest["id"] == first.pk
    assert "state" in get(reader, "snapshots/?state=GONE", 400)["error"]["fields"]


def test_pages_cost_the_same_for_any_number_of_revisions(
    reader: Client, device: Device, git_calls: list[str]
) -> None:
    snapshots = store_texts(device, [OLD, NEW, OLD, NEW])
    copy_rows(snapshots, 6)
    paths = [
        "snapshots/?size=500",
        f"snapshots/{snapshots[-1].pk}/config/",
        f"devices/{device.pk}/history/?size=500",
        f"devices/{device.pk}/config/?revision=id:{snapshots[0].pk}",
        f"devices/{device.pk}/diff/",
        f"devices/{device.pk}/diff/?mode=side_by_side&from=id:{snapshots[0].pk}",
        "changes/?size=500",
    ]
    costs = []
    for rows in (10, 300):
        copy_rows(snapshots, rows - Snapshot.objects.count())
        for path in paths:
            git_calls.clear()
            with CaptureQueriesContext(connection) as queries:
                get(reader, path)
            costs.append((path, len(queries), list(git_calls)))
    few, many = costs[: len(paths)], costs[len(paths) :]
    assert few == many
    assert all(queries <= 11 and len(calls) <= 1 for _, queries, calls in many), many


# --- Texts --------------------------------------------------------------------------------------


def test_the_text_of_a_revision(reader: Client, device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    assert get(reader, f"snapshots/{first.pk}/config/")["text"] == OLD
    answer = get(reader, f"devices/{device.pk}/config/")
    assert (answer["text"], answer["id"], answer["commit"]) == (NEW, second.pk, second.commit)
    for name in (first.commit[:8], f"id:{first.pk}"):
        assert get(reader, f"devices/{device.pk}/config/?revision={name}")["text"] == OLD


def test_the_text_as_a_file(reader: Client, device: Device) -> None:
    (snapshot,) = store_texts(device, ["hostname ä\n"])
    answer = reader.get(f"{API}snapshots/{snapshot.pk}/download/")
    assert answer.content.decode() == "hostname ä\n"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == (
        f'attachment; filename="{snapshot.path.partition("/")[2]}"'
    )
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_revision_that_is_not_in_git_yet(reader: Client, device: Device) -> None:
    store_texts(device, [OLD])
    backup_store(device=device, outcome=backup_outcome(NEW), label=RunLabel(run_id=2, job_name="j"))
    pending = Snapshot.objects.get(state="PENDING")
    assert get(reader, f"snapshots/{pending.pk}/config/")["text"] == NEW
    diff = get(reader, f"devices/{device.pk}/diff/")["diff"]
    assert diff.startswith("--- core-1@") and "+++ core-1@pending\n" in diff
    assert "- mtu 1500\n+ mtu 9000\n" in diff


def test_what_there_is_not(reader: Client, device: Device) -> None:
    path = f"devices/{device.pk}"
    assert error(reader, f"{path}/config/", 404) == "core-1 has no stored configuration yet"
    (snapshot,) = store_texts(device, [OLD])
    assert "no revision before" in error(reader, f"{path}/diff/", 404)
    assert "at least 4 hex digits" in error(reader, f"{path}/config/?revision=xyz", 404)
    for number in ("999999", "x", "9" * 30, ""):
        assert "has no revision id:" in error(reader, f"{path}/config/?revision=id:{number}", 404)
    other = DeviceFactory.create()
    foreign = f"devices/{other.pk}/config/?revision={snapshot.commit}"
    assert "no revision" in error(reader, foreign, 404)
    for address in ("config", "diff", "history", "noise"):
        get(reader, f"devices/999999/{address}/", 404)
    Snapshot.objects.update(state="LOST")
    assert "is not in the Git store" in error(reader, f"snapshots/{snapshot.pk}/config/", 404)
    Snapshot.objects.update(state="COMMITTED", blob="0" * 40)
    assert "is not in the Git store" in error(reader, f"{path}/config/", 404)


# --- Differences --------------------------------------------------------------------------------


def test_unified(reader: Client, device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    answer = get(reader, f"devices/{device.pk}/diff/?context=0")
    assert (answer["mode"], answer["old"]["id"], answer["new"]["id"]) == (
        "unified",
        first.pk,
        second.pk,
    )
    assert answer["diff"] == (
        f"--- core-1@{first.commit[:10]}\n+++ core-1@{second.commit[:10]}\n"
        "@@ -3 +3 @@\n- mtu 1500\n+ mtu 9000\n"
    )
    back = f"devices/{device.pk}/diff/?from={second.commit}&to={first.commit}"
    assert "- mtu 9000\n+ mtu 1500\n" in get(reader, back)["diff"]


def test_side_by_side(reader: Client, device: Device) -> None:
    store_texts(device, [OLD, NEW])
    answer = get(reader, f"devices/{device.pk}/diff/?mode=side_by_side&context=1")
    kinds = [(row["kind"], row["old_no"], row["count"]) for row in answer["rows"]]
    assert kinds == [
        ("equal", 1, 1),
        ("equal", 2, 1),
        ("changed", 3, 1),
        ("equal", 4, 1),
        ("fold", 5, 3),
    ]
    changed = answer["rows"][2]
    assert (changed["old"], changed["new"]) == (" mtu 1500", " mtu 9000")
    assert (changed["old_marks"], changed["new_marks"]) == ([[5, 9]], [[5, 9]])
    assert answer["is_cut"] is False and "diff" not in answer


def test_semantic(reader: Client, device: Device) -> None:
    reordered = "interface E2\n shutdown\ninterface E1\n mtu 9000\nhostname core\nend\n"
    store_texts(device, [OLD, reordered])
    answer = get(reader, f"devices/{device.pk}/diff/?mode=semantic")
    assert answer["diff"] == " interface E1\n- mtu 1500\n+ mtu 9000\n"
    Device.objects.update(platform="mikrotik_routeros")
    message = error(reader, f"devices/{device.pk}/diff/?mode=semantic", 400)
    assert "no semantic diff for mikrotik_routeros; there is one for: arista_eos" in message


def test_two_devices(reader: Client, device: Device) -> None:
    other = DeviceFactory.create(hostname="core-2", platform="arista_eos")
    (first, _), (second,) = store_texts(device, [OLD, NEW]), store_texts(other, [OLD])
    path = f"devices/{device.pk}/diff/?other_device={other.pk}"
    answer = get(reader, path)
    assert (answer["old"]["hostname"], answer["new"]["hostname"]) == ("core-1", "core-2")
    assert "- mtu 9000\n+ mtu 1500\n" in answer["diff"]
    assert get(reader, f"{path}&from={first.commit}&to={second.commit}")["diff"] == ""
    assert "compare the plain texts" in error(reader, f"{path}&mode=semantic", 400)
    get(reader, f"devices/{device.pk}/diff/?other_device=99999", 404)


def test_lines_that_change_by_themselves_are_no_difference(reader: Client, device: Device) -> None:
    store_texts(device, [f"{OLD}ntp clock-period 17\n", f"{OLD}ntp clock-period 18\n"])
    assert get(reader, f"devices/{device.pk}/diff/")["diff"] == ""
    diff = get(reader, f"devices/{device.pk}/diff/?all_lines=true")["diff"]
    assert "-ntp clock-period 17\n+ntp clock-period 18\n" in diff
    Device.objects.update(platform="unheard_of")
    assert "clock-period" in get(reader, f"devices/{device.pk}/diff/")["diff"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("mode=x", "mode"), ("context=-1", "context"), ("other_device=x", "other_device")],
)
def test_wrong_questions(reader: Client, device: Device, query: str, field: str) -> None:
    answer = get(reader, f"devices/{device.pk}/diff/?{query}", 400)
    assert set(answer["error"]["fields"]) == {field}


# --- Who may ------------------------------------------------------------------------------------


@pytest.fixture
def addresses(device: Device) -> Callable[[], list[str]]:
    def make() -> list[str]:
        snapshot = store_texts(device, [OLD])[0]
        of_device = ("config", "diff", "history", "noise")
        return [
            "snapshots/",
            f"snapshots/{snapshot.pk}/",
            f"snapshots/{snapshot.pk}/config/",
            f"snapshots/{snapshot.pk}/download/",
            *(f"devices/{device.pk}/{name}/" for name in of_device),
            "changes/",
            "changes/devices/?digest=x",
        ]

    return make


def test_seeing_revisions_is_a_right_of_its_own(
    client: Client, addresses: Callable[[], list[str]]
) -> None:
    paths = addresses()
    for path in paths:
        get(client, path, 401)
    client.force_login(user_with("inventory.view_device", "backups.view_suspect"))
    for path in paths:
        assert OLD not in client.get(API + path).content.decode()
        get(client, path, 403)


def test_nothing_is_written(reader: Client, addresses: Callable[[], list[str]]) -> None:
    for path in addresses():
        assert reader.post(API + path, {}).status_code in {403, 405}
        assert reader.delete(API + path).status_code in {403, 405}
