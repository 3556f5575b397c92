"""``manage.py platforms`` and the system check: broken files of the operator are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inventory.platforms import get_platform, platform_names
from netraven_site.config import PROJECT_DIR

LAB_OS = """
title = "Lab OS"
driver = "cisco_ios"
rules = ["generic"]
commands = [{ command = "show all", role = "running-config", fallback = ["show config"] }]
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of the operator with one platform of its own."""
    (tmp_path / "lab_os.toml").write_text(LAB_OS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def broken(directory: Path) -> Path:
    """A second file in it that would replace a platform, and cannot be used."""
    file = directory / "cisco_ios.toml"
    file.write_text('extends = "cisco_ios"\nprompts = "#"\n', encoding="utf-8")
    return file


def manage(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, without a database."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_DIR,
        env={
            "PATH": os.environ["PATH"],
            "NETRAVEN_LOG_LEVEL": "ERROR",
            "NETRAVEN_PLATFORM_DIRECTORY": str(directory),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_all_platforms_are_listed(directory: Path) -> None:
    done = manage("platforms", directory=directory)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    at = lines.index("lab_os: Lab OS, driver cisco_ios")
    assert lines[at + 1] == "    running-config: show all, else show config"
    heads = [line.split(":")[0].split(" ")[0] for line in lines if not line.startswith(" ")]
    assert heads == sorted([*platform_names(), "lab_os"])


def test_json_holds_the_same(directory: Path) -> None:
    done = manage("platforms", "--json", directory=directory)
    printed = json.loads(done.stdout)
    assert printed["problems"] == []
    platforms = {entry["name"]: entry for entry in printed["platforms"]}
    assert set(platforms) == {*platform_names(), "lab_os"}
    assert platforms["lab_os"]["commands"] == [
        {"command": "show all", "role": "running-config", "fallback": ["show config"]}
    ]
    assert platforms["cisco_ios"]["aliases"] == list(get_platform("cisco_ios").aliases)


def test_broken_file_is_named_and_the_others_are_listed(broken: Path, directory: Path) -> None:
    done = manage("platforms", directory=directory)
    assert done.returncode == 1
    assert f"{broken}: prompts: unknown key" in done.stderr.splitlines()
    assert done.stderr.splitlines()[-1] == (
        "CommandError: these platforms cannot be used: cisco_ios; correct their files"
    )
    assert "lab_os: Lab OS" in done.stdout
    assert "\ncisco_ios" not in done.stdout


def test_json_names_the_broken_file_too(broken: Path, directory: Path) -> None:
    done = manage("platforms", "--json", directory=directory)
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"] == [
        {"file": str(broken), "key": "prompts", "reason": "unknown key"}
    ]


def test_system_check_warns_of_a_broken_file(broken: Path, directory: Path) -> None:
    done = manage("check", directory=directory)
    assert done.returncode == 0
    assert f"(inventory.W001) {broken}: prompts: unknown key" in done.stderr
    assert "until then the platform 'cisco_ios' is not read" in done.stderr


def test_system_check_is_content_with_good_files(directory: Path) -> None:
    done = manage("check", directory=directory)
    assert "inventory.W001" not in done.stderr
    assert "no issues" in done.stdout
