"""What is read out of a session beside the configuration: facts, the last change, unsaved work."""

from __future__ import annotations

import dataclasses
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.findings import VALUE_LENGTH, FoundAttribution, attribution, facts, unsaved
from backups.engine.outputs import by_role, running_content, running_payload
from backups.engine.types import CommandOutput
from inventory.platforms import get_platform, platform_names
from inventory.platforms.definition import (
    Attribution,
    Fact,
    FactPattern,
    PlatformDefinition,
    Role,
    Treatment,
    VolatileLine,
)


def lines(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


LAB = dataclasses.replace(
    get_platform("cisco_ios"),
    volatile=(VolatileLine(pattern=lines("! (?:Time|Changed) "), treatment=Treatment.DROP),),
    facts=(
        FactPattern(fact=Fact.MODEL, role=Role.INVENTORY, pattern=lines(r"^PID: (.*)$")),
        FactPattern(fact=Fact.MODEL, role=Role.VERSION, pattern=lines(r"^Model (.*)$")),
        FactPattern(fact=Fact.OS_VERSION, role=Role.VERSION, pattern=lines(r"Version (\S+)?")),
    ),
    attribution=(
        Attribution(
            role=Role.RUNNING, pattern=lines(r"^! Changed (?P<time>.+?)(?: by (?P<user>.+))?$")
        ),
        Attribution(role=Role.HISTORY, pattern=lines(r"^last: (?P<user>.+)$")),
    ),
)
BODY = "hostname core\r\n" + "".join(f"interface Vlan{n}\r\n" for n in range(20)) + "end\r\n"


def output(role: Role, text: str | bytes, command: str = "show x") -> CommandOutput:
    payload = text if isinstance(text, bytes) else text.encode()
    return CommandOutput(command=command, role=role, payload=payload)


def running(text: str | bytes) -> CommandOutput:
    return output(Role.RUNNING, text)


# --- The archived bytes -------------------------------------------------------------------------


def test_one_output_is_archived_as_it_is() -> None:
    outputs = [running(b"\r\na\xff\r\n"), output(Role.VERSION, "Version 1")]
    assert running_payload(LAB, outputs) == b"\r\na\xff\r\n"
    assert by_role(outputs, Role.VERSION) == (outputs[1],)
    assert by_role(outputs, Role.STARTUP) == ()


@pytest.mark.parametrize(("prefix", "sign"), [("!", b"!"), (None, b"#")])
def test_several_outputs_stand_behind_headings(prefix: str | None, sign: bytes) -> None:
    platform = dataclasses.replace(LAB, comment_prefix=prefix)
    outputs = [
        output(Role.RUNNING, "one\r\n", "show a"),
        output(Role.VERSION, "no", "show v"),
        output(Role.RUNNING, "two", "show b"),
        output(Role.RUNNING, "", "show c"),
    ]
    expected = sign + b" show a\none\r\n" + sign + b" show b\ntwo\n" + sign + b" show c\n"
    assert running_payload(platform, outputs) == expected
    assert running_content(platform, outputs) == expected.decode().replace("\r", "")


# --- Facts --------------------------------------------------------------------------------------


def test_the_first_pattern_that_finds_a_value_counts() -> None:
    version = output(Role.VERSION, "Model from-version\r\nVersion 1.2\r\n")
    assert facts(LAB, [version]) == {Fact.MODEL: "from-version", Fact.OS_VERSION: "1.2"}
    both = [output(Role.INVENTORY, "PID:  C9300 \r\n"), version]
    assert facts(LAB, both)[Fact.MODEL] == "C9300"
    blank = [output(Role.INVENTORY, "PID:  \x1b[31m\r\n"), version]
    assert facts(LAB, blank)[Fact.MODEL] == "from-version"


def test_what_is_not_found_is_left_out() -> None:
    assert facts(LAB, []) == {}
    assert facts(LAB, [output(Role.VERSION, "Version \r\n")]) == {}
    assert facts(LAB, [output(Role.STARTUP, "PID: x")]) == {}


def test_a_fact_is_one_bounded_line() -> None:
    [value] = facts(
        LAB, [output(Role.INVENTORY, "PID: a\x00\x1b[2Jb\u202e\tc" + "d" * 999)]
    ).values()
    assert len(value) == VALUE_LENGTH
    assert value.startswith("ab\\u202e c")


# --- Who changed it -----------------------------------------------------------------------------


def test_who_changed_it_and_when() -> None:
    text = "! Time now\r\n! Changed 09:00:00 UTC by jane\r\n" + BODY
    assert attribution(LAB, [running(text)]) == FoundAttribution(user="jane", time="09:00:00 UTC")
    history = output(Role.HISTORY, "last: joe\r\n")
    assert attribution(LAB, [running(BODY), history]) == FoundAttribution(user="joe", time="")
    assert attribution(LAB, [running("! Changed never\r\n"), history]) == FoundAttribution(
        user="", time="never"
    )
    assert attribution(LAB, [running(BODY)]) is None
    assert attribution(LAB, []) is None


# --- Unsaved ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ("! Time other\n" + BODY.replace("\r", ""), False),
        (BODY.replace("Vlan3\r\n", "Vlan3\r\n shutdown\r\n"), True),
        (None, None),
        ("", None),
        ("\r\n", None),
        ("% Invalid input detected at '^' marker.\r\n", None),
        (f"% Error opening nvram:/startup-config\r\n{BODY}", None),
        (BODY.removesuffix("end\r\n"), None),
    ],
)
def test_running_against_startup(saved: str | None, expected: bool | None) -> None:
    outputs = [running("! Time now\r\n" + BODY)]
    if saved is not None:
        outputs.append(output(Role.STARTUP, saved))
    assert unsaved(LAB, outputs) is expected


