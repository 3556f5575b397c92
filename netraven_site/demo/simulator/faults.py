"""What can be wrong with a simulated device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from netraven_site.demo.simulator.errors import SimulatorError


class FaultKind(StrEnum):
    """Name of a fault, as it stands in spec files and control commands."""

    HANG_AT_LOGIN = "hang_at_login"
    """The log-in is neither accepted nor refused, as when the device waits for its AAA server."""
    HANG_AFTER_LOGIN = "hang_after_login"
    """The log-in works, then nothing is printed."""
    HANG_MID_OUTPUT = "hang_mid_output"
    """Half of the configuration, then silence with the connection open."""
    DROP_MID_OUTPUT = "drop_mid_output"
    """Half of the configuration, then the TCP connection ends."""
    RESET_MID_OUTPUT = "reset_mid_output"
    """Half of the configuration, then the TCP connection is reset."""
    DROP_BEFORE_BANNER = "drop_before_banner"
    """TCP is accepted and ends before the SSH version line, as when all vty lines are taken."""
    GARBAGE = "garbage"
    """Between the lines of the configuration: ANSI sequences, a title, what sets the clipboard (OSC
    52), NUL, invalid UTF-8, and characters that change the direction of writing."""
    LOOKALIKES = "lookalikes"
    """Lines that equal the prompt stand in the configuration, with pauses right behind some."""
    FLOOD = "flood"
    """The configuration never ends."""
    ENDLESS_LINE = "endless_line"
    """A line of the configuration never ends."""
    FLOOD_STDERR = "flood_stderr"
    """The log-in works, then 500 MB come on standard error, whatever the client has room for."""
    DRIP = "drip"
    """One byte of the configuration per second."""
    AUTH_FAIL = "auth_fail"
    """Every log-in is refused."""
    TRUNCATED = "truncated"
    """The configuration stops early, without its end marker, and the prompt comes back."""
    COMMAND_REJECTED = "command_rejected"
    """The command for the configuration is answered with the platform's error text."""
    SLOW = "slow"
    """Every command is answered `value` milliseconds late (default 2000)."""
    DIFFERENT_HOST_KEY = "different_host_key"
    """Another host key is shown while the fault lasts."""
    LONG_BANNER = "long_banner"
    """A banner of `value` kB comes before the log-in (default 3000)."""
    FLAKY = "flaky"
    """The next `value` connections are dropped before the banner (default 1), then all is well."""


DEFAULT_VALUES: Mapping[FaultKind, int] = {
    FaultKind.SLOW: 2000,
    FaultKind.FLAKY: 1,
    FaultKind.LONG_BANNER: 3000,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `value` is milliseconds for `slow`, connections for `flaky`, kB for `long_banner`,
    else 0."""

    kind: FaultKind
    value: int = 0


def parse_fault(kind: object, value: object = None) -> Fault | None:
    """The fault named by a spec file or a control command.

    Args:
        kind: a fault's name, or None for "no fault".
        value: the number that belongs to it, or None for the default.

    Raises:
        SimulatorError: unknown name, or a value that is no whole number above 0.
    """
    if kind is None:
        return None
    known = {fault.value: fault for fault in FaultKind}
    if not isinstance(kind, str) or kind not in known:
        raise SimulatorError(f"unknown fault {kind!r}; use one of: {', '.join(sorted(known))}")
    fault_kind = known[kind]
    if value is None:
        return Fault(fault_kind, DEFAULT_VALUES.get(fault_kind, 0))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SimulatorError(f"the value of fault {kind} has to be a whole number above 0")
    return Fault(fault_kind, value)
