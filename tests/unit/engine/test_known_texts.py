"""When a text is not redacted again, and what has it redacted again."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backups.engine.pipeline import BackupOutcome, BackupRequest, back_up
from backups.engine.redaction import Redactor
from backups.engine.redaction.fingerprint import CODE, fingerprint
from backups.engine.types import RedactedConfig
from inventory.platforms import PlatformDefinition, get_platform, redaction_vocabulary
from tests.unit.test_pipeline import KEY, LINES, Replay, answer, config, request_for

OTHER_KEY = b"another key for tests"
PLATFORM = get_platform("cisco_ios")
RULE = PLATFORM.redaction[0]
#: First-party modules beside ``CODE`` that the rules run through: types and errors only.
NO_RULES = {"backups.engine.errors", "backups.engine.types", "credentials.secret"}


class Unasked(Redactor):
    """A redactor that must not be given a configuration."""

    def redact(self, platform: PlatformDefinition | None, text: str) -> RedactedConfig:
        raise AssertionError("the text was redacted again")


def read(
    lines: list[str] = LINES,
    *,
    last: BackupOutcome | None = None,
    platform: PlatformDefinition = PLATFORM,
    redactor: Redactor | None = None,
    key: bytes = KEY,
) -> BackupOutcome:
    """One session, after one that brought ``last``."""
    redactor = redactor or Redactor(key)
    request = request_for(previous_size=None)
    request = dataclasses.replace(
        request,
        platform=platform,
        previous_sha256=sha256_of(last) if last else None,
        previous_source=last.source_digest if last else "",
    )
    collector = Replay(answer(config(lines)))
    return back_up(request, collector=collector, redactor=redactor, digest_key=key)


def sha256_of(outcome: BackupOutcome) -> str:
    if outcome.known is not None:
        return outcome.known.content_sha256
    assert outcome.config is not None
    return hashlib.sha256(outcome.config.text.encode()).hexdigest()


def with_rules(*rules: object) -> PlatformDefinition:
    return dataclasses.replace(PLATFORM, redaction=rules)  # type: ignore[arg-type]


def test_the_same_text_is_not_redacted_again_and_is_there_when_it_is_wanted() -> None:
    first = read()
    second = read(last=first, redactor=Unasked(KEY))
    assert (second.config, second.suspicions) == (None, ())
    assert (second.raw, second.raw_digest) == (first.raw, first.raw_digest)
    assert second.source_digest == first.source_digest
    third = read(last=second)
    assert third.known is not None
    assert third.known.redacted() == first.config
    assert "CANARY" not in repr(third)


def test_what_changes_by_itself_does_not_have_it_redacted_again() -> None:
    later = [line.replace("09:00:00", "10:11:12") for line in LINES]
    assert read(later, last=read(), redactor=Unasked(KEY)).known is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": [line.replace("hostname core", "hostname edge") for line in LINES]},
        # Nothing of it shows in the redacted text.
        {"lines": [line.replace("$1$abcd$", "$1$abce$") for line in LINES]},
        {"key": OTHER_KEY},
        {"redactor": Redactor(KEY, ("password", "secret", "hostname"))},
        {"platform": with_rules(*PLATFORM.redaction[1:])},
        {"platform": with_rules(dataclasses.replace(RULE, prose=not RULE.prose))},
        {"platform": with_rules(dataclasses.replace(RULE, line=re.compile("x" * 999 + "1")))},
    ],
    ids=["text", "hidden secret", "key", "keywords", "fewer rules", "another rule", "pattern"],
)
def test_whatever_may_alter_the_text_has_it_redacted_again(changes: dict[str, object]) -> None:
    outcome = read(last=read(), **changes)  # type: ignore[arg-type]
    assert outcome.known is None
    assert outcome.config is not None


def test_a_text_that_was_written_otherwise_is_not_taken_for_the_same() -> None:
    """A repair corrects the digest of a stored text: how that one came about nobody knows."""
    request = dataclasses.replace(
        request_for(previous_size=None, previous_sha256="0" * 64),
        previous_source=read().source_digest,
    )
    assert back_up_again(request).known is None
    assert back_up_again(dataclasses.replace(request, previous_source="")).known is None


def back_up_again(request: BackupRequest) -> BackupOutcome:
    collector = Replay(answer(config()))
    return back_up(request, collector=collector, redactor=Redactor(KEY), digest_key=KEY)


def test_an_output_that_is_not_trusted_leaves_nothing_to_go_by() -> None:
    cut = read(LINES[:-1])
    assert cut.suspicions
    assert (cut.config, cut.known, cut.source_digest) == (None, None, "")


def test_long_patterns_count_to_their_end() -> None:
    def with_line(pattern: str) -> str:
        rule = dataclasses.replace(RULE, line=re.compile(pattern))
        return fingerprint([rule], redaction_vocabulary(), ())

    assert with_line("x" * 999 + "1") != with_line("x" * 999 + "2")
    assert with_line("x") != fingerprint(
        [dataclasses.replace(RULE, line=re.compile("x", re.IGNORECASE))],
        redaction_vocabulary(),
        (),
    )


def test_the_fingerprint_covers_all_code_that_redacts() -> None:
    """A change of a rule's code has every text redacted anew."""
    show = (
        "import sys, backups.engine.redaction\n"
        "for name, module in sorted(sys.modules.items()):\n"
        "    print(name, getattr(module, '__file__', None))"
    )
    top = CODE[0].parents[2]
    listed = subprocess.run(
        [sys.executable, "-c", show], cwd=top, check=True, capture_output=True, text=True
    ).stdout
    loaded = dict(line.split(" ", 1) for line in listed.splitlines())
    own = {
        name: Path(file)
        for name, file in loaded.items()
        if Path(file).is_relative_to(top) and ".venv" not in file and "site-packages" not in file
    }
    assert any(path.parent == CODE[0] for path in own.values())
    beside = {name for name, path in own.items() if path.parent not in CODE}
    packages = {name for name in beside if own[name].read_text(encoding="utf-8").count("\n") <= 1}
    assert beside - packages == NO_RULES
