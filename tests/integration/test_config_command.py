"""``config diff`` and ``config history``: two revisions, two devices, every form."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from backups.models import Snapshot
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import DeviceFactory, backup_outcome
from tests.support.history import store_texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]

OLD = "hostname core\nntp clock-period 1\ninterface E1\n mtu 1500\ninterface E2\nend\n"
NEW = "hostname core\nntp clock-period 2\ninterface E2\ninterface E1\n mtu 9000\nend\n"


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create(hostname="core-1")


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("config", *arguments, stdout=output)
    return output.getvalue()


def test_the_last_change(device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    printed = run("diff", "core-1")
    assert printed.startswith(f"--- core-1@{first.commit[:10]}\n+++ core-1@{second.commit[:10]}\n")
    assert "+ mtu 9000\n" in printed and "clock-period" not in printed
    assert "+ntp clock-period 2\n" in run("diff", "core-1", "--all-lines")
    assert " hostname core\n" not in run("diff", "core-1", "--context", "0")


def test_without_order_that_means_nothing(device: Device) -> None:
    store_texts(device, [OLD, NEW])
    assert run("diff", "core-1", "--semantic") == " interface E1\n- mtu 1500\n+ mtu 9000\n"
    printed = json.loads(run("diff", "core-1", "--semantic", "--json"))
    assert printed["diff"] == " interface E1\n- mtu 1500\n+ mtu 9000\n"


def test_rows_of_both_texts(device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    printed = json.loads(run("diff", "core-1", "--side-by-side", "--json", "--context", "0"))
    assert (printed["from"], printed["to_id"]) == (first.commit, second.pk)
    assert {"kind", "old_no", "old_marks"} <= printed["rows"][0].keys()
    assert "diff" not in printed


def test_two_devices(device: Device) -> None:
    (mine, _) = store_texts(device, [OLD, NEW])
    other = DeviceFactory.create(hostname="core-2")
    (theirs,) = store_texts(other, [OLD])
    printed = json.loads(run("diff", "core-1", "--other", "CORE-2", "--json"))
    assert (printed["hostname"], printed["other_hostname"]) == ("core-1", "core-2")
    assert "+ mtu 1500\n" in printed["diff"]
    revisions = [mine.commit, theirs.commit]
    assert run("diff", "core-1", *revisions, "--other", "core-2") == ""


def test_a_revision_that_waits_for_git(device: Device) -> None:
    store_texts(device, [OLD])
    backup_store(device=device, outcome=backup_outcome(NEW), label=RunLabel(run_id=2, job_name="j"))
    pending = Snapshot.objects.get(state="PENDING")
    assert "+++ core-1@pending\n" in run("diff", "core-1")
    assert f"core-1@{Snapshot.objects.order_by('id')[0].commit[:10]}" in run(
        "diff", "core-1", f"id:{pending.pk}", f"id:{Snapshot.objects.order_by('id')[0].pk}"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["core-1"], "has no revision before that one"),
        (["core-1", "--other", "none"], "there is no device 'none'"),
        (["core-1", "--side-by-side"], "add --json"),
        (["core-1", "--context", "-1"], "--context takes 0 or more"),
        (["core-1", "--semantic", "--other", "router"], "compare the plain texts"),
        (["router", "--semantic", "--other", "router"], "no semantic diff for mikrotik_routeros"),
    ],
)
def test_diffs_that_there_are_not(device: Device, arguments: list[str], words: str) -> None:
    store_texts(device, [OLD])
    router = DeviceFactory.create(hostname="router", platform="mikrotik_routeros")
    store_texts(router, ["/ip address\n"])
    with pytest.raises(CommandError, match=words):
        run("diff", *arguments)


def test_history(device: Device) -> None:
    first, second = store_texts(device, [OLD, NEW])
    Snapshot.objects.filter(pk=second.pk).update(changed_by="jane", read_count=4)
    Snapshot.objects.filter(pk=first.pk).update(imported_from="rancid /srv/rancid")
    rows = json.loads(run("history", "core-1", "--json"))["revisions"]
    assert [row["id"] for row in rows] == [second.pk, first.pk]
    assert (rows[0]["changed_by"], rows[0]["read_count"], rows[0]["imported_from"]) == (
        "jane",
        4,
        "",
    )
    assert rows[0]["last_read_at"] is not None
    assert rows[1]["imported_from"] == "rancid /srv/rancid"
    assert len(run("history", "core-1", "--limit", "1").splitlines()) == 1
    assert len(run("history", "core-1", "--limit", "9" * 30).splitlines()) == 2
    with pytest.raises(CommandError, match="--limit takes 1 or more"):
        run("history", "core-1", "--limit", "0")
