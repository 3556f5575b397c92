"""Searching configurations on a page, and as a file for spreadsheets."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from backups.pages import search
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, ZoneFactory, user_in
from tests.support.pages import limited_to
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

HOSTILE = 'ntp <script>alert(1)</script> "><img src=x onerror=alert(1)> \x1b[31m'


@pytest.fixture
def viewer(client: Client) -> User:
    user = user_in(Role.VIEWER)
    client.force_login(user)
    return user


@pytest.fixture
def fleet() -> list[Device]:
    zone = ZoneFactory.create(name="dmz")
    devices = [
        DeviceFactory.create(hostname="core1", tags=["berlin"]),
        DeviceFactory.create(hostname="core2", tags=["paris"], zone=zone),
        DeviceFactory.create(hostname="edge1", tags=["paris"], platform="arista_eos"),
    ]
    texts = ["a\nntp server 1\nz\n", "a\nNTP server 2\nntp peer 3\n", "nothing\n"]
    for device, text in zip(devices, texts, strict=True):
        store(device, text)
    return devices


def found(client: Client, **query: object) -> list[tuple[str, list[int]]]:
    """Hostnames and numbers of lines that the page shows."""
    answer = client.get(f"/search/?{urlencode(query)}")
    assert answer.status_code == 200
    return [
        (device["hostname"], [match["line"] for match in device["matches"]])
        for device in answer.context["devices"]
    ]


def exported(client: Client, **query: object) -> list[list[str]]:
    answer = client.get(f"/search/export/?{urlencode(query)}")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == 'attachment; filename="search.csv"'
    text = b"".join(answer).decode()
    return list(csv.reader(text.splitlines()))


@pytest.mark.usefixtures("viewer", "fleet")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "^ntp"}, [("core1", [2]), ("core2", [3])]),
        ({"q": "^ntp", "ignore_case": "on"}, [("core1", [2]), ("core2", [2, 3])]),
        ({"q": "^ntp", "missing": "on"}, [("edge1", [])]),
        ({"q": "^ntp", "fixed": "on"}, []),
        ({"q": "^ntp", "tag": "paris"}, [("core2", [3])]),
        ({"q": ".", "platform": "arista_eos"}, [("edge1", [1])]),
        ({"q": "ntp", "zone": "dmz"}, [("core2", [3])]),
        ({"q": "ntp", "hostname": "RE1"}, [("core1", [2])]),
        ({"q": " ", "fixed": "on", "hostname": "core1"}, [("core1", [2])]),
    ],
)
def test_what_is_found(
    client: Client, query: dict[str, str], expected: list[tuple[str, list[int]]]
) -> None:
    assert found(client, **query) == expected
    rows = exported(client, **query)[1:]
    assert list(dict.fromkeys(row[0] for row in rows)) == [name for name, _ in expected]
    assert [row[1] for row in rows if row[1]] == [str(n) for _, lines in expected for n in lines]


@pytest.mark.usefixtures("viewer")
def test_lines_are_linked_marked_and_have_neighbours(client: Client, fleet: list[Device]) -> None:
    text = client.get("/search/?q=server&context=1&hostname=core1").content.decode()
    address = re.search(r'href="(/devices/\d+/config/[^"]*#L2)"', text)
    assert address is not None and f"/devices/{fleet[0].pk}/" in address[1]
    shown = client.get(address[1].replace("&amp;", "&")).content.decode()
    assert 'id="L2"' in shown and "<code>ntp server 1</code>" in shown
    assert "ntp <mark>server</mark> 1" in text
    assert "<code>a</code>" in text and "<code>z</code>" in text and 'data-n="3"' in text


@pytest.mark.usefixtures("viewer")
@pytest.mark.parametrize("query", ["ntp", "script", "<", ".", "$", "^", "(a|b)*", "x*"])
def test_nothing_that_a_device_says_becomes_part_of_the_page(client: Client, query: str) -> None:
    store(DeviceFactory.create(), f"{HOSTILE}\n")
    text = client.get(f"/search/?{urlencode({'q': query, 'context': 2})}").content.decode()
    code = text.partition('class="nr-code"')[2].partition("</section>")[0]
    assert code
    tags = set(re.findall(r"<([a-zA-Z]+)", code))
    assert tags <= {"div", "a", "code", "mark", "span"}, tags
    assert "\x1b" not in code


@pytest.mark.usefixtures("viewer", "fleet")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"q": "("}, "is no regular expression"),
        ({"q": "(?=x)"}, "lookahead and lookbehind are not supported"),
        ({"q": "(a{1000}){1000}"}, "too large"),
        ({"q": "<script>("}, "&lt;script&gt;("),
        ({"q": "x" * 1001}, "at most 1000 characters"),
        ({"q": "a\nb"}, "NUL or a line end"),
        ({"q": "ntp", "context": "99"}, "less than or equal to 10"),
        ({"q": "ntp", "tag": "nowhere"}, "Select a valid choice"),
        ({"q": "ntp", "platform": "<b>"}, "&lt;b&gt; is not one of"),
    ],
)
def test_what_cannot_be_searched_for_is_said(
    client: Client, query: dict[str, str], said: str
) -> None:
    answer = client.get(f"/search/?{urlencode(query)}")
    text = answer.content.decode()
    assert answer.status_code == 200 and said in text and "<script>(" not in text
    export = client.get(f"/search/export/?{urlencode(query)}")
    assert export.status_code == 400 and b"\n" not in export.content.strip()


def test_a_page_after_what_no_hostname_can_be(client: Client) -> None:
    client.force_login(user_in(Role.VIEWER))
    assert client.get("/search/?q=x&page=2&after=%00").status_code == 200


@pytest.mark.usefixtures("viewer", "fleet")
def test_pages_go_on_after_the_last_device(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_DEVICES_SHOWN", 1)
    answer = client.get("/search/?q=.&context=0")
    assert [one["hostname"] for one in answer.context["devices"]] == ["core1"]
    following = re.search(r'rel="next" href="([^"]*)"', answer.content.decode())
    assert following is not None and "after=core1" in following[1]
    assert found(client, q=".", page=2, after="core1") == [("core2", [1, 2, 3])]
    assert found(client, q=".", page=3) == [("edge1", [1])]
    for page in ("x", "0", "-1"):
        assert found(client, q=".", page=page) == [("core1", [1, 2, 3])]
    assert found(client, q=".", page="99999999") == []


@pytest.mark.usefixtures("viewer")
def test_many_lines_of_one_device_are_cut_but_in_the_export(client: Client) -> None:
    store(DeviceFactory.create(hostname="big"), "x\n" * 250)
    assert found(client, q="x") == [("big", list(range(1, 21)))]
    assert b"hostname=big" in client.get("/search/?q=x").content
    assert len(found(client, q="x", hostname="big")[0][1]) == 100
    assert len(exported(client, q="x")) == 251


@pytest.mark.usefixtures("viewer", "fleet")
def test_a_search_without_end_says_how_far_it_came(
    client: Client, configure: Callable[..., None]
) -> None:
    configure(search_seconds=-1.0)
    assert b"Not complete: the search was stopped" in client.get("/search/?q=ntp").content
    assert exported(client, q="ntp")[-1][2].startswith("Not complete: the search was stopped")


@pytest.mark.usefixtures("viewer")
def test_a_spreadsheet_runs_nothing_of_it(client: Client) -> None:
    store(DeviceFactory.create(hostname="sw"), '=cmd|"/c calc"!A1\n+1\n@x\n-1\n')
    assert [row[2][0] for row in exported(client, q=".")[1:]] == ["'"] * 4


@pytest.mark.usefixtures("viewer")
def test_without_a_question_it_says_how_to_ask(client: Client) -> None:
    assert b"What to search for" in client.get("/search/").content
    assert b"No device has such a line" in client.get("/search/?q=x").content
    assert b"Every device has such a line" in client.get("/search/?q=x&missing=on").content


@pytest.mark.usefixtures("fleet")
def test_rights_and_limits(client: Client) -> None:
    for address in ("/search/?q=.", "/search/export/?q=."):
        assert client.get(address).status_code == 302
    client.force_login(UserFactory.create(is_staff=True))
    for address in ("/search/?q=.", "/search/export/?q=."):
        assert client.get(address).status_code == 403
    client.force_login(limited_to(user_in(Role.VIEWER), "berlin"))
    assert [name for name, _ in found(client, q=".")] == ["core1"]
    assert {row[0] for row in exported(client, q=".")[1:]} == {"core1"}
    assert b"paris" not in client.get("/search/").content
    assert b"Select a valid choice" in client.get("/search/?q=.&tag=paris").content
