"""Platforms as data: one definition file each, and rules that families of platforms share."""

from __future__ import annotations

from inventory.platforms.catalogue import (
    BrokenPlatform,
    UnknownPlatform,
    all_redaction_rules,
    get_platform,
    platform_names,
    platform_problems,
    redaction_vocabulary,
    rule_families,
    use_directory,
)
from inventory.platforms.changes import ChangeSigns, change_in
from inventory.platforms.definition import PlatformDefinition
from inventory.platforms.loader import DefinitionError, LoadedDirectory, load_directory

__all__ = [
    "BrokenPlatform",
    "ChangeSigns",
    "DefinitionError",
    "LoadedDirectory",
    "PlatformDefinition",
    "UnknownPlatform",
    "all_redaction_rules",
    "change_in",
    "get_platform",
    "load_directory",
    "platform_names",
    "platform_problems",
    "redaction_vocabulary",
    "rule_families",
    "use_directory",
]
