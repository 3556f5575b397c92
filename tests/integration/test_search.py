"""Searching the newest configurations: which devices, in which order, a page at a time."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from backups.engine.search import FoundLine, PatternError
from backups.models import CurrentText
from backups.selectors import search as search_module
from backups.selectors.device_filter import DeviceFilter
from backups.selectors.search import Search, config_search, config_search_page
from backups.services.store import RunLabel, backup_store
from inventory.models import Device
from tests.factories import (
    DeviceFactory,
    UserFactory,
    ZoneFactory,
    backup_outcome,
    user_with,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory")]

API = "/api/v1/search/"


def device_with(text: str, hostname: str, **fields: Any) -> Device:
    """A device with ``text`` as its newest configuration."""
    device = DeviceFactory.create(hostname=hostname, **fields)
    label = RunLabel(run_id=1, job_name="nightly")
    backup_store(device=device, outcome=backup_outcome(text), label=label)
    return device


def names(pattern: str, **options: Any) -> list[str]:
    """Hostnames of what is found; ``options`` are those of Search and DeviceFilter."""
    wanted = {key: options.pop(key) for key in DeviceFilter.__slots__ if key in options}
    search = Search(pattern=pattern, devices=DeviceFilter(**wanted), **options)
    return [found.hostname for found in config_search(search=search)]


@pytest.fixture
def fleet() -> None:
    zone = ZoneFactory.create(name="dmz")
    device_with("hostname core1\nntp server 1\n", "core1", tags=["core", "lab"])
    device_with("hostname core2\nNTP server 2\n", "core2", tags=["core"], zone=zone)
    device_with("hostname edge1\n", "edge1", tags=["lab"], platform="arista_eos")
    device_with("hostname old\nntp server 3\n", "old", is_active=False)
    DeviceFactory.create(hostname="bare")


# --- Which devices ------------------------------------------------------------------------------


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("pattern", "options", "expected"),
    [
        ("^ntp server", {}, ["core1"]),
        ("^ntp server", {"ignore_case": True}, ["core1", "core2"]),
        ("^ntp server", {"missing": True}, ["core2", "edge1"]),
        ("^ntp server", {"literal": True}, []),
        ("NTP Server", {"literal": True, "ignore_case": True}, ["core1", "core2"]),
        ("hostname", {"tags": ("CORE",)}, ["core1", "core2"]),
        ("hostname", {"tags": ("core", "lab")}, ["core1", "core2", "edge1"]),
        ("hostname", {"tags": ("core", "lab"), "all_tags": True}, ["core1"]),
        ("hostname", {"tags": ("none",)}, []),
        ("hostname", {"tags": ("none",), "missing": True}, []),
        ("hostname", {"platform": "arista_eos"}, ["edge1"]),
        ("hostname", {"zone": "dmz"}, ["core2"]),
        ("hostname", {"hostname": "RE1"}, ["core1"]),
    ],
)
def test_devices_are_found(pattern: str, options: dict[str, Any], expected: list[str]) -> None:
    assert names(pattern, **options) == expected


def test_only_the_newest_revision_is_searched() -> None:
    device = device_with("ntp 1\n", "sw1")
    label = RunLabel(run_id=2, job_name="nightly")
    snapshot = backup_store(device=device, outcome=backup_outcome("x\nntp 2\n"), label=label)
    assert snapshot is not None
    assert names("ntp 1") == []
    (found,) = config_search(search=Search(pattern="ntp", context=1))
    assert (found.device_id, found.snapshot_id) == (device.pk, snapshot.pk)
    assert found.collected_at == snapshot.collected_at
    assert found.matches == (FoundLine(line=2, text="ntp 2", before=("x",)),)


@pytest.mark.usefixtures("fleet")
def test_nothing_outside_the_scope_is_found() -> None:
    scope = Device.objects.filter(hostname__in=["core2", "old"])
    search = Search(pattern="hostname")
    assert [found.hostname for found in config_search(search=search, scope=scope)] == ["core2"]
    page = config_search_page(search=search, scope=scope)
    assert [found.hostname for found in page.devices] == ["core2"]
    assert (page.count, page.complete) == (1, True)


def test_what_is_not_indexed_is_said() -> None:
    device_with("ntp 1\n", "sw1")
    device_with("ntp 1\n", "sw2")
    CurrentText.objects.filter(device__hostname="sw1").delete()
    page = config_search_page(search=Search(pattern="ntp", missing=True))
    assert (page.devices, page.complete) == ((), False)
    assert page.note.startswith("1 devices were left out")
    elsewhere = Search(pattern="ntp", devices=DeviceFilter(hostname="sw2"))
    assert config_search_page(search=elsewhere).complete


def test_a_wrong_pattern_is_refused_before_anything_is_searched() -> None:
    with pytest.raises(PatternError):
        config_search(search=Search(pattern="("))


# --- Pages --------------------------------------------------------------------------------------


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hostnames of devices with ``odd`` or ``even`` in their texts, searched in small batches."""
    monkeypatch.setattr(search_module, "_BATCH_DEVICES", 2)
    hostnames = [f"sw{number:02}" for number in range(25)]
    for number, hostname in reversed(list(enumerate(hostnames))):
        device_with("odd\n" if number % 2 else "even\n", hostname)
    return hostnames


