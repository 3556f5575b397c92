"""The platforms that NetRaven brings along."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from inventory.platforms.definition import (
    PlatformDefinition,
    RedactionRule,
    RuleFamily,
    Vocabulary,
)
from inventory.platforms.loader import (
    VOCABULARY_FILE,
    load_directory,
    load_families,
    load_vocabulary,
)

_HERE = Path(__file__).resolve().parent
DEFINITIONS = _HERE / "definitions"
RULES = _HERE / "rules"
#: The family whose rules look for keywords anywhere; it comes last, so that others are asked first.
GENERIC_FAMILY = "generic"


class UnknownPlatform(LookupError):
    """There is no platform of this name. The message names the nearest ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        known = platform_names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"
        super().__init__(f"There is no platform {name!r}; {hint}")


def get_platform(name: str) -> PlatformDefinition:
    """The definition of a platform. Raises UnknownPlatform."""
    definition = _builtin().get(name)
    if definition is None:
        raise UnknownPlatform(name)
    return definition


def platform_names() -> tuple[str, ...]:
    """Names of all platforms, sorted."""
    return tuple(sorted(_builtin()))


@cache
def rule_families() -> Mapping[str, RuleFamily]:
    """The rule families that definitions may name in ``rules``."""
    return load_families(RULES)


@cache
def redaction_vocabulary() -> Vocabulary:
    """The words that redaction knows, whatever the platform."""
    return load_vocabulary(RULES / VOCABULARY_FILE)


@cache
def all_redaction_rules() -> tuple[RedactionRule, ...]:
    """The rules of all families, for texts of unknown platforms; the generic ones last."""
    families = sorted(rule_families().values(), key=lambda f: (f.name == GENERIC_FAMILY, f.name))
    return tuple(rule for family in families for rule in family.redaction)


@cache
def _builtin() -> Mapping[str, PlatformDefinition]:
    loaded = load_directory(DEFINITIONS, families=rule_families())
    if loaded.problems:
        raise loaded.problems[0]
    return loaded.definitions
