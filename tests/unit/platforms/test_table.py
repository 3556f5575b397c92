"""``docs/platforms.md`` says what the definitions, the loader and the tests say.

``python -m tests.unit.platforms.test_table`` writes its table anew.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from pydantic import ConfigDict, TypeAdapter

from inventory.platforms import (
    LoadedDirectory,
    PlatformDefinition,
    get_platform,
    load_directory,
    rule_families,
)
from inventory.platforms.definition import Command, Role
from tests.unit.platforms.test_rules_are_exercised import NAMES, cases, own
from tests.unit.redaction.test_fixtures import FOLDER

PROJECT = Path(__file__).resolve().parents[3]
PAGE = PROJECT / "docs" / "platforms.md"
BEGIN = "<!-- The table: written by python -m tests.unit.platforms.test_table -->"
END = "<!-- End of the table -->"
#: Kinds of sessions in the order of their worth, and the words for them.
KINDS: Final = {
    "recorded": "recorded device",
    "excerpt": "excerpt of a recorded device",
    "made": "written after a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """A program and the test that reads it."""

    program: str
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What platforms were tested with beside their cases, by platform."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    recorded: Mapping[str, Sequence[str]]
    excerpt: Mapping[str, Sequence[str]]
    made: Mapping[str, Sequence[str]]
    real_software: Mapping[str, Software]

    def sessions(self, kind: str) -> Mapping[str, Sequence[str]]:
        """Names of the sessions of one of ``KINDS``, by platform."""
        found: Mapping[str, Sequence[str]] = getattr(self, kind)
        return found


def load_evidence() -> Evidence:
    """What ``tests/platforms/evidence.toml`` says."""
    text = (FOLDER / "evidence.toml").read_text(encoding="utf-8")
    return TypeAdapter(Evidence).validate_python(tomllib.loads(text))


def section() -> str:
    """What stands between the markers."""
    evidence = load_evidence()
    lines = [
        "",
        summary(evidence),
        "",
        "| platform | title | commands | tested with | restore | notes |",
        "|---|---|---|---|---|---|",
        *(row(get_platform(name), evidence) for name in NAMES),
        "",
    ]
    return "\n".join(lines)


def summary(evidence: Evidence) -> str:
    """How many platforms were tested with what."""
    sessions = {kind: sum(map(len, evidence.sessions(kind).values())) for kind in KINDS}
    real = evidence.recorded.keys() | evidence.excerpt.keys() | evidence.real_software.keys()
    return (
        f"There are {len(NAMES)} platforms. {len(real)} of them were read from recordings of real "
        f"devices ({sessions['recorded']} whole sessions, {sessions['excerpt']} excerpts) or from "
        f"real software ({len(evidence.real_software)}); {sessions['made']} more sessions were "
        "written after a device. All others were read from the written sessions of this project "
        f"alone. {sum(bool(get_platform(name).restore) for name in NAMES)} of them have "
        "[steps of their own](howto/restore-a-device.md) for a restore; the others get general "
        "ones."
    )


def row(platform: PlatformDefinition, evidence: Evidence) -> str:
    names = f"`{platform.name}`"
    if platform.aliases:
        names += "<br>also " + ", ".join(f"`{alias}`" for alias in platform.aliases)
    cells = (
        names,
        platform.title,
        "<br>".join(commands(platform)),
        "<br>".join(evidence_of(platform, evidence)),
        f"{len(platform.restore)} steps" if platform.restore else "general",
        " ".join(text for text in (platform.changes_device, platform.note) if text),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def commands(platform: PlatformDefinition) -> Iterator[str]:
    """The commands of each role."""
    for role in Role:
        of_role = [command for command in platform.commands if command.role is role]
        if of_role:
            yield f"{role}: " + "; ".join(map(forms, of_role))


def forms(command: Command) -> str:
    """A command and what is asked in its place."""
    return ", else ".join(code(text) for text in (command.command, *command.fallback))


def code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def evidence_of(platform: PlatformDefinition, evidence: Evidence) -> Iterator[str]:
    for kind, words in KINDS.items():
        sessions = evidence.sessions(kind).get(platform.name)
        if sessions:
            yield f"{words}: {', '.join(sessions)}"
    software = evidence.real_software.get(platform.name)
    if software is not None:
        yield f"real software: {software.program} ([test](../{software.test}))"
    written = [case.split("/")[1] for case in cases(platform.name)]
    yield f"written session: {', '.join(written)}" if written else f"as `{parent(platform)}`"


def parent(platform: PlatformDefinition) -> str:
    """The platform whose name and title alone are replaced."""
    return str(own(platform.name)["extends"])


def parts(text: str) -> tuple[str, str, str]:
    """The page up to the marker of the table, the table, and the rest."""
    head, begin, rest = text.partition(BEGIN)
    table, end, tail = rest.partition(END)
    assert begin and end, f"{PAGE} lacks {BEGIN!r} or {END!r}"
    return head + begin + "\n", table.removeprefix("\n"), end + tail


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def example() -> str:
    """The definition that the page shows."""
    return page().partition("```toml\n")[2].partition("```")[0]


def load(folder: Path, text: str) -> LoadedDirectory:
    (folder / "lab_os.toml").write_text(text, encoding="utf-8")
    return load_directory(folder, families=rule_families())


def test_example_can_be_used(tmp_path: Path) -> None:
    assert load(tmp_path, example()).problems == ()


def test_error_message_is_a_real_one(tmp_path: Path) -> None:
    (shown,) = (line.strip() for line in page().splitlines() if line.startswith("    lab_os.toml"))
    without_group = "volatile = [{ pattern = 'uptime is ', treatment = \"mask\" }]"
    head = example().partition("volatile = [")[0]
    (problem,) = load(tmp_path, head + without_group).problems
    assert str(problem) == shown


def test_every_key_is_explained() -> None:
    rows = page().partition("| key | meaning |")[2].partition("\n\n")[0].splitlines()[2:]
    explained = [line.split("`")[1] for line in rows]
    keys = {field.name for field in dataclasses.fields(PlatformDefinition)}
    assert sorted(explained) == sorted(keys | {"extends", "rules"})


def test_every_role_is_explained() -> None:
    rows = page().partition("| role | ")[2].partition("\n\n")[0]
    assert [role for role in Role if f"`{role}`" not in rows] == []


def test_table_says_what_the_data_say() -> None:
    _, table, _ = parts(page())
    assert table == section(), "run python -m tests.unit.platforms.test_table"


@pytest.mark.parametrize("kind", [*KINDS, "real_software"])
def test_evidence_is_about_platforms_that_exist(kind: str) -> None:
    assert set(getattr(load_evidence(), kind)) <= set(NAMES)


@pytest.mark.parametrize("name", load_evidence().real_software)
def test_real_software_has_its_test(name: str) -> None:
    assert (PROJECT / load_evidence().real_software[name].test).is_file()


if __name__ == "__main__":
    before, _, after = parts(page())
    PAGE.write_text(before + section() + after, encoding="utf-8")