def test_without_a_running_config_nothing_is_compared() -> None:
    assert unsaved(LAB, [output(Role.STARTUP, BODY)]) is None


def test_of_several_outputs_one_that_is_not_whole_is_compared_with_nothing() -> None:
    saved = output(Role.STARTUP, BODY)
    error = "% Invalid input detected at '^' marker.\r\n"
    assert unsaved(LAB, [running(error), running(BODY), saved]) is None


def test_further_commands_are_not_compared() -> None:
    outputs = [running(BODY), running("1 default"), output(Role.STARTUP, BODY)]
    assert unsaved(LAB, outputs) is False


# --- Hostile text -------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.sampled_from(list(Role)))
def test_any_bytes_give_bounded_lines(noise: bytes, role: Role) -> None:
    for head in (b"PID: ", b"Version ", b"! Changed x by ", b"last: "):
        outputs = [output(role, noise + b"\r\n" + head + noise)]
        found = attribution(LAB, outputs)
        values = [*facts(LAB, outputs).values(), *((found and (found.user, found.time)) or ())]
        for value in values:
            assert len(value) <= VALUE_LENGTH
            assert not any(unicodedata.category(one) in {"Cc", "Cf", "Cs"} for one in value)
        unsaved(LAB, [*outputs, output(Role.STARTUP, noise)])


@pytest.mark.parametrize("name", platform_names())
def test_hostile_text_takes_no_time(name: str) -> None:
    platform = get_platform(name)
    started = time.process_time()
    for piece in ("\n", " ", "\t", "x", "x ", ": ", "1", "-", "<a>\n", "version ", "! x\n", " \n"):
        for begin in ("", "Version ", "! Last configuration change at ", "## Last commit: "):
            text = begin + piece * (20_000 // len(piece))
            outputs = [output(role, text) for role in Role]
            facts(platform, outputs)
            attribution(platform, outputs)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("adtran_os", "Platform:" + " " * 480 + "x"),
        ("alcatel_aos", "Model Name:" + " " * 480 + "x"),
        ("mikrotik_routeros", "A   0" + " " * 490 + "1"),
        ("coriant", " " * 990 + "x"),
    ],
)
def test_lines_of_blanks_take_no_time(name: str, line: str) -> None:
    platform = get_platform(name)
    started = time.process_time()
    text = f"{line}\n" * (2_000_000 // len(line))
    outputs = [output(role, text) for role in Role]
    facts(platform, outputs)
    attribution(platform, outputs)
    unsaved(platform, outputs)
    assert time.process_time() - started < 2


def test_a_platform_without_patterns_says_nothing() -> None:
    plain: PlatformDefinition = dataclasses.replace(LAB, facts=(), attribution=())
    outputs = [running(BODY), output(Role.VERSION, "Version 1")]
    assert (facts(plain, outputs), attribution(plain, outputs)) == ({}, None)
