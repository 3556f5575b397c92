"""Differences: side by side and unified, of one device and of two, however long they are."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.models import Snapshot
from backups.pages import diff
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, user_in
from tests.support.history import copy_rows, store_texts
from tests.support.pages import limited_to
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

OLD = "hostname core1\nntp server 192.0.2.1\nend\n"
NEW = "hostname core1\nntp server 192.0.2.2 prefer\nend\n"


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create(hostname="core1")


@pytest.fixture
def viewer(client: Client) -> User:
    user = user_in(Role.VIEWER)
    client.force_login(user)
    return user


@pytest.fixture
def page(client: Client, viewer: User, device: Device) -> Any:
    def ask(query: str = "", status: int = 200) -> str:
        answer = client.get(f"/devices/{device.pk}/diff/?{query}")
        assert answer.status_code == status, answer.content
        return answer.content.decode()

    return ask


def table(text: str) -> str:
    return text.partition("<table")[2].partition("</table>")[0]


def cells(text: str) -> list[list[str]]:
    """The rows of the table without their tags."""
    rows = re.findall(r"<tr.*?</tr>", table(text), re.DOTALL)
    return [
        [re.sub(r"<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        for row in rows
    ]


@pytest.mark.parametrize("name", ["other", "from", "to"])
def test_what_no_name_can_be_is_not_there(page: Any, device: Device, name: str) -> None:
    store_texts(device, [OLD, NEW])
    page(f"{name}=%00", 404)


def test_the_newest_change_side_by_side(page: Any, device: Device) -> None:
    store_texts(device, [OLD, NEW])
    text = page()
    assert cells(text) == [
        ["1", "hostname core1", "1", "hostname core1"],
        ["2", "ntp server 192.0.2.1", "2", "ntp server 192.0.2.2 prefer"],
        ["3", "end", "3", "end"],
    ]
    assert "<mark>2 prefer</mark>" in text and "192.0.2.<mark>1</mark>" in text
    assert "1 added, 1 removed" in text


def test_unified_has_the_old_lines_before_the_new(page: Any, device: Device) -> None:
    old = "a\nntp server 192.0.2.1\nntp server 192.0.2.3\nz\n"
    store_texts(device, [old, old.replace("192.0.2.", "198.51.100.") + "tail\n"])
    text = page("view=unified")
    assert [row[-1] for row in cells(text)] == [
        "a",
        "ntp server 192.0.2.1",
        "ntp server 192.0.2.3",
        "ntp server 198.51.100.1",
        "ntp server 198.51.100.3",
        "z",
        "tail",
    ]
    assert cells(text)[1][:2] == ["2", ""] and cells(text)[3][:2] == ["", "2"]
    assert text.count('class="nr-change"') == 2


def test_any_two_revisions_and_what_is_near(page: Any, device: Device) -> None:
    one, two, three, four = store_texts(device, ["a 1\n", "a 2\n", "a 3\n", "a 4\n"])
    text = page(f"from={two.revision}&to={three.commit[:12]}")
    assert cells(text) == [["1", "a 2", "1", "a 3"]]
    assert f"from=id%3A{one.pk}&amp;to=id%3A{two.pk}" in text
    assert f"from=id%3A{three.pk}&amp;to=id%3A{four.pk}" in text
    assert f"from=id%3A{three.pk}&amp;to=id%3A{two.pk}" in text  # swapped
    assert text.count("<option") >= 8
    assert f'value="id:{two.pk}" selected' in text


def test_two_ticked_revisions_are_put_in_order(
    client: Client, viewer: User, device: Device
) -> None:
    one, two = store_texts(device, ["a\n", "b\n"])
    address = f"/devices/{device.pk}/diff/"
    for first, second in ((one, two), (two, one)):
        answer = client.get(f"{address}?revision={first.revision}&revision={second.revision}")
        assert parse_qs(urlsplit(answer["Location"]).query) == {
            "from": [one.revision],
            "to": [two.revision],
        }
    answer = client.get(f"{address}?revision={one.revision}")
    assert answer.status_code == 400 and b"tick two revisions" in answer.content
    assert client.get(f"{address}?revision=id:0&revision=id:0").status_code == 404


@pytest.mark.parametrize(
    "query", ["from=id:0", "to=zz", "to=id:%3Cscript%3E", "other=%3Cscript%3E"]
)
def test_what_is_not_there_is_said(page: Any, device: Device, query: str) -> None:
    store_texts(device, [OLD, NEW])
    assert "<script>" not in page(query, 404).partition("nr-note-bad")[2]


def test_a_first_revision_changes_nothing(page: Any, device: Device) -> None:
    store(device, OLD)
    assert "there is nothing to compare" in page("", 404)


def test_lines_that_change_by_themselves_are_shown_when_asked_for(
    page: Any, device: Device
) -> None:
    store_texts(device, ["ntp clock-period 1\n", "ntp clock-period 2\n"])
    assert "Nothing differs but, at most, lines that change by themselves" in page()
    assert cells(page("all_lines=1"))[0][1::2] == ["ntp clock-period 1", "ntp clock-period 2"]


@pytest.mark.parametrize("view", ["side", "unified"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x <script>alert(1)</script>", "y <script>alert(2)</script>"),
        ('d "><img src=x onerror=alert(1)>', 'd "><img src=y onerror=alert(1)>'),
        ("d \x1b[2J\r\u202e<b>", "d \x1b[2K\r\u202e<i>"),
        ("snow ☃ e\u0301 <&> one", "snow ☃ e\u0301 <&> two"),
    ],
)
def test_nothing_that_a_device_says_becomes_part_of_the_page(
    page: Any, device: Device, old: str, new: str, view: str
) -> None:
    store_texts(device, [f"{old}\n", f"{new}\n"])
    shown = table(page(f"view={view}"))
    tags = set(re.findall(r"</?([a-zA-Z]+)", shown))
    assert tags <= {"tr", "td", "mark", "caption", "span", "tbody", "colgroup", "col"}, tags
    assert "onerror=alert" not in re.sub(r">[^<]*<", "><", shown)
    assert not {"\x1b", "\r", "\u202e"} & set(shown)


def test_equal_lines_are_folded_and_given_out_in_parts(
    client: Client, page: Any, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff, "FOLD_LINES", 20)
    lines = [f"line {number}\n" for number in range(1, 61)]
    store_texts(device, ["".join(lines), "".join(["first\n", *lines, "last\n"])])
    text = page()
    assert "Show 54 equal lines" in text and "line 30<" not in text
    address = re.search(r'hx-get="(/devices[^"]*)"', text)
    assert address is not None
    hidden = address[1].replace("&amp;", "&")
    part = client.get(hidden, headers={"HX-Request": "true"}).content.decode()
    assert cells(f"<table{part}</table>")[0] == ["4", "line 4", "5", "line 4"]
    assert part.count("<tr") == 21 and "Show 34 equal lines" in part
    answer = client.get(hidden)  # without scripts
    assert answer.status_code == 302 and "context=all" in answer["Location"]
    assert "line 30<" in client.get(answer["Location"]).content.decode()
    wrong = hidden.replace("count=54", "count=x")
    assert client.get(wrong, headers={"HX-Request": "true"}).status_code == 400
    beyond = hidden.replace("new_no=5", "new_no=99999")
    assert client.get(beyond, headers={"HX-Request": "true"}).content == b""


def test_a_rewritten_configuration_comes_in_parts(page: Any, device: Device) -> None:
    old = "".join(f"interface Vlan{number} old\n" for number in range(6_000))
    store_texts(device, [old, old.replace("old", "new")])
    text = page()
    assert len(text) < 1_000_000 and "&amp;page=2" in text
    assert "6000 added, 6000 removed" in text
    last = page("page=4")
    assert "interface Vlan5999 <mark>" in last and "page=5" not in last and "page=3" in last
    assert "Part 1<" in page("page=x&from=&view=nonsense&context=nonsense")


def test_a_line_of_a_megabyte_is_cut(page: Any, device: Device) -> None:
    store_texts(device, ["x" * 1_000_000 + "\n", "y" * 1_000_000 + "\n"])
    assert len(page()) < 200_000


def test_two_devices(client: Client, page: Any, device: Device) -> None:
    other = DeviceFactory.create(hostname="core2")
    store_texts(device, ["one\n"])
    older, _ = store_texts(other, ["two\n", "three\n"])
    assert cells(page("other=CORE2"))[0][1::2] == ["one", "three"]
    assert cells(page(f"other={other.pk}&to={older.revision}"))[0][1::2] == ["one", "two"]
    assert f"/devices/{other.pk}/diff/?other=core1" in page("other=core2")
    assert "there is no device" in page("other=nobody", 404)


def test_the_patch_fits_the_old_text(client: Client, viewer: User, device: Device) -> None:
    store_texts(device, [OLD, NEW])
    answer = client.get(f"/devices/{device.pk}/diff/patch/")
    assert answer["Content-Disposition"].endswith('.patch"')
    assert "-ntp server 192.0.2.1\n+ntp server 192.0.2.2 prefer\n" in answer.content.decode()
    assert client.get(f"/devices/{device.pk}/diff/patch/?from=id:0").status_code == 404


def test_the_queries_do_not_grow_with_the_revisions(
    client: Client, viewer: User, device: Device
) -> None:
    snapshots = store_texts(device, [OLD, NEW])
    counts = []
    for rows in (1, 400):
        copy_rows(snapshots, rows)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/devices/{device.pk}/diff/")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12
    assert answer.content.count(b"<option") < 250


@pytest.mark.parametrize("part", ["", "patch/", "lines/"])
def test_only_who_may_sees_it(client: Client, device: Device, part: str) -> None:
    store_texts(device, [OLD, NEW])
    secret = DeviceFactory.create(hostname="paris1", tags=["paris"])
    store_texts(secret, [OLD, NEW])
    revision = Snapshot.objects.filter(device=secret)[0].revision
    client.force_login(UserFactory.create(is_staff=True))
    assert client.get(f"/devices/{device.pk}/diff/{part}").status_code == 403
    user = limited_to(user_in(Role.VIEWER), "berlin")
    device.tags.add(*user.tag_limit.tags.all())
    client.force_login(user)
    for address in (
        f"{secret.pk}/diff/{part}",
        f"{device.pk}/diff/{part}?other=paris1",
        f"{device.pk}/diff/{part}?to={revision}",
    ):
        assert client.get(f"/devices/{address}").status_code == 404, address
