"""Reads platform definitions and rule families from TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from inventory.platforms.definition import (
    PlatformDefinition,
    RedactionRule,
    Role,
    RuleFamily,
    Treatment,
    ValueKind,
    Vocabulary,
    VolatileLine,
)

_T = TypeVar("_T")

_FAMILY = TypeAdapter(RuleFamily)
_DEFINITION = TypeAdapter(PlatformDefinition)
_VOCABULARY = TypeAdapter(Vocabulary)

_UNKNOWN_KEY = frozenset({"unexpected_keyword_argument", "extra_forbidden"})

_NEED_TAKE = frozenset({ValueKind.SHAPE, ValueKind.BELOW, ValueKind.SECTION})

#: File of ``rules/`` that holds the vocabulary and is no family.
VOCABULARY_FILE = "vocabulary.toml"


class DefinitionError(Exception):
    """A definition file cannot be used.

    The message is one line: the file, the key inside it and the reason.
    """

    def __init__(self, path: Path, key: str, reason: str) -> None:
        self.path = path
        self.key = key
        self.reason = reason
        where = f"{path.name}: {key}" if key else path.name
        super().__init__(f"{where}: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDirectory:
    """The definitions of a directory, and what was wrong with its other files."""

    definitions: Mapping[str, PlatformDefinition]
    problems: tuple[DefinitionError, ...]


def is_definition(file_name: str) -> bool:
    """Whether a file of this name holds a definition; editors leave hidden ones beside it."""
    return file_name.endswith(".toml") and not file_name.startswith(".")


def load_directory(
    path: Path,
    *,
    families: Mapping[str, RuleFamily],
    base: Mapping[str, PlatformDefinition] | None = None,
) -> LoadedDirectory:
    """Definitions of all ``*.toml`` files in ``path`` that are not hidden.

    ``families`` are the rule families that a file may name in ``rules``; ``base`` holds
    definitions of other directories that a file may extend. A broken file stops no other one: it
    becomes an entry of ``problems``.
    """
    loader = _DirectoryLoader(path, families, base or {})
    return loader.load()


def load_families(path: Path) -> dict[str, RuleFamily]:
    """Rule families of all ``*.toml`` files in ``path``, by name.

    Raises DefinitionError for the first file that cannot be used.
    """
    families = {}
    for file in sorted(path.glob("*.toml")):
        if file.name == VOCABULARY_FILE:
            continue
        family = _validate(_FAMILY, file, {"name": file.stem, **_read(file)})
        _check_redaction(file, family.redaction)
        _check_volatile(file, family.volatile)
        families[family.name] = family
    return families


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of redaction. Raises DefinitionError."""
    vocabulary = _validate(_VOCABULARY, path, _read(path))
    for key, fragments in _values(vocabulary).items():
        for fragment in fragments:
            try:
                re.compile(fragment)
            except re.error as error:
                raise DefinitionError(path, key, f"{fragment!r} is no pattern: {error}") from error
    return vocabulary


class _DirectoryLoader:
    """One pass over a directory; files may extend each other."""

    def __init__(
        self,
        path: Path,
        families: Mapping[str, RuleFamily],
        base: Mapping[str, PlatformDefinition],
    ) -> None:
        files = (file for file in sorted(path.glob("*.toml")) if is_definition(file.name))
        self._files = {file.stem: file for file in files}
        self._families = families
        self._base = base
        self._loaded: dict[str, PlatformDefinition] = {}
        self._problems: dict[str, DefinitionError] = {}

    def load(self) -> LoadedDirectory:
        for name, file in self._files.items():
            try:
                self._load(name, file, ())
            except DefinitionError as error:
                self._problems[name] = error
        return LoadedDirectory(
            definitions=dict(sorted(self._loaded.items())),
            problems=tuple(self._problems.values()),
        )

    def _load(self, name: str, file: Path, chain: tuple[str, ...]) -> PlatformDefinition:
        if name in self._loaded:
            return self._loaded[name]
        data = _read(file)
        parent = self._parent(file, data.pop("extends", None), (*chain, name))
        families = self._named_families(file, data.pop("rules", []))
        own = _validate(_DEFINITION, file, {**_inherited(parent), "name": name, **data})
        definition = _complete(own, data, parent, families)
        _check_definition(file, name, definition)
        self._loaded[name] = definition
        return definition

    def _parent(
        self, file: Path, name: object, chain: tuple[str, ...]
    ) -> PlatformDefinition | None:
        if name is None:
            return None
        if not isinstance(name, str):
            raise DefinitionError(file, "extends", "has to be the name of a platform")
        if name in chain and not (name == chain[0] and name in self._base):
            raise DefinitionError(file, "extends", f"leads back to {name!r}")
        if name in self._files and name not in chain:
            return self._load(name, self._files[name], chain)
        if name in self._base:
            return self._base[name]
        raise DefinitionError(file, "extends", f"there is no platform {name!r}")

    def _named_families(self, file: Path, names: object) -> list[RuleFamily]:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DefinitionError(file, "rules", "has to be a list of names of rule families")
        unknown = [name for name in names if name not in self._families]
        if unknown:
            known = ", ".join(sorted(self._families))
            raise DefinitionError(file, "rules", f"unknown {unknown[0]!r}; there are: {known}")
        return [self._families[name] for name in names]


