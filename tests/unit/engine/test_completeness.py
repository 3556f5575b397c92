"""Which outputs are trusted."""

from __future__ import annotations

import pytest

from backups.engine.completeness import check, rejection
from inventory.platforms import get_platform

IOS = get_platform("cisco_ios")
NXOS = get_platform("cisco_nxos")
JUNOS = get_platform("juniper_junos")
BODY = "".join(f"interface Vlan{n}\n no shutdown\n" for n in range(30))
GOOD = f"version 16.12\nhostname a\n{BODY}end\n"


def reasons(text: str, previous_size: int | None = None) -> str:
    return " ".join(check(IOS, text, previous_size=previous_size))


def test_a_whole_configuration_is_trusted() -> None:
    assert check(IOS, GOOD, previous_size=None) == []
    assert check(IOS, GOOD, previous_size=len(GOOD)) == []
    assert check(NXOS, GOOD.removesuffix("end\n"), previous_size=None) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "printed nothing"),
        (" \n\n", "printed nothing"),
        ("         ^\n% Invalid input detected at '^' marker.\n", "error in place"),
        ("% Authorization failed.\n", "error in place"),
        (GOOD.removesuffix("end\n"), "end of the configuration is missing"),
        (GOOD.replace("interface Vlan7\n", " --More-- \ninterface Vlan7\n"), "pager"),
        (GOOD.replace("interface Vlan7\n", "--More--          interface Vlan7\n"), "pager"),
        (GOOD.replace("interface Vlan7\n", "---(more 43%)---\n"), "pager"),
        ("% Invalid input detected at '^' marker.\n" + GOOD, "begins with an error"),
    ],
)
def test_what_is_not_trusted(text: str, reason: str) -> None:
    assert reason in reasons(text)


def test_much_smaller_than_the_last_good_one() -> None:
    assert "% of the size" in reasons(GOOD, previous_size=3 * len(GOOD))
    assert check(IOS, GOOD, previous_size=3 * len(GOOD), minimum_share=0.1) == []


@pytest.mark.parametrize(
    "line",
    [
        " description % Invalid input detected at '^' marker.",
        "% Invalid input is what the banner says",
        " description --More-- bandwidth",
        "alias exec more show run | begin more",
    ],
)
def test_a_quoted_error_is_no_error(line: str) -> None:
    text = GOOD.replace("interface Vlan20\n", f"interface Vlan20\n{line}\n")
    assert check(IOS, text, previous_size=None) == []


def test_rejection_is_told_from_other_trouble() -> None:
    error = "            ^\n% Invalid input detected at '^' marker.\n\n"
    assert rejection(IOS, error) == "% Invalid input detected at '^' marker."
    assert rejection(JUNOS, "            ^\nsyntax error, expecting <command>.\n") is not None
    assert rejection(IOS, GOOD) is None
    assert rejection(IOS, "") is None
    assert rejection(IOS, GOOD.removesuffix("end\n")) is None
    assert rejection(IOS, "hostname a\n% Invalid input\nend\n") is None


def test_a_quoted_error_line_is_bounded() -> None:
    line = rejection(IOS, "% Invalid " + "x" * 100_000)
    assert line is not None
    assert len(line) == 120
