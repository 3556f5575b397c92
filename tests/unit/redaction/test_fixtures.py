"""Every case in ``tests/platforms``: what is stored, what is gone, what survives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backups.engine.normalise import normalise
from backups.engine.redaction import Redactor
from inventory.platforms import get_platform, platform_names

FOLDER = Path(__file__).resolve().parents[2] / "platforms"
SUFFIX = ".input.txt"
CASES = sorted(
    str(path.relative_to(FOLDER)).removesuffix(SUFFIX) for path in FOLDER.glob(f"*/*{SUFFIX}")
)
KEY = b"a-key-for-the-tests-of-redaction"


def read(case: str, part: str) -> str:
    return (FOLDER / f"{case}.{part}.txt").read_text(encoding="utf-8")


def stored(case: str) -> str:
    platform = get_platform(case.split("/")[0])
    text = normalise(platform, read(case, "input").encode())
    return Redactor(KEY).redact(platform, text).text


@pytest.mark.parametrize("case", CASES)
def test_case_is_stored_as_expected(case: str) -> None:
    assert stored(case) == read(case, "expected")


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_gone_and_the_rest_survives(case: str) -> None:
    result = stored(case)
    for secret in read(case, "secrets").splitlines():
        assert secret not in result
    for piece in read(case, "keep").splitlines():
        assert piece in result


@pytest.mark.parametrize("case", CASES)
def test_unknown_platform_loses_the_secrets_and_nothing_else(case: str) -> None:
    text = normalise(get_platform(case.split("/")[0]), read(case, "input").encode())
    result = Redactor(KEY).redact(None, text).text
    for secret in read(case, "secrets").splitlines():
        assert secret not in result
    for piece in read(case, "keep").splitlines():
        assert piece in result


def test_every_platform_has_a_case() -> None:
    covered = {case.split("/")[0] for case in CASES}
    assert set(platform_names()) - covered <= {"cisco_xe"}, "cisco_xe is cisco_ios by another name"


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for name in CASES:
        if wanted and name.split("/")[0] not in wanted:
            continue
        (FOLDER / f"{name}.expected.txt").write_text(stored(name), encoding="utf-8")
