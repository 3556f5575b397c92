"""What a session makes of a connection that fails it."""

from __future__ import annotations

import socket

from backups.engine.netmiko_collector.packets import BoundedPacketizer


class CutChannel(socket.socket):
    """A channel of a jump host that is gone; Paramiko raises this only when threads meet badly."""

    def close(self) -> None:
        super().close()
        raise EOFError


def test_a_channel_whose_host_is_gone_closes_quietly() -> None:
    packetizer = BoundedPacketizer(CutChannel())
    packetizer.close()
    assert packetizer.closed
