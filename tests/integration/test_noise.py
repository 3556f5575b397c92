"""Noise in stored histories: what is found, the rule that is proposed, and what it would save."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from backups.models import Snapshot
from backups.selectors.noise import noise_of_device, noise_of_platform
from inventory.models import Device
from inventory.platforms import load_directory, rule_families
from inventory.platforms.catalogue import get_platform
from tests.factories import DeviceFactory, user_with
from tests.support.history import store_texts

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("git_directory", "web")]


def text(number: int, *, extra: str = "") -> str:
    return (
        f"hostname core\nntp clock-period {number}\n"
        f"interface Tunnel1\n load {number * 7} percent\n mtu 1500\n{extra}end\n"
    )


@pytest.fixture
def restless() -> Device:
    """Eleven revisions that nobody made, and one that somebody did."""
    device = DeviceFactory.create(hostname="core-1")
    texts = [text(number, extra="ntp master\n" if number > 6 else "") for number in range(12)]
    store_texts(device, texts)
    return device


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("noise", *arguments, stdout=output)
    return output.getvalue()


def test_noise_and_its_rule(restless: Device, tmp_path: Any) -> None:
    report = noise_of_device(device=restless)
    assert (report.platform, report.revisions, report.reads) == ("cisco_ios", 12, 12)
    # The clock period is a rule of the platform already, and the master was somebody's work.
    (noise,) = report.noise
    assert (noise.section, noise.flips, noise.share) == ("interface Tunnel1", 11, 1.0)
    assert noise.rule is not None and noise.rule.pattern == r" load (\d+) percent$"
    assert noise.revisions_saved == 10
    assert noise.other_lines == ()

    (tmp_path / "cisco_ios.toml").write_text(f'extends = "cisco_ios"\n{noise.toml}')
    base = {"cisco_ios": get_platform("cisco_ios")}
    loaded = load_directory(tmp_path, families=rule_families(), base=base)
    assert loaded.problems == ()
    assert loaded.definitions["cisco_ios"].volatile[0].pattern.pattern == noise.rule.pattern


def test_what_todays_rules_cover_is_counted(restless: Device) -> None:
    device = DeviceFactory.create()
    store_texts(device, [f"hostname a\nntp clock-period {number}\n" for number in range(8)])
    report = noise_of_device(device=device)
    assert (report.noise, report.covered, report.reads) == ((), 7, 8)


def test_reads_that_brought_nothing_new_count(restless: Device) -> None:
    Snapshot.objects.update(read_count=5)
    assert noise_of_device(device=restless).noise == ()


def test_only_the_newest_revisions_are_looked_at(restless: Device) -> None:
    assert noise_of_device(device=restless, revisions=5).noise == ()
    assert noise_of_device(device=restless, revisions=6).noise != ()


def test_lost_texts_are_left_out(restless: Device) -> None:
    Snapshot.objects.filter(pk=Snapshot.objects.order_by("id")[3].pk).update(state="LOST")
    assert noise_of_device(device=restless).revisions == 11


def test_noise_of_a_platform_is_what_devices_share(restless: Device) -> None:
    other = DeviceFactory.create(hostname="core-2")
    store_texts(other, [f"{text(n * 3)}uptime {n}\n" for n in range(9)])
    quiet = DeviceFactory.create(hostname="core-3")
    store_texts(quiet, ["hostname quiet\n"])
    report = noise_of_platform(platform="cisco_ios", revisions=30)
    (noise,) = report.noise
    assert (report.devices, noise.hostnames) == (2, ("core-1", "core-2"))
    assert noise.rule is not None and noise.rule.pattern == r" load (\d+) percent$"
    # The second device has a noisy line of its own: its revisions would have been made anyway.
    assert noise.revisions_saved == 10
    assert noise_of_platform(platform="arista_eos").noise == ()


def test_a_line_without_a_safe_rule_says_why() -> None:
    device = DeviceFactory.create()
    others = "".join(f"interface E{n}\n load {n} percent\n" for n in range(1000, 1030))
    store_texts(device, [others + text(number) for number in range(10)])
    (noise,) = noise_of_device(device=device).noise
    assert (noise.rule, noise.toml, noise.revisions_saved) == (None, "", 0)
    assert "would match 30 other lines too" in noise.reason


def test_the_time_is_bounded(restless: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.selectors.noise._MOST_SECONDS", -1.0)
    (noise,) = noise_of_device(device=restless).noise
    assert (noise.rule, noise.reason) == (None, "time ran out; look at fewer revisions")
    report = noise_of_platform(platform="cisco_ios")
    assert (report.devices, report.is_cut) == (0, True)
    assert "Time ran out" in run("--platform", "cisco_ios")


def test_the_command(restless: Device) -> None:
    printed = run("core-1")
    assert "1 device of cisco_ios: 12 revisions, 12 reads\n" in printed
    assert "Changed in 100% of the reads in 'interface Tunnel1':\n     load 0 percent\n" in printed
    assert "A rule would have saved 10 revisions:\n    volatile = [\n" in printed
    assert "No line changes by itself" in run("--platform", "cisco_ios")
    row = json.loads(run("core-1", "--json"))
    (noise,) = row["noise"]
    assert re.match(noise["pattern"], noise["examples"][0])
    assert (noise["treatment"], noise["hostnames"]) == ("mask", ["core-1"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either a HOST or --platform"),
        (["core-1", "--platform", "cisco_ios"], "either a HOST or --platform"),
        (["none"], "there is no device 'none'"),
        (["--platform", "cisco_iso"], "did you mean cisco_ios"),
        (["core-1", "--revisions", "1"], "--revisions takes 2 to 100"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)


def test_the_api(client: Client, restless: Device) -> None:
    client.force_login(user_with("backups.view_snapshot"))
    path = f"/api/v1/devices/{restless.pk}/noise/"
    answer = client.get(path).json()
    assert answer["noise"][0]["toml"].startswith("volatile = [\n    { pattern = ' load (")
    assert client.get(f"{path}?revisions=1").status_code == 400
    Device.objects.update(platform="unheard_of")
    assert client.get(path).status_code == 503
    assert "There is no platform" in client.get(path).json()["error"]["message"]
