"""Measured against reference data that is not part of the project; left out where it is missing."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REFERENCE_DATA

pytestmark = pytest.mark.corpus

CORPUS_PLATFORMS = (
    "cisco_ios",
    "cisco_xe",
    "cisco_nxos",
    "arista_eos",
    "juniper_junos",
    "vyos",
    "linux",
)


@pytest.mark.parametrize("platform", CORPUS_PLATFORMS)
def test_nothing_leaks_and_nothing_else_is_touched(platform: str, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = f"{shlex.quote(sys.executable)} manage.py redact --jsonl"
    scorer = REFERENCE_DATA / "redaction-corpus" / "score.py"
    arguments = ["--cmd", command, "--platform", platform, "--json", str(figures)]
    subprocess.run([sys.executable, str(scorer), *arguments], check=False, capture_output=True)
    found = json.loads(figures.read_text())
    assert found["secrets"] > 0
    wrong = {name: found[name] for name in ("leaked", "broken", "lost", "context_lost", "missing")}
    assert not any(wrong.values()), wrong
