"""What changed in the fleet: equal changes of a run are one entry."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import Snapshot
from backups.selectors.changes import (
    DEVICES_SHOWN,
    ChangeKind,
    ChangeQuery,
    change_groups,
    change_snapshots,
    fleet_changes,
)
from backups.services.store import RunLabel, backup_store
from tests.factories import DeviceFactory, backup_outcome, user_with
from tests.support.history import store_texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory", "web")]

FIRST, SECOND = RunLabel(run_id=1, job_name="nightly"), RunLabel(run_id=2, job_name="nightly")


@pytest.fixture
def fleet(git_directory: Path) -> list[str]:
    """Three devices that get the same line, one that gets another one as well, one untouched."""
    names = ["a1", "b2", "c3", "d4", "e5"]
    for name in names:
        device = DeviceFactory.create(hostname=name, tags=["core"] if name < "c" else ["edge"])
        text = f"hostname {name}\nntp server 192.0.2.1\nend\n"
        store_texts(device, [text], FIRST)
        if name == "e5":
            continue
        text = text.replace("192.0.2.1", "192.0.2.2")
        if name == "d4":
            text = text.replace("end", "snmp-server location here\nend")
        store_texts(device, [text], SECOND)
    return names


def changes(**filters: Any) -> list[tuple[int, list[str]]]:
    query = ChangeQuery(**filters)
    found = fleet_changes(query=query, groups=list(change_groups(query=query)))
    return [
        (one.group["device_count"], [s.device.hostname for s in one.snapshots]) for one in found
    ]


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("changes", *arguments, stdout=output)
    return output.getvalue()


def devices_in(printed: str) -> list[str]:
    """The lines that name devices: under each change's first line, before its diff."""
    return re.findall(r"^ {2}(\S.*)$", printed, re.MULTILINE)


@pytest.mark.usefixtures("fleet")
def test_equal_changes_are_one_entry() -> None:
    assert changes() == [(1, ["d4"]), (3, ["a1", "b2", "c3"])]
    query = ChangeQuery(min_devices=2)
    (change,) = fleet_changes(query=query, groups=list(change_groups(query=query)))
    assert (change.group["run_id"], change.group["job_name"]) == (2, "nightly")
    assert (change.group["added"], change.group["removed"]) == (1, 1)
    assert "-ntp server 192.0.2.1\n+ntp server 192.0.2.2\n" in change.diff
    assert change.sample.device.hostname == "c3"


@pytest.mark.usefixtures("fleet")
def test_first_revisions_stand_apart() -> None:
    assert changes(kind=ChangeKind.FIRST) == [(5, ["a1", "b2", "c3", "d4", "e5"])]
    Snapshot.objects.filter(run_id=2).update(change_digest="")
    assert changes(kind=ChangeKind.FIRST, run_id=2) == []
    device = DeviceFactory.create()
    backup_store(device=device, outcome=backup_outcome("new\n"), label=SECOND)
    assert changes(kind=ChangeKind.FIRST, run_id=2) == []


@pytest.mark.usefixtures("fleet")
def test_filters() -> None:
    assert changes(run_id=1) == []
    assert changes(tag="CORE") == [(2, ["a1", "b2"])]
    assert changes(hostname="D4") == [(1, ["d4"])]
    assert changes(device_id=Snapshot.objects.get(device__hostname="b2", run_id=2).device_id) == [
        (1, ["b2"])
    ]
    Snapshot.objects.filter(device__hostname__in=["a1", "d4"]).update(changed_by="jane")
    assert changes(author="jane") == [(1, ["d4"]), (1, ["a1"])]
    cut = Snapshot.objects.get(device__hostname="d4", run_id=2).collected_at
    assert changes(since=cut) == [(1, ["d4"])]
    assert changes(until=cut) == [(3, ["a1", "b2", "c3"])]


def test_the_same_change_in_two_runs_is_two_entries() -> None:
    device = DeviceFactory.create(hostname="a1")
    for number, text in enumerate(["x\n", "x\ny\n", "x\n", "x\ny\n"], start=1):
        store_texts(device, [text], RunLabel(run_id=number, job_name="nightly"))
    assert changes() == [(1, ["a1"])] * 3
    digests = Snapshot.objects.order_by("id").values_list("change_digest", flat=True)
    assert digests[1] == digests[3] != digests[2]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("run_id", [1, 2])
def test_what_is_lost_is_listed_without_its_diff(run_id: int) -> None:
    Snapshot.objects.filter(run_id=run_id).update(state="LOST")
    query = ChangeQuery()
    found = fleet_changes(query=query, groups=list(change_groups(query=query)))
    assert [change.diff for change in found] == ["", ""]


def test_the_queries_do_not_grow() -> None:
    device = DeviceFactory.create()
    store_texts(device, ["a\n", "b\n"])
    sample = Snapshot.objects.get(change_digest__gt="")
    counts = []
    for size in (3, 200):
        copies = []
        for number in range(size):
            other = DeviceFactory.create() if number % 20 == 0 else device
            copies.append(copy_of(sample, device_id=other.pk, change_digest=f"{number % 50:064}"))
        Snapshot.objects.bulk_create(copies)
        with CaptureQueriesContext(connection) as queries:
            query = ChangeQuery(run_id=1)
            found = fleet_changes(query=query, groups=list(change_groups(query=query)))
        assert all(len(change.snapshots) <= DEVICES_SHOWN for change in found)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 6


