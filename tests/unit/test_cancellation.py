"""Ending a session from outside, with real sockets and threads."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from backups.engine.cancellation import Cancellation


def test_wakes_a_blocked_reader() -> None:
    cancellation = Cancellation()
    ours, theirs = socket.socketpair()
    reads = threading.Event()

    def session() -> bytes:
        with cancellation.over(ours):
            ours.settimeout(30)
            reads.set()
            return ours.recv(1)

    with ours, theirs, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(session)
        assert reads.wait(30)
        cancellation.cancel()
        assert answer.result(10) == b""
    assert cancellation.cancelled


def test_a_session_that_was_cancelled_before_it_had_a_socket_ends_at_once() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    ours, theirs = socket.socketpair()
    with ours, theirs, cancellation.over(ours):
        assert theirs.recv(1) == b""


def test_a_session_that_has_ended_is_left_alone() -> None:
    cancellation = Cancellation()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with cancellation.over(ours):
            pass
        cancellation.cancel()
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_a_socket_that_is_closed_already_is_no_trouble() -> None:
    cancellation = Cancellation()
    ours, theirs = socket.socketpair()
    with theirs, cancellation.over(ours):
        ours.close()
        cancellation.cancel()
        cancellation.cancel()
