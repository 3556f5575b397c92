"""The control commands of the process form: one JSON object in, one JSON object out.

    {"change": "sw1"}                                   -> {"ok": true, "changes": [...]}
    {"fault": {"hostname": "sw1", "kind": "slow", "value": 200}}    -> {"ok": true}
    {"fault": {"hostname": "sw1", "kind": null}}        -> {"ok": true}
    {"log": "sw1"}                                      -> {"ok": true, "log": {...}}
    {"config": "sw1"}, {"config": {"hostname": "sw1", "view": "set"}}
                                                        -> {"ok": true, "config": "..."}
    {"secrets": "sw1"}                                  -> {"ok": true, "secrets": [...]}

Anything that cannot be done is answered with {"ok": false, "error": "..."}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from netraven_site.demo.simulator.configs.layout import MAIN
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import parse_fault
from netraven_site.demo.simulator.fleet import Fleet

Reply = dict[str, object]


def reply_to(fleet: Fleet, line: bytes) -> Reply:
    """Carry out one control command."""
    try:
        return {"ok": True, **_carry_out(fleet, line)}
    except SimulatorError as error:
        return {"ok": False, "error": str(error)}


def _carry_out(fleet: Fleet, line: bytes) -> Reply:
    try:
        document = json.loads(line)
    except ValueError:
        raise SimulatorError("a control command has to be one JSON object per line") from None
    if not isinstance(document, dict) or len(document) != 1:
        raise SimulatorError(f"a control command has one of these keys: {', '.join(_COMMANDS)}")
    name, argument = next(iter(document.items()))
    if name not in _COMMANDS:
        raise SimulatorError(f"unknown control command {name!r}; use: {', '.join(_COMMANDS)}")
    fields = argument if isinstance(argument, dict) else {"hostname": argument}
    return _COMMANDS[name](fleet, str(fields.get("hostname")), fields)


def _change(fleet: Fleet, hostname: str, _fields: Mapping[str, object]) -> Reply:
    return {"changes": fleet.change(hostname)}


def _fault(fleet: Fleet, hostname: str, fields: Mapping[str, object]) -> Reply:
    fleet.set_fault(hostname, parse_fault(fields.get("kind"), fields.get("value")))
    return {}


def _log(fleet: Fleet, hostname: str, _fields: Mapping[str, object]) -> Reply:
    return {"log": fleet.log(hostname)}


def _config(fleet: Fleet, hostname: str, fields: Mapping[str, object]) -> Reply:
    return {"config": fleet.config(hostname, str(fields.get("view") or MAIN))}


def _secrets(fleet: Fleet, hostname: str, _fields: Mapping[str, object]) -> Reply:
    return {"secrets": sorted(fleet.secrets(hostname))}


_COMMANDS: Mapping[str, Callable[[Fleet, str, Mapping[str, object]], Reply]] = {
    "change": _change,
    "fault": _fault,
    "log": _log,
    "config": _config,
    "secrets": _secrets,
}
