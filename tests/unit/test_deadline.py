"""The hard end of a session, with real sockets and threads."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from backups.engine.deadline import session_deadline


def test_wakes_a_blocked_reader() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, session_deadline(ours, 0.1) as deadline:
        started = time.monotonic()
        ours.settimeout(30)
        assert ours.recv(1) == b""
        assert time.monotonic() - started < 10
        assert deadline.expired


def test_leaves_a_session_alone_that_ended_in_time() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with session_deadline(ours, 0.05) as deadline:
            pass
        # A later deadline has fired, so the earlier one has been looked at.
        late, other = socket.socketpair()
        with late, other, session_deadline(late, 0.1):
            late.settimeout(30)
            assert late.recv(1) == b""
        assert not deadline.expired
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


def test_an_earlier_deadline_overtakes_a_later_one() -> None:
    slow, slow_peer = socket.socketpair()
    fast, fast_peer = socket.socketpair()
    with slow, slow_peer, fast, fast_peer, session_deadline(slow, 3600) as later:
        with session_deadline(fast, 0.05) as sooner:
            fast.settimeout(30)
            assert fast.recv(1) == b""
        assert sooner.expired and not later.expired


def test_a_socket_that_is_closed_already_is_no_trouble() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, session_deadline(ours, 0.01):
        test_wakes_a_blocked_reader()


def test_many_at_once() -> None:
    expired: list[bool] = []

    def session() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, session_deadline(ours, 0.05) as deadline:
            ours.settimeout(30)
            ours.recv(1)
            expired.append(deadline.expired)

    threads = [threading.Thread(target=session) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert expired == [True] * 50


def test_an_error_in_the_session_passes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(KeyError), session_deadline(ours, 3600):
        raise KeyError