def _inherited(parent: PlatformDefinition | None) -> dict[str, Any]:
    """What a file takes over from the platform that it extends: all but what names that one."""
    if parent is None:
        return {}
    return {key: value for key, value in _values(parent).items() if key != "aliases"}


def _complete(
    own: PlatformDefinition,
    data: Mapping[str, Any],
    parent: PlatformDefinition | None,
    families: list[RuleFamily],
) -> PlatformDefinition:
    """``own`` with the lists that add up: own entries, then the families', then the parent's."""

    def joined(key: str) -> tuple[Any, ...]:
        entries = list(getattr(own, key)) if key in data else []
        for family in families:
            entries += getattr(family, key)
        if parent is not None:
            entries += getattr(parent, key)
        return tuple(dict.fromkeys(entries))

    added = {key: joined(key) for key in ("error_patterns", "volatile", "redaction")}
    return PlatformDefinition(**{**_values(own), **added})


def _values(instance: PlatformDefinition | Vocabulary) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in fields(instance)}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DefinitionError(file, "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DefinitionError(file, "", "is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(file, "", f"is no TOML: {error}") from error


def _validate(adapter: TypeAdapter[_T], file: Path, data: Mapping[str, Any]) -> _T:
    try:
        return adapter.validate_python(dict(data))
    except ValidationError as error:
        # A misspelt key is the cause, the key that is missing for it only the effect.
        first = min(error.errors(), key=lambda entry: entry["type"] not in _UNKNOWN_KEY)
        key = ".".join(str(part) for part in first["loc"])
        raise DefinitionError(file, key, _reason(first["type"], first["msg"])) from error
    except re.error as error:
        pattern = error.pattern if isinstance(error.pattern, str) else ""
        raise DefinitionError(file, _key_of(data, pattern), f"{pattern!r}: {error}") from error


def _reason(kind: str, message: str) -> str:
    if kind in _UNKNOWN_KEY:
        return "unknown key"
    if kind in ("missing", "missing_argument"):
        return "is missing"
    return message


def _key_of(data: object, pattern: str) -> str:
    """Path of the first entry of ``data`` that is ``pattern``, or an empty string."""
    entries: list[tuple[str, object]] = []
    if isinstance(data, Mapping):
        entries = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, list | tuple):
        entries = [(str(index), value) for index, value in enumerate(data)]
    for key, value in entries:
        if value == pattern:
            return key
        below = _key_of(value, pattern)
        if below:
            return f"{key}.{below}"
    return ""


def _check_definition(file: Path, name: str, definition: PlatformDefinition) -> None:
    if definition.name != name:
        raise DefinitionError(file, "name", f"has to be the name of the file, {name!r}")
    if not any(command.role is Role.RUNNING for command in definition.commands):
        raise DefinitionError(file, "commands", f"none has the role '{Role.RUNNING}'")
    for key in ("error_patterns", "never_in_config"):
        for index, pattern in enumerate(getattr(definition, key)):
            _check_joins(file, f"{key}.{index}", pattern)
    _check_facts(file, definition)
    _check_attribution(file, definition)
    _check_redaction(file, definition.redaction)
    _check_volatile(file, definition.volatile)


def _check_redaction(file: Path, rules: tuple[RedactionRule, ...]) -> None:
    for index, rule in enumerate(rules):
        key = f"redaction.{index} ({rule.name})"
        if not rule.words:
            raise DefinitionError(file, key, "names no words")
        if rule.take is not None and rule.take.groups == 0:
            raise DefinitionError(file, key, "'take' has no group around the secret")
        if rule.value in _NEED_TAKE and rule.take is None:
            raise DefinitionError(file, key, f"the value '{rule.value}' needs 'take'")


def _check_volatile(file: Path, lines: tuple[VolatileLine, ...]) -> None:
    for index, line in enumerate(lines):
        _check_joins(file, f"volatile.{index}", line.pattern)
        if line.treatment is Treatment.MASK and line.pattern.groups == 0:
            raise DefinitionError(
                file, f"volatile.{index}", "to mask needs a group around what changes"
            )


def _check_joins(file: Path, key: str, pattern: re.Pattern[str]) -> None:
    """The engine joins such patterns into one."""
    try:
        re.compile(f"(?:{pattern.pattern})")
    except re.error as error:
        raise DefinitionError(
            file, key, "flags such as (?i) may only stand inside a group"
        ) from error


def _check_facts(file: Path, definition: PlatformDefinition) -> None:
    for index, fact in enumerate(definition.facts):
        if fact.pattern.groups == 0:
            raise DefinitionError(file, f"facts.{index}", "the pattern has no group for the value")
        _check_role(file, f"facts.{index}", fact.role, definition)


def _check_attribution(file: Path, definition: PlatformDefinition) -> None:
    for index, entry in enumerate(definition.attribution):
        if not {"user", "time"} & entry.pattern.groupindex.keys():
            raise DefinitionError(
                file, f"attribution.{index}", "the pattern needs a group 'user' or 'time'"
            )
        _check_role(file, f"attribution.{index}", entry.role, definition)


def _check_role(file: Path, key: str, role: Role, definition: PlatformDefinition) -> None:
    if all(command.role is not role for command in definition.commands):
        raise DefinitionError(file, key, f"no command has the role '{role}'")
