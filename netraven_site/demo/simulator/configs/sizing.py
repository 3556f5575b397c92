"""Renders a configuration of a chosen number of lines."""

from __future__ import annotations

from collections.abc import Mapping

from netraven_site.demo.simulator.configs import (
    arista_eos,
    cisco_ios,
    cisco_nxos,
    frr,
    juniper_junos,
    linux,
    vyos,
)
from netraven_site.demo.simulator.configs.layout import MAIN, Filler, Renderer
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.secretbook import SecretBook
from netraven_site.demo.simulator.state import NetworkState

RENDERERS: Mapping[str, Renderer] = {
    "arista_eos": arista_eos.render,
    "cisco_ios": cisco_ios.render,
    "cisco_nxos": cisco_nxos.render,
    "frr": frr.render,
    "juniper_junos": juniper_junos.render,
    "linux": linux.render,
    "vyos": vyos.render,
}

MINIMUM_LINES = 300
"""Every platform has room for its fixed parts in so many lines."""


def port_count(lines: int) -> int:
    """How many ports suit a device whose configuration has `lines` lines."""
    return max(4, min(48, lines // 40))


def filler_for(platform: str, state: NetworkState, secrets: SecretBook, lines: int) -> Filler:
    """How much to add so that the main view has exactly `lines` lines.

    Raises:
        SimulatorError: `lines` is below `MINIMUM_LINES`.
    """
    if lines < MINIMUM_LINES:
        raise SimulatorError(
            f"{state.hostname}: a configuration needs at least {MINIMUM_LINES} lines, not {lines}"
        )
    bare = _length(platform, state, secrets, Filler())
    per_filter = _length(platform, state, secrets, Filler(filters=1)) - bare
    filters, routes = divmod(lines - bare, per_filter)
    return Filler(filters, routes)


def _length(platform: str, state: NetworkState, secrets: SecretBook, filler: Filler) -> int:
    return len(RENDERERS[platform](state, secrets, filler)[MAIN])