def copy_of(snapshot: Snapshot, **values: Any) -> Snapshot:
    copy = Snapshot.objects.get(pk=snapshot.pk)
    copy.pk = None
    for name, value in values.items():
        setattr(copy, name, value)
    return copy


def test_many_devices_are_counted_and_some_are_named() -> None:
    for number in range(DEVICES_SHOWN + 3):
        device = DeviceFactory.create(hostname=f"sw{number:02}")
        store_texts(device, ["a\n", "b\n"], SECOND)
    assert changes() == [(13, [f"sw{number:02}" for number in range(DEVICES_SHOWN)])]
    digest = Snapshot.objects.exclude(change_digest="")[0].change_digest
    everyone = change_snapshots(query=ChangeQuery(run_id=2), change_digest=digest)
    assert [s.device.hostname for s in everyone] == [f"sw{number:02}" for number in range(13)]
    assert "sw09 and 3 more\n" in run("--run", "2")


def test_a_long_diff_is_cut() -> None:
    device = DeviceFactory.create()
    store_texts(device, ["a\n", "".join(f"line {n}\n" for n in range(500))])
    query = ChangeQuery()
    (change,) = fleet_changes(query=query, groups=list(change_groups(query=query)))
    assert (len(change.diff.splitlines()), change.is_diff_cut) == (200, True)
    assert "… and more" in run()
    (bare,) = fleet_changes(query=query, groups=list(change_groups(query=query)), with_diff=False)
    assert (bare.diff, bare.is_diff_cut) == ("", False)


# --- Command ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_the_command_prints_changes() -> None:
    printed = run("--run", "2")
    assert "run 2 nightly  3 devices  +1 -1\n  a1, b2, c3\n" in printed
    assert "    +ntp server 192.0.2.2\n" in printed
    assert "first revisions" not in printed
    assert "run 1 nightly  5 devices  first revisions\n  a1, b2, c3, d4, e5\n" in run(
        "--since", "1h"
    )
    assert devices_in(run("--run", "2")) == ["d4", "a1, b2, c3"]
    assert devices_in(run("--run", "2", "--min-devices", "2")) == ["a1, b2, c3"]
    assert devices_in(run("--run", "2", "--limit", "9" * 30)) == ["d4", "a1, b2, c3"]
    printed = json.loads(run("--json", "--tag", "core"))
    assert [entry["device_count"] for entry in printed["changes"]] == [2]
    assert [entry["devices"] for entry in printed["first_revisions"]] == [["a1", "b2"]]


def test_the_command_looks_back_a_day() -> None:
    assert run() == "Nothing changed.\n"
    device = DeviceFactory.create(hostname="old")
    store_texts(device, ["a\n", "b\n"])
    Snapshot.objects.update(collected_at=timezone.now() - timedelta(hours=30))
    assert run() == "Nothing changed.\n"
    assert "old" in run("--since", "2d")
    assert "old" in run("--run", "1")
    assert "old" in run("--since", (timezone.now() - timedelta(days=3)).isoformat())
    assert "old" in run("--since", "2020-01-01 00:00")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "soon"], "'soon' is no time"),
        (["--since", "2026-13-01T00:00"], "is no time"),
        (["--limit", "0"], "take 1 or more"),
        (["--min-devices", "0"], "take 1 or more"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)


# --- API ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
def test_the_api(client: Client) -> None:
    client.force_login(user_with("backups.view_snapshot"))

    def get(path: str, status: int = 200) -> Any:
        answer = client.get(f"/api/v1/changes/{path}")
        assert answer.status_code == status, answer.content
        return answer.json()

    page = get("")
    assert (page["count"], [entry["device_count"] for entry in page["results"]]) == (2, [1, 3])
    entry = page["results"][1]
    assert (entry["kind"], entry["run_id"], entry["job_name"]) == ("change", 2, "nightly")
    assert [device["hostname"] for device in entry["devices"]] == ["a1", "b2", "c3"]
    assert "+ntp server 192.0.2.2\n" in entry["diff"] and entry["is_diff_cut"] is False
    assert get("?diff=false")["results"][1]["diff"] == ""
    assert get("?size=1&page=2")["results"][0]["device_count"] == 3
    assert get("?kind=first")["results"][0]["device_count"] == 5
    assert get("?tag=edge&min_devices=2")["count"] == 0

    devices = get(f"devices/?run=2&digest={entry['change_digest']}&size=2")
    assert (devices["count"], [row["hostname"] for row in devices["results"]]) == (3, ["a1", "b2"])
    assert get("devices/?run=2&digest=none")["count"] == 0
    assert set(get("devices/", 400)["error"]["fields"]) == {"digest"}
    wrong = get("?kind=x&run=0&since=soon&device=x&min_devices=0", 400)
    fields = {"kind", "run", "since", "device", "min_devices"}
    assert set(wrong["error"]["fields"]) == fields

    Snapshot.objects.update(collected_at=timezone.now() - timedelta(days=8))
    assert get("")["count"] == 0
    assert get("?run=2")["count"] == get("?since=2020-01-01T00:00:00Z")["count"] == 2
