"""Every definition has its cases, and every rule that a definition brings is used in one of them.

What a definition takes over from a rule family or from another platform is not looked at here.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from backups.engine.normalise import clean_text, neutralise, normalise
from backups.engine.redaction import Redactor
from inventory.platforms import PlatformDefinition, get_platform
from inventory.platforms.catalogue import DEFINITIONS
from inventory.platforms.definition import RedactionRule, Role, ValueKind
from tests.support.scripted_device_script import SUFFIX, Recording, load_script
from tests.unit.redaction.test_fixtures import FOLDER, KEY, read

PARTS = (
    "input.txt",
    "again.txt",
    "expected.txt",
    "secrets.txt",
    "keep.txt",
    "session.toml",
)
#: A definition of these keys alone is another one by another name, and needs no case of its own.
NAMESAKE = frozenset({"extends", "title", "driver", "telnet_driver", "aliases", "note"})
REDACTOR = Redactor(KEY)


@cache
def own(name: str) -> dict[str, Any]:
    """What the file of a definition says itself."""
    return tomllib.loads((DEFINITIONS / f"{name}.toml").read_text(encoding="utf-8"))


NAMES = sorted(path.stem for path in DEFINITIONS.glob("*.toml"))
WITH_CASES = [name for name in NAMES if not own(name).keys() <= NAMESAKE]
every_definition = pytest.mark.parametrize("name", WITH_CASES)


def entries(key: str) -> list[Any]:
    """Each own entry of ``key`` as a test parameter: the platform and the entry."""
    return [
        pytest.param(name, entry, id=f"{name}-{key}-{index}")
        for name in NAMES
        for index, entry in enumerate(own(name).get(key, []))
    ]


@cache
def cases(name: str) -> tuple[str, ...]:
    """The cases of a platform as ``PLATFORM/CASE``."""
    files = (FOLDER / name).glob("*.*.*")
    return tuple(sorted({f"{name}/{file.name.split('.')[0]}" for file in files}))


@cache
def recording(case: str) -> Recording:
    return load_script(FOLDER / f"{case}{SUFFIX}")


def printed(name: str, role: Role) -> Iterator[str]:
    """What the commands of ``role`` print in the cases of a platform."""
    for command in get_platform(name).commands:
        if command.role is not role:
            continue
        for case in cases(name):
            for text in (command.command, *command.fallback):
                answer = recording(case).text(text, first=True)
                if answer is not None:
                    yield clean_text(answer.encode())


def all_lines(name: str) -> set[str]:
    """Every line that a device prints in the cases of a platform."""
    lines: set[str] = set()
    for case in cases(name):
        texts = [read(case, "input"), read(case, "again")]
        for text in (*texts, *recording(case).script.commands.values()):
            lines.update(clean_text(text.encode()).split("\n"))
    return lines


def stored(platform: PlatformDefinition, case: str, part: str) -> str:
    return REDACTOR.redact(platform, normalise(platform, read(case, part).encode())).text


@every_definition
def test_there_is_a_case_with_all_its_parts(name: str) -> None:
    assert cases(name), f"tests/platforms/{name} holds no case"
    for case in cases(name):
        missing = [part for part in PARTS if not (FOLDER / f"{case}.{part}").is_file()]
        assert missing == [], case


@every_definition
def test_second_print_of_an_unchanged_device_is_stored_alike(name: str) -> None:
    platform = get_platform(name)
    for case in cases(name):
        assert stored(platform, case, "again") == stored(platform, case, "input"), case


@every_definition
def test_second_print_differs_where_something_is_volatile(name: str) -> None:
    platform = get_platform(name)
    differs = any(read(case, "again") != read(case, "input") for case in cases(name))
    if differs:
        assert platform.volatile, "nothing is volatile, so the device prints the same again"
    else:
        assert not own(name).get("volatile"), "volatile values have to differ in again.txt"


@every_definition
def test_nothing_that_is_kept_is_volatile(name: str) -> None:
    volatile = get_platform(name).volatile
    for case in cases(name):
        for piece in read(case, "keep").splitlines():
            assert neutralise(volatile, piece) == piece, case


@every_definition
def test_every_command_is_answered(name: str) -> None:
    for command in get_platform(name).commands:
        forms = (command.command, *command.fallback)
        answers = [recording(case).text(form, first=True) for case in cases(name) for form in forms]
        assert any(answer is not None for answer in answers), forms


@pytest.mark.parametrize(("name", "entry"), entries("volatile"))
def test_volatile_pattern_matches_a_line(name: str, entry: dict[str, str]) -> None:
    pattern = re.compile(entry["pattern"], re.MULTILINE)
    assert any(pattern.match(line) for line in all_lines(name)), entry["pattern"]


@pytest.mark.parametrize(("name", "entry"), entries("redaction"))
def test_redaction_rule_does_something(name: str, entry: dict[str, Any]) -> None:
    platform = get_platform(name)
    rule = next(rule for rule in platform.redaction if rule.name == entry["name"])
    assert any(is_used(rule, platform, case) for case in cases(name)), entry["name"]


def is_used(rule: RedactionRule, platform: PlatformDefinition, case: str) -> bool:
    text = normalise(platform, read(case, "input").encode())
    result = REDACTOR.redact(platform, text)
    if rule.value is not ValueKind.KEEP:
        return rule.name in result.replaced
    # Such a rule keeps later ones away, so without it something else is replaced.
    others = tuple(other for other in platform.redaction if other is not rule)
    return REDACTOR.redact(dataclasses.replace(platform, redaction=others), text) != result


@pytest.mark.parametrize(("name", "entry"), [*entries("facts"), *entries("attribution")])
def test_fact_is_found(name: str, entry: dict[str, str]) -> None:
    pattern = re.compile(entry["pattern"], re.MULTILINE)
    texts = printed(name, Role(entry["role"]))
    assert any(pattern.search(text) for text in texts), entry["pattern"]