@pytest.mark.parametrize("with_after", [True, False])
@pytest.mark.parametrize("size", [1, 5, 12, 13, 20])
def test_pages_together_are_the_whole(many: list[str], size: int, with_after: bool) -> None:
    search = Search(pattern="odd", missing=True)
    seen: list[str] = []
    for number in range(1, 30):
        after = seen[-1] if with_after and seen else ""
        page = config_search_page(search=search, page=number, size=size, after=after)
        seen += [found.hostname for found in page.devices]
        assert page.complete and page.note == ""
        assert page.count == (None if page.has_next else 13)
        if not page.has_next:
            break
    assert seen == many[::2]
    assert number == -(-13 // size)


@pytest.mark.usefixtures("many")
def test_the_number_of_all_is_found_out_if_asked_for() -> None:
    page = config_search_page(search=Search(pattern="even"), size=3, with_count=True)
    assert (len(page.devices), page.count, page.has_next) == (3, 13, True)
    page = config_search_page(search=Search(pattern="even"), page=9, size=3)
    assert (page.devices, page.count, page.has_next) == ((), 13, False)


@pytest.mark.usefixtures("many")
def test_a_full_page_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    fetch = search_module._fetched

    def counting(ids: list[int]) -> Any:
        fetched.extend(ids)
        return fetch(ids)

    monkeypatch.setattr(search_module, "_fetched", counting)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    config_search_page(search=Search(pattern="e|o"), size=2)
    assert 3 <= len(fetched) <= 14
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("search")]


@pytest.mark.usefixtures("many")
def test_when_the_time_is_over_that_is_said() -> None:
    page = config_search_page(search=Search(pattern="even"), seconds=0)
    assert (page.devices, page.count, page.complete) == ((), None, False)
    assert page.note == (
        "the search was stopped after 0 s, at sw00; narrow it by tag, platform or hostname"
    )
    assert config_search_page(search=Search(pattern="even"), seconds=60).complete


# --- API ----------------------------------------------------------------------------------------


@pytest.fixture
def ask(client: Client, web: None) -> Callable[..., Any]:
    """The answer of the API to a search by somebody who may see snapshots."""
    client.force_login(user_with("backups.view_snapshot"))

    def get(expected: int = 200, **parameters: Any) -> Any:
        answer = client.get(f"{API}?{urlencode(parameters, doseq=True)}")
        assert answer.status_code == expected, answer.content
        return answer.json()

    return get


@pytest.mark.usefixtures("fleet")
def test_the_api_answers_with_lines(ask: Callable[..., Any]) -> None:
    answer = ask(q="server", tag=["core", "lab"], all_tags="true", context=1)
    (result,) = answer.pop("results")
    assert answer == {
        "count": 1,
        "page": 1,
        "size": 50,
        "pages": 1,
        "next": None,
        "previous": None,
        "complete": True,
        "note": "",
    }
    device = Device.objects.get(hostname="core1")
    assert result.pop("collected_at")
    assert result == {
        "device": device.pk,
        "hostname": "core1",
        "snapshot": CurrentText.objects.get(device=device).snapshot_id,
        "matches": [{"line": 2, "text": "ntp server 1", "before": ["hostname core1"], "after": []}],
        "more": False,
    }
    missing = ask(q="ntp", fixed="1", ignore_case="1", missing="1", platform="arista_eos", zone="")
    assert [(row["hostname"], row["matches"]) for row in missing["results"]] == [("edge1", [])]


