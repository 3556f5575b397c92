"""What a session makes of a connection that fails it."""

from __future__ import annotations

import hmac
import inspect
import socket

import pytest
from paramiko import util
from paramiko.packet import Packetizer

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


def test_what_came_at_once_is_read_piece_by_piece() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        packetizer = BoundedPacketizer(ours)
        ours.settimeout(0.01)
        theirs.sendall(b"SSH-2.0-x\r\n" + bytes(range(100)))
        assert packetizer.readline(5) == "SSH-2.0-x"
        assert packetizer.read_all(60) + packetizer.read_all(40) == bytes(range(100))
        theirs.sendall(b"late")
        assert packetizer.read_all(4) == b"late"
        theirs.close()
        with pytest.raises(EOFError):
            packetizer.read_all(1)


def test_a_host_that_begins_no_packet_is_left_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        packetizer = BoundedPacketizer(ours)
        ours.settimeout(0.01)
        packetizer.start_handshake(0.05)
        with pytest.raises(EOFError):
            packetizer.read_all(1)
        packetizer.complete_handshake()
        theirs.sendall(b"x")
        assert packetizer.read_all(1) == b"x"


def test_macs_are_compared_in_constant_time() -> None:
    """Paramiko looks the function up by this name for each packet."""
    assert util.constant_time_bytes_eq is hmac.compare_digest
    assert "util.constant_time_bytes_eq(my_mac, mac)" in inspect.getsource(Packetizer)
