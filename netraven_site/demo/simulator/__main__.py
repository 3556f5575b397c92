"""`python -m netraven_site.demo.simulator --spec FILE.json`: a fleet as a process of its own.

Prints one JSON line per device as soon as it listens and a last one when all do, then answers
control commands (see `control`) line by line. Ends when standard input ends, or on TERM or INT.
Exit status: 0, or 2 with one line on standard error when the fleet cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from netraven_site.demo.simulator.control import reply_to
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.fleet import Fleet
from netraven_site.demo.simulator.spec import read_fleet_spec

_MAX_COMMAND_BYTES = 1 << 20


def _say(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_MAX_COMMAND_BYTES)
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    except (OSError, ValueError) as error:
        raise SimulatorError("standard input has to be a pipe or a terminal") from error
    return reader


async def _serve(fleet: Fleet) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    commands = await _commands()

    def listening(hostname: str) -> None:
        address, port = fleet.address(hostname)
        platform = fleet.device(hostname).spec.platform
        _say(
            {
                "event": "listening",
                "hostname": hostname,
                "platform": platform,
                "address": address,
                "port": port,
                "fingerprint": fleet.fingerprint(hostname),
            }
        )

    await fleet.start(listening)
    _say({"event": "ready", "devices": len(fleet.hostnames)})
    answering = loop.create_task(_answer(fleet, commands))
    stopping = loop.create_task(stop.wait())
    await asyncio.wait({answering, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (answering, stopping):
        task.cancel()
    await fleet.stop()


async def _answer(fleet: Fleet, commands: asyncio.StreamReader) -> None:
    while line := await commands.readline():
        if line.strip():
            _say(reply_to(fleet, line))


def _allow_many_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Run until told to end; returns the exit status."""
    parser = argparse.ArgumentParser(prog="netraven_site.demo.simulator")
    parser.add_argument("--spec", type=Path, required=True, help="JSON file, mode 0600")
    _allow_many_connections()
    try:
        spec = read_fleet_spec(parser.parse_args().spec)
        fleet = Fleet(spec.devices, host_key_file=spec.host_key_file)
        asyncio.run(_serve(fleet))
    except SimulatorError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