def test_the_links_lead_through_all_pages(many: list[str], ask: Callable[..., Any]) -> None:
    answer = ask(q="even", size=5)
    assert (answer["count"], answer["pages"], answer["previous"]) == (None, None, None)
    seen, pages = [], [answer]
    while pages[-1]["next"]:
        link = urlsplit(pages[-1]["next"])
        assert link.path == API
        parameters = dict(part.split("=") for part in link.query.split("&"))
        assert parameters["after"] == pages[-1]["results"][-1]["hostname"]
        pages.append(ask(**parameters))
    for page in pages:
        seen += [row["hostname"] for row in page["results"]]
    assert seen == many[::2]
    assert (pages[-1]["count"], pages[-1]["pages"], pages[-1]["page"]) == (13, 3, 3)
    back = dict(part.split("=") for part in urlsplit(pages[-1]["previous"]).query.split("&"))
    assert ask(**back)["results"] == pages[1]["results"]
    assert ask(q="even", size=5, count="true")["count"] == 13


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ({}, "q", "required"),
        ({"q": ""}, "q", "blank"),
        ({"q": "("}, "q", "'(' is no regular expression"),
        ({"q": "(?=a)"}, "q", "lookahead and lookbehind are not supported"),
        ({"q": "a\x00"}, "q", "ull characters"),
        ({"q": "x" * 1001}, "q", "1000"),
        ({"q": "x", "context": 11}, "context", "10"),
        ({"q": "x", "page": 0}, "page", "1"),
        ({"q": "x", "size": 501}, "size", "500"),
        ({"q": "x", "missing": "maybe"}, "missing", "boolean"),
        ({"q": "x", "tag": [f"t{number}" for number in range(21)]}, "tag", "20"),
    ],
)
def test_wrong_questions_are_told(
    ask: Callable[..., Any], parameters: dict[str, Any], field: str, words: str
) -> None:
    error = ask(400, **parameters)["error"]
    assert error["code"] == "invalid"
    assert list(error["fields"]) == [field]
    assert words in error["message"]


def test_who_may_not_see_configurations_may_not_search(client: Client, web: None) -> None:
    assert client.get(f"{API}?q=x").status_code == 401
    client.force_login(UserFactory.create())
    answer = client.get(f"{API}?q=x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


def test_the_setting_limits_the_time(
    many: list[str], ask: Callable[..., Any], configure: Callable[..., None]
) -> None:
    configure(search_seconds=0)
    answer = ask(q="even")
    assert (answer["complete"], answer["results"]) == (False, [])
    assert "stopped after 0 s" in answer["note"]


# --- Command ------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[str, str]:
    """What ``config search`` prints, and what it says beside that."""
    out, err = io.StringIO(), io.StringIO()
    call_command("config", "search", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["ntp"], "core1:2: ntp server 1\n"),
        (["ntp", "--ignore-case"], "core1:2: ntp server 1\ncore2:2: NTP server 2\n"),
        (["ntp", "--missing"], "core2\nedge1\n"),
        (["ntp", "--missing", "--limit", "1"], "core2\n"),
        (["n.p", "--fixed"], ""),
        (["ntp", "--context", "3"], "core1-1- hostname core1\ncore1:2: ntp server 1\n"),
        (["hostname", "--platform", "arista_eos"], "edge1:1: hostname edge1\n"),
    ],
)
def test_the_command_prints_lines(arguments: list[str], printed: str) -> None:
    assert run(*arguments) == (printed, "")


@pytest.mark.usefixtures("fleet")
def test_the_command_prints_json() -> None:
    assert json.loads(run("nothing", "--json")[0]) == {"devices": []}
    match = {"line": 2, "text": "ntp server 1"}
    assert json.loads(run("^ntp", "--json")[0]) == {
        "devices": [{"hostname": "core1", "matches": [match]}]
    }
    around = {"before": ["hostname core1"], "after": []}
    found = json.loads(run("(?i)^ntp", "--json", "--context", "1")[0])["devices"]
    assert [device["hostname"] for device in found] == ["core1", "core2"]
    assert found[0]["matches"] == [match | around]


def test_the_command_shows_all_lines_of_a_device() -> None:
    device_with("x\n" * 300, "sw1")
    assert run("x")[0].count("\n") == 300


def test_the_command_says_what_it_could_not_search() -> None:
    device_with("x\n", "sw1")
    CurrentText.objects.all().delete()
    printed, said = run("x", "--json")
    assert json.loads(printed) == {"devices": []}
    assert said.startswith("1 devices were left out")


@pytest.mark.usefixtures("fleet")
def test_the_command_takes_any_limit() -> None:
    assert run("ntp server", "--limit", "9" * 30) == ("core1:2: ntp server 1\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["("], "'(' is no regular expression"),
        ([r"(a)\1"], "backreferences are not supported"),
        (["x", "--limit", "0"], "--limit takes 1 or more"),
        (["x", "--context", "11"], "--context"),
    ],
)
def test_the_command_refuses(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert words in str(caught.value) and "\n" not in str(caught.value)
