"""The configuration of a device line by line, and the list of its revisions."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from backups.models import Archive, Snapshot
from backups.pages import configuration
from inventory.models import Device
from netraven_site.accounts.roles import Role
from tests.factories import DeviceFactory, UserFactory, user_in
from tests.support.history import copy_rows, store_texts
from tests.support.pages import limited_to
from tests.support.stored import store

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web", "git_directory")]

HOSTILE = [
    "banner motd <script>alert(1)</script>",
    'description "><img src=x onerror=alert(1)>',
    "description '\"</code></div></main><script src=//evil.example/x.js></script>",
    "description {{ 7|add:7 }} {% url 'x' %}",
    "name \x1b[31mred\x07 \u202ekcab\u202c zero\u200bwidth",
    "carriage\rreturn",
    "interface Vlan<redacted:1f0c9a77>",
]


@pytest.fixture
def device() -> Device:
    return DeviceFactory.create(hostname="core1")


@pytest.fixture
def viewer(client: Client) -> User:
    user = user_in(Role.VIEWER)
    client.force_login(user)
    return user


def shown(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content
    return answer.content.decode()


# --- Configuration ------------------------------------------------------------------------------


def test_lines_have_numbers_anchors_and_colours(
    client: Client, viewer: User, device: Device
) -> None:
    store(device, "hostname core1\ninterface Vlan1\n ip address 192.0.2.1 255.255.255.0\n! end\n")
    text = shown(client, f"/devices/{device.pk}/config/")
    assert 'id="L3"><a href="#L3"' in text
    assert '<span class="nr-c-heading">interface Vlan1</span>' in text
    assert '<span class="nr-c-address">192.0.2.1</span>' in text
    assert '<span class="nr-c-comment">! end</span>' in text
    assert 'aria-current="page">Configuration' in text


def test_nothing_that_a_device_says_becomes_part_of_the_page(
    client: Client, viewer: User, device: Device
) -> None:
    store(device, "\n".join(HOSTILE) + "\n")
    text = shown(client, f"/devices/{device.pk}/config/")
    code = text.partition('class="nr-code"')[2].partition("</section>")[0]
    for tag in ("<script", "<img", "</main", "\x1b", "\x07", "\u202e", "\u200b", "\r"):
        assert tag not in code
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in code
    assert "{{ 7|add:7 }}" in code
    assert 'title="U+202E"' in code and "␛" in code and "␍" in code
    assert '<span class="nr-c-redacted">&lt;redacted:1f0c9a77&gt;</span>' in code


def test_any_revision_with_its_neighbours(client: Client, viewer: User, device: Device) -> None:
    first, second, third = store_texts(device, ["a 1\n", "a 2\n", "a 3\n"])
    for name in (second.revision, second.commit, second.commit[:12]):
        text = shown(client, f"/devices/{device.pk}/config/?revision={name}")
        assert "<code>a 2</code>" in text and "not the newest" in text
        assert f"?revision=id%3A{first.pk}" in text and f"?revision=id%3A{third.pk}" in text
    assert "<code>a 3</code>" in shown(client, f"/devices/{device.pk}/config/")


@pytest.mark.parametrize(
    "revision", ["zzzz", "id:0", "id:99999999999999999999", "id:<script>", "../../etc", "beef00"]
)
def test_a_wrong_revision_says_what_there_is(
    client: Client, viewer: User, device: Device, revision: str
) -> None:
    store(device, "a\n")
    text = shown(client, f"/devices/{device.pk}/config/?revision={revision}", 404)
    assert f'href="/devices/{device.pk}/history/"' in text
    assert "<script>" not in text.partition("nr-note-bad")[2]
    answer = client.get(f"/devices/{device.pk}/config/download/?revision={revision}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_a_device_without_a_configuration_says_what_to_do(
    client: Client, viewer: User, device: Device
) -> None:
    assert "has no stored configuration yet" in shown(client, f"/devices/{device.pk}/config/", 404)
    assert "Run a job that selects it" in shown(client, f"/devices/{device.pk}/history/")


def test_a_lost_text_and_a_broken_store_are_told(
    client: Client, viewer: User, device: Device
) -> None:
    store(device, "a\n")
    Snapshot.objects.update(state="LOST")
    assert "is not in the Git store" in shown(client, f"/devices/{device.pk}/config/", 404)


def test_a_long_configuration_comes_in_parts(
    client: Client, viewer: User, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "LINES_SHOWN", 50)
    store(device, "".join(f"line {number}\n" for number in range(1, 201)))
    address = f"/devices/{device.pk}/config/"
    assert 'id="L51"' not in shown(client, address)
    text = shown(client, f"{address}?line=57")
    assert "<code>line 57</code>" in text and 'id="L50"' not in text
    assert "Lines 51 to 100 of 200" in text
    assert "?line=101" in text and "?line=1" in text
    for nonsense in ("0", "-1", "x", "9" * 30, "²"):
        assert "<code>line 1</code>" in shown(client, f"{address}?line={nonsense}")
    assert "<code>line 200</code>" in shown(client, f"{address}?line=999999999")


def test_a_line_without_end_is_cut(client: Client, viewer: User, device: Device) -> None:
    store(device, "x" * 1_000_000 + "\n")
    text = shown(client, f"/devices/{device.pk}/config/")
    assert len(text) < 200_000 and "995000 more characters" in text


def test_the_download_is_the_text_and_runs_nowhere(
    client: Client, viewer: User, device: Device
) -> None:
    text = "\n".join(HOSTILE) + "\n"
    store(device, text)
    answer = client.get(f"/devices/{device.pk}/config/download/")
    assert answer.content.decode() == text
    assert answer["Content-Disposition"].startswith('attachment; filename="core1~')
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_raw_copies_are_offered_to_those_who_may_read_them(client: Client, device: Device) -> None:
    store(device, "a\n")
    address, pack = f"/devices/{device.pk}/config/", "Restore pack"
    for roles, is_offered in (
        ((Role.VIEWER,), False),
        ((Role.ADMIN,), False),
        ((Role.VIEWER, Role.RAW_READER), True),
    ):
        client.force_login(user_in(*roles))
        assert (pack in shown(client, address)) is is_offered
    raw = Archive.objects.get()
    assert f"/admin/backups/archive/{raw.pk}/raw" in shown(client, address)
    Archive.objects.all().delete()
    assert "raw copy of this revision is not kept" in shown(client, address)


# --- History ------------------------------------------------------------------------------------


def test_the_history_tells_what_each_revision_changed(
    client: Client, viewer: User, device: Device
) -> None:
    snapshots = store_texts(device, ["a\n", "a\nb\nc\n", "a\nc\n"])
    Snapshot.objects.filter(pk=snapshots[1].pk).update(changed_by="jane<b>")
    page = client.get(f"/devices/{device.pk}/history/")
    rows = [(row.lines_added, row.lines_removed) for row in page.context["snapshots"]]
    assert rows == [(0, 1), (2, 0), (1, 0)]
    assert b"jane&lt;b&gt;" in page.content
    found = client.get(f"/devices/{device.pk}/history/?author=JANE").context["snapshots"]
    assert [row.pk for row in found] == [snapshots[1].pk]
    assert client.get(f"/devices/{device.pk}/history/?run=2").context["snapshots"] == []
    day = snapshots[0].collected_at.date()
    assert len(client.get(f"/devices/{device.pk}/history/?since={day}").context["snapshots"]) == 3
    assert not client.get(f"/devices/{device.pk}/history/?until=2020-01-01").context["snapshots"]
    assert b"Enter a valid date" in client.get(f"/devices/{device.pk}/history/?since=x").content


@pytest.mark.parametrize("page", ["config", "history"])
def test_the_queries_do_not_grow_with_the_revisions(
    client: Client, viewer: User, device: Device, page: str
) -> None:
    snapshots = store_texts(device, ["a\n", "b\n"])
    counts = []
    for rows in (1, 1_000):
        copy_rows(snapshots, rows)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/devices/{device.pk}/{page}/")
        assert answer.status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 12
    assert len(answer.content) < 200_000


# --- Rights -------------------------------------------------------------------------------------

PAGES = ("config", "config/download", "history")


@pytest.mark.parametrize("page", PAGES)
def test_only_who_may_sees_it(client: Client, device: Device, page: str) -> None:
    store(device, "a\n")
    address = f"/devices/{device.pk}/{page}/"
    assert client.get(address).status_code == 302
    client.force_login(UserFactory.create(is_staff=True))
    assert client.get(address).status_code == 403
    for tags, status in (((), 404), (("paris",), 404), (("berlin",), 200)):
        device.tags.set([])
        client.force_login(limited_to(user_in(Role.VIEWER), *tags))
        assert client.get(address).status_code == 404
        device.tags.add(*limited_to(user_in(Role.VIEWER), "berlin").tag_limit.tags.all())
        assert client.get(address).status_code == status


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("pk", ["0", "987654321", "9" * 30])
def test_no_such_device(client: Client, viewer: User, page: str, pk: str) -> None:
    assert client.get(f"/devices/{pk}/{page}/").status_code == 404
