"""Messages per second that the syslog listener takes, and its memory, under a flood.

A listener of its own process without a database, on the loopback address; other processes send as
fast as they can: messages about nothing, messages about changes from a device of the inventory, and
messages of many sources that nobody knows. What the kernel had to throw away is counted as lost.

    python -m benchmarks.syslog_flood [--seconds S] [--senders N] [--devices N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

import psutil

_IGNORED = b"<189>45: *Mar  1 18:46:11: %LINK-3-UPDOWN: Interface Gi0/1, changed state to up"
_CHANGE = (
    b"<189>45: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured from console by alice on vty0"
    b" (192.0.2.9)"
)
_MESSAGES = {"unrelated": _IGNORED, "changes": _CHANGE}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--devices", type=int, default=10_000)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {options.senders} senders, {options.devices} devices known")
    for name, message in _MESSAGES.items():
        for limit in (100, 10_000_000):
            _measure(name, message, limit, options)


def _measure(name: str, message: bytes, limit: int, options: argparse.Namespace) -> None:
    """One flood; prints one line."""
    here, there = multiprocessing.Pipe()
    listener = multiprocessing.Process(target=_listen, args=(there, limit, options.devices))
    listener.start()
    port = here.recv()
    process = psutil.Process(listener.pid)
    before, cpu_before = process.memory_info().rss, sum(process.cpu_times()[:2])
    end = time.monotonic() + options.seconds
    senders = _start(options.senders, lambda: (port, message, end))
    peak = before
    while time.monotonic() < end:
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.1)
    sent = sum(queue.get() for queue in senders)
    cpu = sum(process.cpu_times()[:2]) - cpu_before
    here.send("stop")
    counts = json.loads(here.recv())
    listener.join()
    received = counts["received"]
    print(
        f"{name}, {limit} looked at per second: {received / options.seconds:,.0f} messages/s, "
        f"{cpu / received * 1e6:.1f} us of CPU each, {1 - received / sent:.0%} of {sent:,} lost in "
        f"the kernel, memory {before / 2**20:.0f} -> {peak / 2**20:.0f} MiB; {counts}"
    )


def _start(
    count: int, arguments: Callable[[], tuple[int, bytes, float]]
) -> list[multiprocessing.Queue[int]]:
    queues: list[multiprocessing.Queue[int]] = []
    for _ in range(count):
        queues.append(multiprocessing.Queue())
        sender = multiprocessing.Process(target=_send, args=(*arguments(), queues[-1]))
        sender.start()
    return queues


def _send(port: int, message: bytes, end: float, sent: multiprocessing.Queue[int]) -> None:
    count = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect(("127.0.0.1", port))
        while time.monotonic() < end:
            for _ in range(100):
                opened.send(message)
            count += 100
    sent.put(count)


def _listen(parent: Connection, limit: int, devices: int) -> None:
    """The product's sockets and intake; once a second somebody takes the notices."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    import django

    django.setup()
    from netraven_site.syslog.directory import Directory, Entry
    from netraven_site.syslog.intake import Intake
    from netraven_site.syslog.sockets import Sockets

    addresses = ["127.0.0.1", *(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(devices))]
    entries = [
        Entry(number, f"r{number}", address, "cisco_ios")
        for number, address in enumerate(addresses)
    ]
    intake = Intake(Directory(entries), per_second=limit)

    async def serve() -> None:
        sockets = Sockets(intake.take, intake.counts)
        parent.send(await sockets.open("127.0.0.1", 0))
        while not parent.poll():
            await asyncio.sleep(1)
            intake.taken()
        parent.recv()
        await sockets.close()

    asyncio.run(serve())
    parent.send(json.dumps(intake.counts))


if __name__ == "__main__":
    main()
