"""One session from the connection to the last command."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backups.engine.collector import NO_GUARD, LogInGuard, SessionLimits
from backups.engine.completeness import rejection
from backups.engine.errors import DeviceError
from backups.engine.outputs import output_text
from backups.engine.types import Collection, CommandOutput, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import Command, Role

if TYPE_CHECKING:
    from backups.engine.netmiko_collector.session import Session

#: What a session ends with when the device does not answer or hangs up.
_SESSION_ERRORS = (DeviceError, OSError, EOFError)


class NetmikoCollector:
    """The collector for every platform that Netmiko has a driver for."""

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        """See ``Collector.collect``."""
        # Loads Netmiko and Paramiko.
        from backups.engine.netmiko_collector.logged_in import logged_in

        with logged_in(target, credential, platform, limits, guard) as opened:
            begun = time.monotonic()
            outputs, notes = _ask_all(opened.session, platform)
            return Collection(
                outputs=outputs,
                host_key=opened.session.host_key,
                phase_seconds={**opened.phase_seconds, "collect": time.monotonic() - begun},
                jump_host_keys=opened.jump_host_keys,
                notes=notes,
                prompt=opened.session.prompt_text or None,
            )


def _ask_all(
    session: Session, platform: PlatformDefinition
) -> tuple[tuple[CommandOutput, ...], tuple[str, ...]]:
    """The outputs of all commands, and what went wrong with those that are not needed."""
    outputs: list[CommandOutput] = []
    left_out: list[CommandOutput] = []
    for command in sorted(platform.commands, key=lambda one: one.role is not Role.RUNNING):
        try:
            output, is_answer = _ask(session, platform, command)
        except _SESSION_ERRORS as error:
            if command.role is Role.RUNNING:
                raise
            # The session may be out of step; the configuration is at home already.
            reason = error.message if isinstance(error, DeviceError) else "the connection broke"
            return _with_some(outputs, left_out), (f"'{command.command}': {reason}",)
        (outputs if is_answer or not command.optional else left_out).append(output)
    return _with_some(outputs, left_out), ()


def _with_some(
    outputs: list[CommandOutput], left_out: list[CommandOutput]
) -> tuple[CommandOutput, ...]:
    """``outputs``, or all of them where the device knew none of the optional commands."""
    has_config = any(output.role is Role.RUNNING for output in outputs)
    return tuple(outputs if has_config else [*left_out, *outputs])


def _ask(
    session: Session, platform: PlatformDefinition, command: Command
) -> tuple[CommandOutput, bool]:
    """The output of the first form of ``command`` that is no rejection, and whether one was."""
    for text in (command.command, *command.fallback):
        payload = session.ask(text, role=command.role)
        output = CommandOutput(command=text, role=command.role, payload=payload)
        if rejection(platform, output_text(platform, output)) is None:
            return output, True
    return output, False
