"""The tests that docs/security-checks.md names are there, and every check names some."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (PROJECT / "docs" / "security-checks.md").read_text("utf-8").splitlines()
    if "::test_" in line
]
NAMED = sorted({name for row in ROWS for name in re.findall(r"`(tests/[^`]+)`", row[-1])})


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    path, _, function = name.partition("::")
    tree = ast.parse((PROJECT / path).read_text("utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert function in functions


def test_each_check_has_its_row() -> None:
    numbers = [row[0] for row in ROWS if row[0].isdigit()]
    assert numbers == [str(number) for number in range(19, 31)]
    assert all(len(re.findall(r"`tests/", row[-1])) >= 1 for row in ROWS)
