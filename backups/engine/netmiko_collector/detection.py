"""Finds out the platform of a device: Netmiko's table of signs, then the platform's own words.

Netmiko's ``SSHDetect`` knows which command brings which sign, but waits seconds for each answer and
trusts the first sign that it sees. Here its table is asked over a session of ours, and what it
says counts only as a guess until the definition of that platform has been tried on the device.
"""

from __future__ import annotations

import dataclasses

from backups.engine.collector import SessionLimits
from backups.engine.completeness import rejection
from backups.engine.detection import Certainty, Detection
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.findings import facts
from backups.engine.netmiko_collector.collector import NetmikoCollector
from backups.engine.normalise import clean_text
from backups.engine.types import CommandOutput, DeviceTarget, Transport
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition, UnknownPlatform, get_platform
from inventory.platforms.definition import Command, Role

#: The definition that a device of unknown platform is asked with.
_UNKNOWN = "generic"
#: Roles whose output says what a device is.
_TELLING = (Role.VERSION, Role.INVENTORY)
#: Failures after which there is nothing more to find out.
_NO_SESSION = frozenset(
    {ErrorCategory.AUTHENTICATION, ErrorCategory.HOST_KEY, ErrorCategory.DEADLINE}
)


def detect(target: DeviceTarget, credential: DeviceCredential, limits: SessionLimits) -> Detection:
    """What ``target`` is, whatever its platform says; at most two sessions.

    Raises DeviceError when no session came about.
    """
    # Loads Netmiko and Paramiko.
    from backups.engine.netmiko_collector.logged_in import logged_in
    from backups.engine.netmiko_collector.signs import Signs

    if target.transport is not Transport.SSH:
        raise DeviceError(
            ErrorCategory.UNKNOWN_PLATFORM,
            "a platform is only detected over SSH; enter the platform by hand",
        )
    # A device that has no such mode would end the session over it.
    plain = dataclasses.replace(credential, enable_secret=None)
    with logged_in(target, plain, get_platform(_UNKNOWN), limits) as opened:
        signs = Signs(opened.session)
        device_type = signs.autodetect()
    if device_type is None:
        asked = ", ".join(f"'{command}'" for command in signs.asked)
        return _unknown(f"no known sign in the answers to {asked}")
    evidence = f"Netmiko's signs of '{device_type}' were found"
    try:
        platform = get_platform(device_type)
    except UnknownPlatform as error:
        return _unknown(evidence, str(error))
    return _confirmed(target, credential, limits, platform, evidence)


def _confirmed(
    target: DeviceTarget,
    credential: DeviceCredential,
    limits: SessionLimits,
    platform: PlatformDefinition,
    evidence: str,
) -> Detection:
    """Log in as the platform wants it and look whether its commands bring what they should."""
    commands = tuple(one for one in platform.commands if one.role in _TELLING)
    if not commands:
        return Detection(
            certainty=Certainty.LIKELY,
            platform=platform.name,
            evidence=(evidence, f"'{platform.name}' has no command that could confirm it"),
            facts={},
        )
    try:
        outputs = _asked_as(target, credential, limits, platform, commands)
    except DeviceError as error:
        if error.category in _NO_SESSION:
            raise
        return _unknown(evidence, f"a session as '{platform.name}' failed: {error.message}")
    found = facts(platform, outputs)
    if found:
        words = ", ".join(f"{fact} {value}" for fact, value in found.items())
        return Detection(
            certainty=Certainty.CONFIRMED,
            platform=platform.name,
            evidence=(evidence, f"as '{platform.name}' it says: {words}"),
            facts=found,
        )
    answered = [one.command for one in outputs if not _is_rejected(platform, one)]
    if not answered or platform.facts:
        return _unknown(evidence, f"its answers are not those of '{platform.name}'")
    return Detection(
        certainty=Certainty.LIKELY,
        platform=platform.name,
        evidence=(evidence, f"it answers '{answered[0]}', which proves little"),
        facts={},
    )


def _asked_as(
    target: DeviceTarget,
    credential: DeviceCredential,
    limits: SessionLimits,
    platform: PlatformDefinition,
    commands: tuple[Command, ...],
) -> tuple[CommandOutput, ...]:
    definition = dataclasses.replace(platform, commands=commands)
    return NetmikoCollector().collect(target, credential, definition, limits).outputs


def _is_rejected(platform: PlatformDefinition, output: CommandOutput) -> bool:
    return rejection(platform, clean_text(output.payload, pager=platform.pager)) is not None


def _unknown(*evidence: str) -> Detection:
    return Detection(certainty=Certainty.UNKNOWN, platform=None, evidence=evidence, facts={})
