"""Fleet changes: grouped, filtered, looked at and acknowledged."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from backups.models import ChangeAcknowledgement, Snapshot
from backups.selectors.git import git_store
from backups.services.acknowledgements import NothingToAcknowledge, change_acknowledge
from backups.services.store import RunLabel
from inventory.visibility import devices_visible_to
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, user_in
from tests.support.history import store_texts
from tests.support.pages import limited_to

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

FIRST, SECOND = RunLabel(run_id=1, job_name="nightly"), RunLabel(run_id=2, job_name="nightly")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def operator(client: Client) -> User:
    user = user_in(Role.OPERATOR)
    client.force_login(user)
    return user


@pytest.fixture
def fleet() -> dict[str, Snapshot]:
    """The newest revisions of four devices: a, b and c got the same line, d another one."""
    found = {}
    for name in "abcd":
        device = DeviceFactory.create(hostname=name, tags=["berlin" if name < "c" else "paris"])
        text = f"hostname {name}\nntp server 192.0.2.1\n"
        store_texts(device, [text], FIRST)
        text += f"banner {HOSTILE}\n" if name == "d" else "ntp server 192.0.2.2\n"
        (found[name],) = store_texts(device, [text], SECOND)
    return found


def entries(client: Client, query: str = "") -> list[list[str]]:
    """The devices of each change that the page shows."""
    answer = client.get(f"/changes/?{query}")
    assert answer.status_code == 200, answer.content
    return [
        [snapshot.device.hostname for snapshot in change["snapshots"]]
        for change in answer.context["changes"]
    ]


def acknowledge(client: Client, *snapshots: Snapshot, **values: str) -> str:
    """What the page says after the change of ``snapshots`` was acknowledged."""
    data = {"change": [one.pk for one in snapshots], "next": "/changes/", **values}
    answer = client.post("/changes/acknowledge/", data, follow=True)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


# --- The list -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet", "operator")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [["d"], ["a", "b", "c"]]),
        ("tag=paris", [["d"], ["c"]]),
        ("hostname=B", [["b"]]),
        ("run=1", []),
        ("run=2&min_devices=2", [["a", "b", "c"]]),
        ("author=jane", [["a"]]),
        ("until=2020-01-01", []),
        ("until=9999-12-31", [["d"], ["a", "b", "c"]]),
        ("since=0001-01-01", [["d"], ["a", "b", "c"]]),
        ("since=2020-01-01", [["d"], ["a", "b", "c"]]),
        ("acknowledged=yes", []),
        ("acknowledged=no&page=99", [["d"], ["a", "b", "c"]]),
    ],
)
def test_filters(client: Client, query: str, expected: list[list[str]]) -> None:
    Snapshot.objects.filter(device__hostname="a").update(changed_by="jane")
    assert entries(client, query) == expected


@pytest.mark.usefixtures("fleet", "operator")
def test_a_day_is_the_whole_day(client: Client) -> None:
    today = timezone.localdate()
    assert len(entries(client, f"since={today}&until={today}")) == 2


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("query", ["since=soon", "run=x", "run=-1", "tag=none", "acknowledged=x"])
def test_a_wrong_filter_is_named(client: Client, query: str) -> None:
    answer = client.get(f"/changes/?{query}")
    assert answer.status_code == 200
    assert b"nr-field-bad" in answer.content and b"Mend the filters" in answer.content


@pytest.mark.usefixtures("operator")
def test_an_empty_list_says_what_to_do(client: Client) -> None:
    assert b"Choose an earlier day" in client.get("/changes/").content
    assert b"Show the last 7 days" in client.get("/changes/?run=7").content


@pytest.mark.usefixtures("operator")
def test_changed_lines_are_shown_and_escaped(client: Client, fleet: dict[str, Snapshot]) -> None:
    text = client.get("/changes/").content.decode()
    assert '<td class="nr-t nr-new">ntp server 192.0.2.2</td>' in text
    assert "banner &lt;script&gt;alert(1)&lt;/script&gt;" in text and HOSTILE not in text
    assert f"/devices/{fleet['a'].device_id}/diff/?to=id%3A{fleet['a'].pk}" in text


@pytest.mark.usefixtures("operator", "fleet")
def test_a_broken_store_leaves_the_list(client: Client) -> None:
    Snapshot.objects.update(blob="0" * 40)
    git_store.cache_clear()
    text = client.get("/changes/").content.decode()
    assert "The texts cannot be read" in text and "3 devices" in text


@pytest.mark.usefixtures("operator")
def test_the_queries_do_not_grow(client: Client) -> None:
    counts = []
    for size in (2, 6):
        for number in range(size):
            device = DeviceFactory.create()
            store_texts(device, ["a\n", f"b {number}\n"], RunLabel(run_id=number + 1, job_name="x"))
        with CaptureQueriesContext(connection) as queries:
            assert len(entries(client)) >= size
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12, [query["sql"][:90] for query in queries]


# --- One change ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("operator")
def test_one_change_has_all_its_devices(client: Client, fleet: dict[str, Snapshot]) -> None:
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"/changes/{fleet['b'].pk}/")
    assert len(queries) <= 12
    assert [one.device.hostname for one in page.context["snapshots"]] == ["a", "b", "c"]
    assert b"Acknowledge on 3 devices" in page.content
    first = Snapshot.objects.get(device__hostname="a", run_id=1)
    for pk in (first.pk, 0, 10**30):
        assert client.get(f"/changes/{pk}/").status_code == 404
    Snapshot.objects.filter(run_id=1).update(state="LOST")
    text = client.get(f"/changes/{fleet['b'].pk}/").content.decode()
    assert "is not in the Git store" in text and "Acknowledge on 3 devices" in text


# --- Acknowledging ------------------------------------------------------------------------------


def test_acknowledging_says_who_when_and_why(
    client: Client, operator: User, fleet: dict[str, Snapshot]
) -> None:
    text = acknowledge(client, fleet["a"], note=f" planned\n{HOSTILE} ", ticket="CHG-1")
    assert "Acknowledged on 3 devices." in text and HOSTILE not in text
    assert f"by {operator.username}" in text and "CHG-1: planned &lt;script&gt;" in text
    history = client.get(f"/devices/{fleet['b'].device_id}/history/").content.decode()
    assert "CHG-1: planned &lt;script&gt;" in history
    assert entries(client, "acknowledged=no") == [["d"]]
    assert entries(client, "acknowledged=yes") == [["a", "b", "c"]]
    kept = ChangeAcknowledgement.objects.get()
    assert (kept.run_id, kept.job_name, kept.device_count) == (2, "nightly", 3)
    entry = LogEntry.objects.get(content_type__model="changeacknowledgement")
    assert entry.actor == operator and "CHG-1" in str(entry.changes)


@pytest.mark.usefixtures("operator")
def test_several_at_once(client: Client, fleet: dict[str, Snapshot]) -> None:
    assert "on 4 devices." in acknowledge(client, fleet["a"], fleet["d"], note="ok")
    assert entries(client, "acknowledged=no") == []
    assert "is acknowledged already" in acknowledge(client, fleet["a"], note="again")
    assert ChangeAcknowledgement.objects.count() == 2


@pytest.mark.usefixtures("operator")
def test_a_later_device_of_the_change_waits(client: Client, fleet: dict[str, Snapshot]) -> None:
    acknowledge(client, fleet["a"], note="ok")
    late = DeviceFactory.create(hostname="late")
    text = "hostname late\nntp server 192.0.2.1\n"
    store_texts(late, [text], FIRST)
    store_texts(late, [f"{text}ntp server 192.0.2.2\n"], SECOND)
    assert entries(client, "acknowledged=no") == [["late"], ["d"]]
    assert b"on 3 of 4 devices" in client.get("/changes/").content


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Give a note or a ticket"),
        ({"note": " \n ", "ticket": ""}, "Give a note or a ticket"),
        ({"note": "x" * 501}, "more than 500 characters"),
        ({"ticket": "x" * 101}, "more than 100 characters"),
        ({"note": "a\x00b"}, "NUL character"),
    ],
)
def test_what_cannot_be_kept_is_said(
    client: Client, fleet: dict[str, Snapshot], values: dict[str, str], said: str
) -> None:
    assert said in acknowledge(client, fleet["a"], **values)
    assert not ChangeAcknowledgement.objects.exists()


@pytest.mark.usefixtures("operator")
def test_strange_posts_change_nothing(client: Client, fleet: dict[str, Snapshot]) -> None:
    assert "Tick the changes" in acknowledge(client, note="ok")
    first = Snapshot.objects.get(device__hostname="a", run_id=1)
    for change in (first.pk, "0", "x", "9" * 5_000, "²"):
        data = {"change": [fleet["d"].pk, change], "note": "ok"}
        assert client.post("/changes/acknowledge/", data).status_code == 404
    assert not ChangeAcknowledgement.objects.exists()
    assert client.get("/changes/acknowledge/").status_code == 405
    away = {"change": fleet["d"].pk, "note": "ok", "next": "//evil.example/"}
    assert client.post("/changes/acknowledge/", away)["Location"] == "/changes/"


def test_a_form_without_its_token_is_refused(operator: User, fleet: dict[str, Snapshot]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)
    data = {"change": fleet["a"].pk, "note": "ok"}
    assert strict.post("/changes/acknowledge/", data).status_code == 403


def test_roles(client: Client, fleet: dict[str, Snapshot]) -> None:
    data = {"change": fleet["a"].pk, "note": "ok"}
    client.force_login(UserFactory.create(is_staff=True))
    for address in ("/changes/", f"/changes/{fleet['a'].pk}/"):
        assert client.get(address).status_code == 403
    client.force_login(user_in(Role.VIEWER))
    for address in ("/changes/", f"/changes/{fleet['a'].pk}/"):
        assert b"/changes/acknowledge/" not in re.sub(
            rb'<form method="post" action="[^"]*">\s*<input[^>]*>\s*<input[^>]*>\s*<article',
            b"",
            client.get(address).content,
        )
    assert client.post("/changes/acknowledge/", data).status_code == 403
    assert not ChangeAcknowledgement.objects.exists()


def test_limits_by_tag(client: Client, fleet: dict[str, Snapshot]) -> None:
    client.force_login(limited_to(user_in(Role.OPERATOR), "berlin"))
    assert entries(client) == [["a", "b"]]
    page = client.get(f"/changes/{fleet['a'].pk}/")
    assert [one.device.hostname for one in page.context["snapshots"]] == ["a", "b"]
    assert client.get(f"/changes/{fleet['c'].pk}/").status_code == 404
    data = {"change": fleet["c"].pk, "note": "ok"}
    assert client.post("/changes/acknowledge/", data).status_code == 404
    assert "Acknowledged on 2 devices." in acknowledge(client, fleet["a"], note="mine")
    client.force_login(user_in(Role.OPERATOR))
    assert entries(client, "acknowledged=no") == [["d"], ["c"]]
    assert client.get("/admin/backups/changeacknowledgement/").status_code == 200


# --- Service and API ----------------------------------------------------------------------------


def test_the_service_refuses_what_changed_nothing(fleet: dict[str, Snapshot]) -> None:
    first = Snapshot.objects.select_related("device").get(device__hostname="a", run_id=1)
    with pytest.raises(NothingToAcknowledge, match="changed nothing"):
        change_acknowledge(snapshot=first, acknowledged_by="jane", note="ok")
    with pytest.raises(ValidationError):
        change_acknowledge(snapshot=fleet["a"], acknowledged_by="jane")
    nobody = devices_visible_to(user=limited_to(UserFactory.create(), "rome"))
    with pytest.raises(NothingToAcknowledge):
        change_acknowledge(snapshot=fleet["a"], acknowledged_by="jane", note="x", scope=nobody)
    with pytest.raises(IntegrityError), transaction.atomic():
        ChangeAcknowledgement.objects.create(
            change_digest="x", device_count=1, acknowledged_by="jane"
        )


def test_the_api(client: Client, fleet: dict[str, Snapshot]) -> None:
    def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        answer = client.generic(
            method, f"/api/v1/changes/{path}", json.dumps(body), content_type="application/json"
        )
        return answer.status_code, json.loads(answer.content)

    client.force_login(user_in(Role.VIEWER))
    assert ask("POST", "acknowledge/", {"snapshot": fleet["a"].pk, "note": "x"})[0] == 403
    operator = limited_to(user_in(Role.OPERATOR), "berlin")
    client.force_login(operator)
    assert ask("POST", "acknowledge/", {"snapshot": fleet["c"].pk, "note": "x"})[0] == 404
    status, answer = ask("POST", "acknowledge/", {"snapshot": fleet["a"].pk})
    assert status == 400 and "note" in answer["error"]["fields"]
    assert ask("POST", "acknowledge/", {"snapshot": "x", "note": "x"})[0] == 400
    status, answer = ask("POST", "acknowledge/", {"snapshot": fleet["a"].pk, "ticket": "CHG-1"})
    assert (status, answer["device_count"], answer["ticket"]) == (201, 2, "CHG-1")
    assert answer["acknowledged_by"] == operator.username
    status, answer = ask("POST", "acknowledge/", {"snapshot": fleet["b"].pk, "note": "x"})
    assert (status, answer["error"]["code"]) == (409, "conflict")

    client.force_login(user_in(Role.VIEWER))
    both = ask("GET", "")[1]["results"]
    assert [(one["device_count"], one["acknowledged_count"]) for one in both] == [(1, 0), (3, 2)]
    (acknowledged,) = ask("GET", "?acknowledged=true")[1]["results"]
    assert (acknowledged["device_count"], acknowledged["acknowledgement"]["ticket"]) == (2, "CHG-1")
    waiting = ask("GET", "?acknowledged=false")[1]["results"]
    assert [one["device_count"] for one in waiting] == [1, 1]
    assert waiting[0]["acknowledgement"] is None


def test_an_acknowledgement_counts_what_the_user_sees(
    client: Client, fleet: dict[str, Snapshot]
) -> None:
    change_acknowledge(snapshot=fleet["a"], acknowledged_by="jane", note="ok")
    client.force_login(limited_to(user_in(Role.VIEWER), "berlin"))
    [seen] = client.get("/api/v1/changes/").json()["results"]
    assert (seen["device_count"], seen["acknowledgement"]["device_count"]) == (2, 2)
    client.force_login(user_in(Role.VIEWER))
    counts = [one["acknowledgement"] for one in client.get("/api/v1/changes/").json()["results"]]
    assert counts[0] is None and counts[1]["device_count"] == 3
