"""The platforms that come along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from netmiko.ssh_dispatcher import platforms as netmiko_platforms

from backups.engine.redaction import Redactor
from inventory.platforms import (
    BrokenPlatform,
    UnknownPlatform,
    all_redaction_rules,
    get_platform,
    platform_names,
    platform_problems,
    use_directory,
)

LAB_OS = """
title = "Lab OS"
driver = "cisco_ios"
rules = ["generic"]
commands = [{ command = "show all", role = "running-config" }]
"""


def test_every_file_that_comes_along_can_be_used() -> None:
    assert platform_problems() == ()
    assert len(platform_names()) >= 97


def test_no_two_platforms_share_a_name() -> None:
    names = list(platform_names())
    names += [alias for name in platform_names() for alias in get_platform(name).aliases]
    assert sorted(names) == sorted(set(names))


def test_a_platform_is_found_by_its_other_names() -> None:
    assert get_platform("huawei_vrp").name == "huawei"


@pytest.mark.parametrize("name", platform_names())
def test_definition_is_usable(name: str) -> None:
    definition = get_platform(name)
    assert definition.name == name
    assert definition.driver in netmiko_platforms
    assert definition.commands
    assert definition.redaction
    assert definition.error_patterns


def test_unknown_platform_names_the_near_ones() -> None:
    with pytest.raises(UnknownPlatform, match=r"'cisco_ois'.*did you mean .*cisco_ios"):
        get_platform("cisco_ois")
    with pytest.raises(UnknownPlatform, match="there are: a10"):
        get_platform("???")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory of the operator."""
    use_directory(tmp_path)
    yield tmp_path
    use_directory(None)


def test_an_operators_file_adds_a_platform_while_running(directory: Path) -> None:
    with pytest.raises(UnknownPlatform):
        get_platform("lab_os")
    (directory / "lab_os.toml").write_text(LAB_OS)
    assert get_platform("lab_os").commands[0].command == "show all"
    (directory / "lab_os.toml").write_text(LAB_OS.replace("show all", "show everything"))
    assert get_platform("lab_os").commands[0].command == "show everything"


def test_messages_are_redacted_by_the_rules_of_a_new_file(directory: Path) -> None:
    redactor = Redactor(b"a-key-for-the-tests-of-the-catalogue")
    message = "the lab says: sesame plum-jam-7"
    assert redactor.redact_message(message) == message
    rule = '\n[[redaction]]\nname = "lab-sesame"\nwords = ["sesame"]\n'
    (directory / "lab_os.toml").write_text(LAB_OS + rule)
    assert "plum-jam-7" not in redactor.redact_message(message)


def test_an_operators_file_replaces_a_platform(directory: Path) -> None:
    (directory / "cisco_ios.toml").write_text('extends = "cisco_ios"\ntitle = "Ours"\n')
    assert get_platform("cisco_ios").title == "Ours"
    assert get_platform("cisco_ios").end_markers
    assert get_platform("cisco_xe").title != "Ours", "it extends the platform that came along"


def test_a_broken_file_is_refused_and_the_others_go_on(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "lab_os.toml").write_text(LAB_OS)
    (directory / "cisco_ios.toml").write_text('extends = "cisco_ios"\nprompts = "#"\n')
    assert get_platform("lab_os").title == "Lab OS"
    with pytest.raises(BrokenPlatform, match=r"cisco_ios\.toml: prompts: unknown key"):
        get_platform("cisco_ios")
    assert [str(problem) for problem in platform_problems()] == [
        "cisco_ios.toml: prompts: unknown key"
    ]
    assert "cisco_ios" not in platform_names()
    assert caplog.text.count("platform.unusable") == 1, "each line that is logged is redacted"


OURS = 'extends = "cisco_ios"\ntitle = "Ours"\n'


def test_a_directory_that_vanishes_takes_no_rules_along(directory: Path) -> None:
    (directory / "cisco_ios.toml").write_text(OURS)
    assert get_platform("cisco_ios").title == "Ours"
    away = directory.rename(directory.with_name("away"))
    assert get_platform("cisco_ios").title == "Ours"
    away.rename(directory)
    (directory / "cisco_ios.toml").write_text(OURS.replace("Ours", "Ours again"))
    assert get_platform("cisco_ios").title == "Ours again"


def test_no_platform_is_used_while_nobody_knows_which_ones_are_replaced(directory: Path) -> None:
    directory.rmdir()
    for name in ("cisco_ios", "huawei_vrp", "lab_os"):
        with pytest.raises(BrokenPlatform, match="cannot be listed: No such file or directory"):
            get_platform(name)
    assert len(platform_problems()) == 1
    assert all_redaction_rules(), "messages are redacted all the same"


def test_what_an_editor_leaves_in_the_directory_does_no_harm(directory: Path) -> None:
    (directory / "cisco_ios.toml").write_text(OURS)
    (directory / ".#cisco_ios.toml").symlink_to("somebody@host.4711")
    assert get_platform("cisco_ios").title == "Ours"
    assert platform_problems() == ()


def test_a_link_that_leads_nowhere_breaks_its_own_platform_only(directory: Path) -> None:
    (directory / "cisco_ios.toml").symlink_to(directory / "missing")
    assert get_platform("cisco_nxos").name == "cisco_nxos"
    with pytest.raises(BrokenPlatform, match=r"cisco_ios\.toml: cannot be read"):
        get_platform("cisco_ios")
