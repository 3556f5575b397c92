"""The platforms that NetRaven brings along, and those of the operator's own directory."""

from __future__ import annotations

import difflib
import errno
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

import structlog

from inventory.platforms.definition import (
    PlatformDefinition,
    RedactionRule,
    RuleFamily,
    Vocabulary,
)
from inventory.platforms.loader import (
    VOCABULARY_FILE,
    DefinitionError,
    LoadedDirectory,
    is_definition,
    load_directory,
    load_families,
    load_vocabulary,
)

logger = structlog.get_logger(__name__)

_HERE = Path(__file__).resolve().parent
DEFINITIONS = _HERE / "definitions"
RULES = _HERE / "rules"
#: The family whose rules look for keywords anywhere; it comes last, so that others are asked first.
GENERIC_FAMILY = "generic"
#: The platform of devices that no other one fits; nobody knows whose forms their texts hold.
UNKNOWN_DEVICE = "generic"

#: Names, times of change (ns) and sizes of the files of a directory.
_Signature = tuple[tuple[str, int, int], ...]


class UnknownPlatform(LookupError):
    """There is no platform of this name. The message names the nearest ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        known = platform_names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are: {', '.join(known)}"
        super().__init__(f"There is no platform {name!r}; {hint}")


class BrokenPlatform(UnknownPlatform):
    """The file of this platform cannot be used. The message names file, key and reason.

    A definition that the file would have replaced is not used instead: its redaction may be the
    very thing that the file was written for.
    """

    def __init__(self, name: str, problem: DefinitionError) -> None:
        self.name = name
        LookupError.__init__(self, f"The platform {name!r} cannot be used: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    definitions: Mapping[str, PlatformDefinition]
    #: Name of the platform by each of its other names.
    aliases: Mapping[str, str]
    problems: Mapping[str, DefinitionError]
    #: The rules of all platforms.
    redaction: tuple[RedactionRule, ...]
    #: Why no platform at all can be used: nobody knows which of them the directory would replace.
    closed: DefinitionError | None = None
    #: What nobody has logged yet of the problems.
    untold: deque[tuple[str, DefinitionError]] = field(default_factory=deque)


class _OwnDirectory:
    """A directory of the operator, looked at again at each question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last_good: _Catalogue | None = None
        self._failure = ""

    def catalogue(self) -> _Catalogue:
        """What comes along, and what the directory holds, or held when it could be read last."""
        try:
            found = _told(_read_catalogue(self._path, _signature(self._path)))
        except OSError as error:
            reason = error.strerror or str(error)
            self._note(reason)
            return self._last_good or _closed_catalogue(self._path, reason)
        self._note("")
        self._last_good = found
        return found

    def _note(self, failure: str) -> None:
        # First of all: what is logged is redacted, which asks for the catalogue.
        before, self._failure = self._failure, failure
        if failure and failure != before:
            logger.error("platform.directory_unreadable", directory=str(self._path), error=failure)


_directory: _OwnDirectory | None = None


def use_directory(path: Path | None) -> None:
    """Take definitions of ``path`` as well; one replaces a platform of the same name.

    The directory is looked at again at each question, so that a changed file counts at once. While
    it cannot be listed, what it held before counts; without that no platform can be used.
    """
    global _directory
    _directory = None if path is None else _OwnDirectory(path)


def get_platform(name: str) -> PlatformDefinition:
    """The definition of a platform, by its name or another name of it.

    Raises UnknownPlatform, or BrokenPlatform if its file cannot be used.
    """
    catalogue = _catalogue()
    own_name = catalogue.aliases.get(name, name)
    problem = catalogue.closed or catalogue.problems.get(own_name)
    if problem is not None:
        raise BrokenPlatform(own_name, problem)
    definition = catalogue.definitions.get(own_name)
    if definition is None:
        raise UnknownPlatform(name)
    return definition


def platform_names() -> tuple[str, ...]:
    """Names of all platforms that can be used, sorted; without their aliases."""
    return tuple(sorted(_catalogue().definitions))


