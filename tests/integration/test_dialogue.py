"""How the collector gets along with the command lines of devices, one oddity at a time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.normalise import clean_text
from backups.engine.types import Collection
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.definition import Command, Pager, PrivilegedMode, Question, Role
from tests.support.reading import LIMITS, credential, device, failure
from tests.support.scripted_device import ENABLE_SECRET, PASSWORD, USERNAME, ScriptedPlayer
from tests.support.scripted_device_script import load_script

PLATFORMS = Path(__file__).parents[1] / "platforms"
CONFIG = "hostname sw1\ninterface e1\n description uplink\nsnmp location here"
RUNNING = Command(command="show running-config", role=Role.RUNNING)
GENERIC = dataclasses.replace(
    get_platform("generic"), commands=(RUNNING,), privileged_mode=PrivilegedMode.NEVER
)


@pytest.fixture(scope="module")
def player() -> Iterator[ScriptedPlayer]:
    with ScriptedPlayer() as started:
        yield started


class Lab:
    """One device that plays a session written here."""

    def __init__(self, player: ScriptedPlayer, folder: Path) -> None:
        self._player = player
        self._folder = folder

    def read(
        self, session: str, platform: PlatformDefinition = GENERIC, *, enable: bool = False
    ) -> Collection:
        """What the collector brings home from a device with ``session``."""
        (self._folder / "case.session.toml").write_text(session)
        for part in ("input", "again"):
            (self._folder / f"case.{part}.txt").write_text(CONFIG + "\n")
        played = self._player.play(load_script(self._folder / "case.session.toml"))
        self.typed = played.sessions
        self.usernames = played.usernames
        credential = DeviceCredential(
            name="lab",
            username=USERNAME,
            password=PASSWORD,
            enable_secret=ENABLE_SECRET if enable else None,
        )
        target = device(played.port, address=played.host)
        return NetmikoCollector().collect(target, credential, platform, LIMITS)


@pytest.fixture
def lab(player: ScriptedPlayer, tmp_path: Path) -> Lab:
    return Lab(player, tmp_path)


def text_of(collection: Collection, number: int = 0) -> str:
    return clean_text(collection.outputs[number].payload)


def session(prompt: str = "sw1# ", extra: str = "", **commands: str) -> str:
    lines = "\n".join(f'"{name.replace("_", " ")}" = "{text}"' for name, text in commands.items())
    return (
        f'prompt = "{prompt}"\nunknown = "% Invalid input"\n{extra}\n'
        f'[commands]\n"show running-config" = "@input"\n{lines}\n'
    )


def with_(**fields: Any) -> PlatformDefinition:
    return dataclasses.replace(GENERIC, **fields)


@pytest.mark.parametrize(
    "prompt",
    [
        "sw1# ",
        "sw1>",
        "# ",
        "[admin@lab] > ",
        "RP/0/RP0/CPU0:xr1#",
        r"{master:0}\r\nadmin@sw1> ",
        r"[/]\r\nA:admin@sr1# ",
        r"\u001b[?25l\u001b[1;32msw1\u001b[0m# ",
        "(lab) #",
        "admin@lab:~$ ",
        "<HUAWEI>",
        "sw1 (config)# ",
    ],
)
def test_prompts(lab: Lab, prompt: str) -> None:
    assert text_of(lab.read(session(prompt))) == CONFIG + "\n"


def test_a_line_of_the_configuration_may_look_like_the_prompt(lab: Lab) -> None:
    command = Command(command="show banner", role=Role.RUNNING)
    collection = lab.read(
        session(show_banner=r"one\nsw1#\ntwo\nsw1# show banner\nthree"), with_(commands=(command,))
    )
    assert text_of(collection).splitlines() == ["one", "sw1#", "two", "sw1# show banner", "three"]


ENABLE = '[enable]\npassword_prompt = "Password: "\nprompt = "# "\n' + (
    'only_privileged = ["show running-config"]'
)


def test_the_sign_of_a_bare_prompt_changes_in_the_privileged_mode(lab: Lab) -> None:
    required = with_(privileged_mode=PrivilegedMode.REQUIRED)
    assert text_of(lab.read(session("> ", ENABLE), required, enable=True)) == CONFIG + "\n"


def test_a_device_without_a_privileged_mode_is_read_as_it_is(lab: Lab) -> None:
    platform = with_(privileged_mode=PrivilegedMode.IF_SECRET_GIVEN)
    assert text_of(lab.read(session("sw1>"), platform, enable=True)) == CONFIG + "\n"


def test_a_required_privileged_mode_is_missed(lab: Lab) -> None:
    with pytest.raises(DeviceError) as caught:
        lab.read(session("sw1>"), with_(privileged_mode=PrivilegedMode.REQUIRED), enable=True)
    assert caught.value.category is ErrorCategory.ENABLE


@pytest.mark.parametrize("secret", [None, "no"])
def test_a_procurve_that_refuses_the_enable_secret_is_asked_once(
    player: ScriptedPlayer, secret: str | None
) -> None:
    played = player.play(load_script(PLATFORMS / "hp_procurve" / "access.session.toml"))
    target = device(played.port, platform="hp_procurve")
    error = failure(target, credential(password=PASSWORD, enable_secret=secret))
    assert error.category is ErrorCategory.ENABLE
    assert played.sessions[0].count("enable") == 1


def test_the_enable_secret_is_never_typed_at_the_prompt(lab: Lab) -> None:
    platform = with_(privileged_mode=PrivilegedMode.REQUIRED)
    with pytest.raises(DeviceError) as caught:
        lab.read(session("sw1>", enable="% No password set"), platform, enable=True)
    assert caught.value.category is ErrorCategory.ENABLE
    assert "enable" in lab.typed[0]
    assert ENABLE_SECRET not in lab.typed[0]


def test_a_driver_may_append_terminal_options_to_the_user_name(lab: Lab) -> None:
    platform = with_(driver=get_platform("mikrotik_routeros").driver)
    assert text_of(lab.read(session("[netops@lab] > "), platform)) == CONFIG + "\n"
    assert lab.usernames == [f"{USERNAME}+ct511w4098h"]


def test_questions_before_the_first_prompt_are_answered(lab: Lab) -> None:
    question = Question(pattern=re.compile(r"Accept the policy \(yes\)\?"), answer="yes")
    asks = 'questions = [{ ask = "Accept the policy (yes)? ", answer = "yes" }]'
    collection = lab.read(session(extra=asks), with_(questions=(question,)))
    assert text_of(collection) == CONFIG + "\n"


@pytest.mark.parametrize("erase", [r"\r          \r", r"\u001b[2K\u001b[1G", r"\b\b \b\b"])
def test_pages_are_turned_and_their_marks_vanish(lab: Lab, erase: str) -> None:
    pages = f'[pager]\nlines = 2\nmark = "--More--"\nerase = "{erase}"\noff = []'
    assert text_of(lab.read(session(extra=pages))) == CONFIG + "\n"


def test_a_platform_may_have_a_pager_of_its_own(lab: Lab) -> None:
    pages = '[pager]\nlines = 1\nmark = "<next: n>"\nerase = "\\r         \\r"\noff = []\nkey = "n"'
    pager = Pager(mark=re.compile(r"<next: n>[ \t]*$"), key="n")
    platform = with_(pager=pager)
    payload = lab.read(session(extra=pages), platform).outputs[0].payload
    assert clean_text(payload, pager=pager) == CONFIG + "\n"


def test_the_next_form_of_a_rejected_command_is_tried(lab: Lab) -> None:
    command = dataclasses.replace(
        RUNNING, command="export all", fallback=("export some", "show running-config")
    )
    collection = lab.read(session(), with_(commands=(command,)))
    assert collection.outputs[0].command == "show running-config"
    assert text_of(collection) == CONFIG + "\n"


def test_an_optional_command_that_is_unknown_is_left_out(lab: Lab) -> None:
    optional = Command(command="show extras", role=Role.RUNNING, optional=True)
    collection = lab.read(session(), with_(commands=(RUNNING, optional)))
    assert [output.command for output in collection.outputs] == ["show running-config"]


def test_an_optional_command_is_all_there_is_to_report(lab: Lab) -> None:
    optional = Command(command="show extras", role=Role.RUNNING, optional=True)
    collection = lab.read(session(), with_(commands=(optional,)))
    assert "Invalid input" in text_of(collection)


def test_the_configuration_is_asked_for_first_and_the_rest_may_fail(lab: Lab) -> None:
    version = Command(command="show version", role=Role.VERSION)
    hung = Command(command="show inventory", role=Role.INVENTORY)
    # A page that never goes on: the key of the pager is another one.
    pages = '[pager]\nlines = 6\nmark = "<stuck>"\nkey = "n"\noff = []'
    text = session(extra=pages, show_version="Lab OS 1.2", show_inventory=r"1\n2\n3\n4\n5\n6\n7")
    collection = lab.read(text, with_(commands=(version, hung, RUNNING)))
    assert [output.role for output in collection.outputs] == [Role.RUNNING, Role.VERSION]
    assert collection.notes and "show inventory" in collection.notes[0]
    assert lab.typed[0].index("show running-config") < lab.typed[0].index("show version")


def test_preparation_that_the_device_rejects_does_no_harm(lab: Lab) -> None:
    platform = with_(preparation=("terminal length 0", "terminal width 511"))
    assert text_of(lab.read(session(), platform)) == CONFIG + "\n"
