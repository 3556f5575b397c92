"""Which outputs are trusted."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.engine.completeness import (
    QUOTED_LENGTH,
    Answer,
    SizeLimit,
    answer_of,
    rejection,
    suspicions,
)
from backups.engine.types import CommandOutput
from inventory.platforms import get_platform, platform_names
from inventory.platforms.definition import Command, Role

IOS = get_platform("cisco_ios")
NXOS = get_platform("cisco_nxos")
ROUTEROS = get_platform("mikrotik_routeros")
JUNOS = get_platform("juniper_junos")
LINUX = get_platform("linux")
EXOS = get_platform("extreme_exos")
COMMAND = "show running-config"
PROMPT = "core#"
BODY = "".join(f"interface Vlan{n}\n no shutdown\n" for n in range(30))
GOOD = f"version 16.12\nhostname core\n{BODY}end\n"
ERROR = "% Invalid input detected at '^' marker."


def reasons(text: str, prompt: str | None = PROMPT) -> list[str]:
    return suspicions(IOS, [Answer(command=COMMAND, text=text)], prompt=prompt)


def inside(*lines: str) -> str:
    """The good configuration with ``lines`` in its middle."""
    return GOOD.replace("interface Vlan7\n", "\n".join([*lines, "interface Vlan7\n"]))


def test_a_whole_configuration_is_trusted() -> None:
    assert reasons(GOOD) == []
    assert reasons(GOOD, prompt=None) == []
    without_end = Answer(command=COMMAND, text=GOOD.removesuffix("end\n"))
    assert suspicions(NXOS, [without_end]) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The device printed nothing."),
        (" \n\n", "The device printed nothing."),
        (f"         ^\n{ERROR}\nend\n", "begins with an error of the device: % Invalid"),
        (f"{ERROR}\n{GOOD}", "begins with an error of the device: % Invalid"),
        (f"{GOOD}% Authorization failed.\n", "ends with an error of the device: % Auth"),
        (inside("          ^", ERROR), "holds an error of the device: % Invalid"),
        (inside(*[ERROR, "x"] * 5), "holds 5 errors of the device: % Invalid"),
        (GOOD.removesuffix("end\n"), "end of the configuration is missing"),
        (GOOD[: len(GOOD) // 2], "end of the configuration is missing"),
        (GOOD + "interface Vlan99\n" * 20, "end of the configuration is missing"),
        (inside(" --More-- "), "marks of a pager"),
        (inside("--More--          interface Vlan6"), "marks of a pager"),
        (inside("---(more 43%)---"), "marks of a pager"),
        (inside("lines 1-24"), "marks of a pager"),
        (inside("Press any key to continue (Q to quit)", "x") * 2, "marks of a pager"),
        (inside("core#show version", "Cisco IOS"), "stands inside the output: core#show version"),
        (inside("core# terminal length 0"), "stands inside the output: core# terminal"),
        (f"{COMMAND}\n{GOOD}", "begins with the command 'show running-config' itself"),
        (f"show running\n-config\n{GOOD}", "begins with the command 'show running-config' itself"),
        (f"core#{COMMAND}\n{GOOD}", "stands inside the output: core#show running-config"),
    ],
)
def test_what_is_not_trusted(text: str, reason: str) -> None:
    found = reasons(text)
    assert len(found) == 1
    assert reason in found[0]


@pytest.mark.parametrize(
    "line",
    [
        f" description {ERROR}",
        "% Invalid input is what the banner says",
        " description --More-- bandwidth",
        "alias exec more show run | begin more",
        "Press any key to continue",
        "core#",
        "core# ",
        "! core#show version",
        "alias exec s show running-config",
        "show running-config",
        "        ^",
    ],
)
def test_a_quotation_is_no_trouble(line: str) -> None:
    assert reasons(inside(line)) == []


def test_every_reason_is_given() -> None:
    found = reasons(f"{COMMAND}\n--More--\nversion 15\n")
    assert len(found) == 3


def test_each_of_several_commands_has_to_be_answered() -> None:
    full = Answer(command="cat /etc/hosts", text="127.0.0.1 localhost\n")
    empty = Answer(command="ip rule show", text="\n")
    assert suspicions(LINUX, [full, full]) == []
    assert suspicions(LINUX, [full, empty]) == ["The device printed nothing for 'ip rule show'."]
    assert suspicions(LINUX, [empty, empty]) == ["The device printed nothing."]


def test_an_optional_command_may_be_answered_with_nothing() -> None:
    platform = dataclasses.replace(
        LINUX,
        commands=(
            Command(command="cat /etc/hosts", role=Role.RUNNING),
            Command(command="show a", role=Role.RUNNING, fallback=("show b",), optional=True),
        ),
    )
    full = Answer(command="cat /etc/hosts", text="127.0.0.1 localhost\n")
    for name in ("show a", "show b"):
        assert suspicions(platform, [full, Answer(command=name, text="\n")]) == []
    assert len(suspicions(platform, [full, Answer(command="show c", text="\n")])) == 1


def test_an_error_in_any_of_several_answers_counts() -> None:
    full = Answer(command="cat /etc/hosts", text="127.0.0.1 localhost\n" * 40)
    cut = Answer(command="ip rule show", text="0: from all\n" * 40 + "sh: ip: not found\n")
    assert "sh: ip: not found" in suspicions(LINUX, [full, cut])[0]


def test_the_end_marker_may_stand_in_any_answer() -> None:
    extra = Answer(command="show vlan", text="1 default\n")
    assert suspicions(IOS, [Answer(command=COMMAND, text=GOOD), extra]) == []


@pytest.mark.parametrize("prompt", ["#", "$", ">", "##", "###", "# $", None])
def test_a_prompt_that_also_begins_comments_says_nothing(prompt: str | None) -> None:
    assert reasons(inside("### show version", "# show version", "$ x", "# $ x"), prompt) == []


def test_the_mark_of_another_pager() -> None:
    mark = "Press <SPACE> to continue or <Q> to quit:"
    answer = Answer(command="show configuration", text=f"create vlan a\n{mark}\n" + BODY)
    assert "marks of a pager" in suspicions(EXOS, [answer])[0]
    assert suspicions(NXOS, [answer]) == []


@pytest.mark.parametrize(
    ("size", "previous", "share", "is_trusted"),
    [
        (500, 1000, 0.5, True),
        (499, 1000, 0.5, False),
        (499, 1000, 0.1, True),
        (1, 1000, 0, True),
        (1, None, 0.5, True),
        (1, 0, 0.5, True),
        (5000, 1000, 0.5, True),
    ],
)
def test_much_smaller_than_the_last_good_one(
    size: int, previous: int | None, share: float, is_trusted: bool
) -> None:
    limit = SizeLimit(size=size, previous_size=previous, minimum_share=share)
    found = suspicions(IOS, [Answer(command=COMMAND, text=GOOD)], limit=limit)
    assert (found == []) == is_trusted
    assert all("% of the size of the last good one" in reason for reason in found)


def test_an_answer_is_read_without_the_marks_of_the_pager() -> None:
    payload = b"a\r\n --More-- \b\b\b\b\b\b\b\b\b\b          \b\b\b\b\b\b\b\b\b\bb\r\n"
    assert answer_of(IOS, CommandOutput(command=COMMAND, payload=payload)).text == "a\nb\n"


def test_rejection_is_told_from_other_trouble() -> None:
    assert rejection(IOS, f"            ^\n{ERROR}\n\n") == ERROR
    assert rejection(JUNOS, "            ^\nsyntax error, expecting <command>.\n") is not None
    assert rejection(IOS, GOOD) is None
    assert rejection(IOS, "") is None
    assert rejection(IOS, GOOD.removesuffix("end\n")) is None
    assert rejection(IOS, "hostname a\n% Invalid input\nend\n") is None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("aruba_os", "Module Configuration Manager is busy. Please try later."),
        ("cisco_nxos", "Cmd exec error."),
        ("cisco_nxos", "Error: AAA authorization failed AAA_AUTHOR_STATUS_METHOD=16(0x10)"),
        ("hp_procurve", "Not authorized to run this command."),
        ("mikrotik_routeros", "action timed out - try again, if error continues contact support"),
    ],
)
def test_one_line_instead_of_a_configuration_without_an_end(name: str, line: str) -> None:
    assert rejection(get_platform(name), f"{line}\n") == line


def test_a_quoted_line_is_bounded() -> None:
    line = rejection(IOS, "% Invalid " + "x" * 100_000)
    assert line is not None
    assert len(line) == QUOTED_LENGTH
    for text in (f"% Invalid {'x' * 9999}\n{GOOD}", inside("core#" + "y" * 9999)):
        assert max(map(len, reasons(text))) < QUOTED_LENGTH + 60


@given(st.text(st.sampled_from("end^% \n-Moreinvalid#core:$"), max_size=400))
def test_any_text_gives_plain_sentences(text: str) -> None:
    for name in ("cisco_ios", "juniper_junos", "linux"):
        found = suspicions(get_platform(name), [Answer(command="x", text=text)], prompt=PROMPT)
        assert all(reason and "\n" not in reason for reason in found)


@pytest.mark.parametrize("name", platform_names())
def test_hostile_text_takes_no_time(name: str) -> None:
    platform = get_platform(name)
    started = time.process_time()
    for piece in ("\n", " ", "x", "% ", "-", "-- more ", "^\n", "e", "end\n", " \n"):
        text = piece * (60_000 // len(piece))
        suspicions(platform, [Answer(command="show x", text=text)], prompt=PROMPT)
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "line",
    [
        "    secret /* ACCESS-DENIED */;",
        "    /* ACCESS-DENIED */",
        "Message from syslogd@core at Nov 20 10:00:00  ...",
        "*** FINAL System shutdown message from admin@core ***",
    ],
)
def test_lines_that_no_whole_configuration_holds(line: str) -> None:
    body = "".join(f"interfaces ge-0/0/{n} {{\n    disable;\n}}\n" for n in range(30))
    whole = Answer(command="show configuration", text=body)
    cut = Answer(command="show configuration", text=body.replace("}\n", f"}}\n{line}\n", 1))
    assert suspicions(JUNOS, [whole]) == []
    (reason,) = suspicions(JUNOS, [cut])
    assert reason.startswith("The output holds what no whole configuration does: ")


@pytest.mark.parametrize(
    ("line", "is_trusted"),
    [
        ('#error exporting "/interface/lte" (timeout)', False),
        ("#interrupted", False),
        ('#error exporting "/interface/lte"', True),  # on models without it, at each export
        ("# interrupted at the customer's wish", True),
    ],
)
def test_an_export_of_routeros_that_lacks_a_menu(line: str, is_trusted: bool) -> None:
    head = "# 2026-11-30 10:00:00 by RouterOS 7.16.1\n"
    body = "".join(f"/ip address add address=192.0.2.{n}/32 interface=lo\n" for n in range(30))
    answer = Answer(command="/export", text=f"{head}{body}{line}\n{body}")
    assert (suspicions(ROUTEROS, [answer]) == []) == is_trusted