def platform_problems() -> tuple[DefinitionError, ...]:
    """What is wrong with the files that cannot be used."""
    return tuple(_catalogue().problems.values())


@cache
def rule_families() -> Mapping[str, RuleFamily]:
    """The rule families that definitions may name in ``rules``."""
    return load_families(RULES)


@cache
def redaction_vocabulary() -> Vocabulary:
    """The words that redaction knows, whatever the platform."""
    return load_vocabulary(RULES / VOCABULARY_FILE)


def all_redaction_rules() -> tuple[RedactionRule, ...]:
    """The rules of all platforms, for texts of unknown ones.

    Those of single platforms come first, then those of the families, the generic ones last.
    """
    return _catalogue().redaction


@cache
def _builtin() -> LoadedDirectory:
    return load_directory(DEFINITIONS, families=rule_families())


def _catalogue() -> _Catalogue:
    return _told(_read_catalogue(None, ())) if _directory is None else _directory.catalogue()


def _signature(directory: Path) -> _Signature:
    """Raises OSError if the directory cannot be listed."""
    entries = []
    with os.scandir(directory) as listing:
        for entry in listing:
            # A link that leads nowhere, which the loader tells of, or a file that has just gone.
            with suppress(FileNotFoundError):
                if is_definition(entry.name):
                    found = entry.stat()
                    entries.append((entry.name, found.st_mtime_ns, found.st_size))
    return tuple(sorted(entries))


@lru_cache(maxsize=2)
def _read_catalogue(directory: Path | None, signature: _Signature) -> _Catalogue:
    """Raises OSError if a file of ``signature`` has gone."""
    builtin = _builtin()
    definitions = dict(builtin.definitions)
    problems = {problem.path.stem: problem for problem in builtin.problems}
    if directory is not None:
        own = load_directory(directory, families=rule_families(), base=builtin.definitions)
        read = own.definitions.keys() | {problem.path.stem for problem in own.problems}
        for name in (Path(file).stem for file, *_ in signature):
            if name not in read:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            problems.pop(name, None)
        definitions |= own.definitions
        problems |= {problem.path.stem: problem for problem in own.problems}
    usable = {name: one for name, one in definitions.items() if name not in problems}
    redaction = _all_rules(usable)
    if UNKNOWN_DEVICE in usable:
        usable[UNKNOWN_DEVICE] = replace(usable[UNKNOWN_DEVICE], redaction=redaction)
    aliases = {alias: name for name, one in definitions.items() for alias in one.aliases}
    return _Catalogue(
        definitions=usable,
        aliases={alias: name for alias, name in aliases.items() if alias not in definitions},
        problems=problems,
        redaction=redaction,
        untold=deque(problems.items()),
    )


def _told(catalogue: _Catalogue) -> _Catalogue:
    """The catalogue, with its problems logged once."""
    problems = []
    # All of them first: what is logged is redacted, which asks for the catalogue.
    with suppress(IndexError):
        while True:
            problems.append(catalogue.untold.popleft())
    for name, problem in problems:
        logger.error("platform.unusable", platform=name, error=str(problem))
    return catalogue


@lru_cache(maxsize=2)
def _closed_catalogue(directory: Path, reason: str) -> _Catalogue:
    """No platform, but the rules of those that come along, for messages."""
    problem = DefinitionError(directory, "", f"cannot be listed: {reason}")
    return _Catalogue(
        definitions={},
        aliases={},
        problems={directory.name: problem},
        redaction=_all_rules(_builtin().definitions),
        closed=problem,
    )


def _all_rules(definitions: Mapping[str, PlatformDefinition]) -> tuple[RedactionRule, ...]:
    families = sorted(rule_families().values(), key=lambda f: (f.name == GENERIC_FAMILY, f.name))
    # A dict, because a list would be searched for each rule of each platform.
    shared = dict.fromkeys(rule for family in families for rule in family.redaction)
    own = [rule for one in definitions.values() for rule in one.redaction if rule not in shared]
    return tuple(dict.fromkeys([*own, *shared]))
