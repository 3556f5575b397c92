"""Devices that print secrets wherever they can: none of them may be found anywhere afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netraven_site.stack.state import StackState
from tests.acceptance.conftest import import_devices, run_job, succeeded
from tests.acceptance.lab import canary
from tests.acceptance.test_secrets import api_answers
from tests.support.leaks import Secrets, watched_redis
from tests.support.scripted_device import (
    ENABLE_SECRET,
    PASSWORD,
    USERNAME,
    ScriptedDevice,
    ScriptedPlayer,
)
from tests.support.scripted_device_script import Enable, Recording, Script
from tests.support.up import Up

pytestmark = pytest.mark.slow

_JOB = "talkative"
_PREPARATION = {"terminal length 0": "", "terminal width 511": ""}
_OUTCOMES = {
    "tells-all": ("SUCCEEDED", ""),
    "tells-in-errors": ("FAILED", "command_rejected"),
    "tells-half": ("SUSPECT", "incomplete_output"),
    "tells-at-enable": ("FAILED", "enable"),
}


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """The stack after a run over such devices."""

    up: Up
    state: StackState
    #: By hostname, as ``run_job`` prints them.
    results: dict[str, dict[str, Any]]
    #: What went through Redis meanwhile.
    traffic: bytes
    secrets: Secrets
    #: All that the devices can print.
    printed: bytes


@pytest.fixture(scope="module")
def aftermath(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    told: set[str] = set()
    with ExitStack() as resources:
        player = resources.enter_context(ScriptedPlayer())
        scripts = {
            "tells-all": _script(told),
            "tells-in-errors": _script(told, {"show running-config": _error(told)}),
            "tells-half": _script(told, {"show running-config": f"hostname x\n{_told(told)}\n"}),
            "tells-at-enable": _script(told, enable=False),
        }
        devices = {name: player.play(Recording(script=script)) for name, script in scripts.items()}
        _introduce(up, devices, tmp_path_factory.mktemp("talkative"))
        state = StackState.read(up.data_dir)
        assert state is not None
        with watched_redis(state.redis_url) as watch:
            printed = run_job(up, _JOB, expected_exit=1)
        yield Aftermath(
            up=up,
            state=state,
            results={row["hostname"]: row for row in printed["results"]},
            traffic=watch.text(),
            secrets=Secrets({*told, PASSWORD, ENABLE_SECRET}),
            printed=repr(scripts).encode(),
        )


def _script(
    told: set[str], commands: dict[str, str] | None = None, *, enable: bool = True
) -> Script:
    """An IOS that tells secrets in its greeting, its errors and all of its answers."""
    said = f"\nenable secret {ENABLE_SECRET}\n% Bad secrets: {_told(told)}\n"
    config = (
        f"! last: {_told(told)}\nhostname x\n{_told(told)}\nline vty 0 4\n login local\n!\nend\n"
    )
    return Script(
        greeting=f"\nLog in with {_told(told)}\nhttps://ops:{_new(told)}@portal.example.net/\n\n",
        prompt="told>",
        unknown=f"% Invalid input detected: {_told(told)}\n",
        enable=Enable(prompt="told#" if enable else "told>", password_prompt=f"{said}Password: "),
        commands={
            **_PREPARATION,
            "show running-config": config,
            "show startup-config": f"{_told(told)}\nhostname x\nend\n",
            "show version": f"Cisco IOS Software, Version {_told(told)}\nsecret {_new(told)}\n"
            f"Processor board ID {_told(told)}\n",
            **(commands or {}),
        },
    )


def _error(told: set[str]) -> str:
    return f"% Invalid input detected at '^' marker: {_told(told)}\n"


def _told(told: set[str]) -> str:
    """A statement with a secret that nobody else has."""
    return f"username ops password 0 {_new(told)}"


def _new(told: set[str]) -> str:
    secret = canary("Told")
    told.add(secret)
    return secret


def _introduce(up: Up, devices: dict[str, ScriptedDevice], directory: Path) -> None:
    import_devices(
        up,
        directory / "devices.csv",
        [(name, it.host, it.port, "cisco_ios", _JOB) for name, it in devices.items()],
    )
    options = ["--username", USERNAME, "--password-stdin", "--enable-stdin", "--tags", _JOB]
    stdin = f"{PASSWORD}\n{ENABLE_SECRET}\n"
    succeeded(up.command("create_credential", _JOB, *options, stdin=stdin))
    succeeded(up.command("create_job", _JOB, "--tags", _JOB))


def test_each_device_ended_in_its_own_way(aftermath: Aftermath) -> None:
    """So every way by which a text of a device gets into the stack was gone."""
    ended = {
        name: (row["status"], row["error_category"] or "")
        for name, row in aftermath.results.items()
    }
    assert ended == _OUTCOMES
    told = aftermath.secrets.found_in(aftermath.printed)
    assert len(told) >= 20


def test_errors_quote_the_devices_without_the_secrets(aftermath: Aftermath) -> None:
    message = aftermath.results["tells-in-errors"]["error_message"]
    assert "username ops password 0 <redacted:" in message


def test_none_is_in_git_database_broker_or_files(aftermath: Aftermath) -> None:
    up, secrets = aftermath.up, aftermath.secrets
    assert secrets.found_in_git(up.data_dir / "configs.git") == {}
    assert secrets.found_in_database(aftermath.state.database_url) == {}
    assert secrets.found_in(aftermath.traffic) == set()
    assert secrets.found_in_redis(aftermath.state.redis_url) == {}
    assert secrets.found_in_files(up.data_dir) == {}


def test_none_is_in_an_answer_of_the_api_or_a_command(aftermath: Aftermath) -> None:
    answers = dict(api_answers(aftermath.up))
    assert any("/suspects/" in path and b"username ops" in body for path, body in answers.items())
    leaked = {path: aftermath.secrets.found_in(body) for path, body in answers.items()}
    assert {path: found for path, found in leaked.items() if found} == {}
    for command in (("config", "show", "tells-all"), ("suspects", "tells-half", "--show")):
        shown = succeeded(aftermath.up.command(*command))
        assert "username ops password 0 <redacted:" in shown
        assert aftermath.secrets.found_in(shown.encode()) == set()
