"""Definition files: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.platforms import LoadedDirectory, load_directory, rule_families
from inventory.platforms.loader import DefinitionError, load_families, load_vocabulary

GOOD = """\
title = "Lab OS"
driver = "cisco_ios"
commands = [{ command = "show running-config", role = "running-config" }]
"""


def load(folder: Path, **files: str) -> LoadedDirectory:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return load_directory(folder, families=rule_families())


def test_a_good_file_is_loaded(tmp_path: Path) -> None:
    definition = load(tmp_path, lab_os=GOOD + 'rules = ["generic"]').definitions["lab_os"]
    assert definition.name == "lab_os"
    assert definition.commands[0].command == "show running-config"
    assert definition.redaction == rule_families()["generic"].redaction


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("title = ", "", "is no TOML"),
        (GOOD.replace("driver", "diver"), "diver", "unknown key"),
        (GOOD.replace('title = "Lab OS"\n', ""), "title", "is missing"),
        (GOOD.replace('"Lab OS"', '""'), "title", "at least 1 character"),
        (GOOD.replace('role = "running-config"', "rule = 1"), "commands.0.", ""),
        (GOOD + "end_markers = ['(unclosed']", "end_markers", "unterminated"),
        (GOOD + 'privileged_mode = "sometimes"', "privileged_mode", "'never'"),
        (GOOD + 'rules = ["no_such"]', "rules", "unknown 'no_such'"),
        (GOOD + 'rules = "generic"', "rules", "has to be a list"),
        (GOOD + 'extends = "no_such"', "extends", "there is no platform"),
        (GOOD + 'restore = "one"', "restore", "valid tuple"),
        (GOOD + 'restore = ["one", ""]', "restore.1", "at least 1 character"),
        (GOOD + 'restore = ["two\\nlines"]', "restore.0", "match pattern"),
        (GOOD + f"restore = [{'x' * 601!r}]", "restore.0", "at most 600 characters"),
        (GOOD + f"restore = {['x'] * 21!r}", "restore", "at most 20 items"),
        (GOOD + 'extends = "lab_os"', "extends", "leads back"),
        (GOOD + 'name = "other"', "name", "has to be the name of the file"),
        (
            GOOD.replace('[{ command = "show running-config", role = "running-config" }]', "[]"),
            "commands",
            "none has the role",
        ),
        (
            GOOD + "volatile = [{ pattern = 'x', treatment = 'mask' }]",
            "volatile.0",
            "needs a group",
        ),
        (
            GOOD + "volatile = [{ pattern = 'x', treatment = 'hide' }]",
            "volatile.0.treatment",
            "'drop'",
        ),
        (GOOD + "error_patterns = ['(?i)no']", "error_patterns.0", "inside a group"),
        (GOOD + "never_in_config = ['(?i)no']", "never_in_config.0", "inside a group"),
        (
            GOOD + "volatile = [{ pattern = '(?i)no', treatment = \"drop\" }]",
            "volatile.0",
            "inside a group",
        ),
        (GOOD + '[[redaction]]\nname = "r"\nwords = []', "redaction.0 (r)", "names no words"),
        (GOOD + '[[redaction]]\nname = "r"\nwords = ["Key"]', "redaction.0.words.0", "pattern"),
        (
            GOOD + '[[redaction]]\nname = "r"\nwords = ["key"]\ntake = "x"',
            "redaction.0 (r)",
            "no group",
        ),
        (
            GOOD + '[[redaction]]\nname = "r"\nwords = ["key"]\nvalue = "shape"',
            "redaction.0 (r)",
            "needs 'take'",
        ),
        (
            GOOD + '[[redaction]]\nname = "r"\nwords = ["key"]\nvalue = "below"',
            "redaction.0 (r)",
            "needs 'take'",
        ),
        (
            GOOD + '[[redaction]]\nname = "r"\nwords = ["key"]\nthen = "["',
            "redaction.0.then",
            "unterminated",
        ),
    ],
)
def test_errors_name_file_key_and_reason(tmp_path: Path, text: str, key: str, reason: str) -> None:
    loaded = load(tmp_path, lab_os=text)
    assert not loaded.definitions
    (problem,) = loaded.problems
    assert str(problem).startswith("lab_os.toml: ")
    assert problem.key.startswith(key)
    assert reason in problem.reason
    assert "\n" not in str(problem)


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    loaded = load(tmp_path, broken="title = ", good=GOOD)
    assert list(loaded.definitions) == ["good"]
    assert [problem.path.name for problem in loaded.problems] == ["broken.toml"]


def test_a_file_extends_another_and_lists_add_up(tmp_path: Path) -> None:
    parent = GOOD + "error_patterns = ['^parent']\nend_markers = ['^end$']"
    child = 'extends = "parent"\ntitle = "Child"\nerror_patterns = [\'^child\']'
    loaded = load(tmp_path, parent=parent, child=child).definitions
    assert loaded["child"].driver == "cisco_ios"
    assert [p.pattern for p in loaded["child"].error_patterns] == ["^child", "^parent"]
    assert loaded["child"].end_markers == loaded["parent"].end_markers


def test_an_operators_file_may_extend_a_platform_of_the_same_name(tmp_path: Path) -> None:
    base = load(tmp_path, lab_os=GOOD).definitions
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "lab_os.toml").write_text('extends = "lab_os"\ntitle = "Own"', encoding="utf-8")
    own = load_directory(folder, families=rule_families(), base=base).definitions["lab_os"]
    assert (own.title, own.driver) == ("Own", "cisco_ios")


def test_broken_family_and_vocabulary_are_named(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("rules = 1", encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"own\.toml: rules: unknown key"):
        load_families(tmp_path)
    with pytest.raises(DefinitionError, match=r"own\.toml: .*: "):
        load_vocabulary(tmp_path / "own.toml")
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_vocabulary(tmp_path / "none.toml")
