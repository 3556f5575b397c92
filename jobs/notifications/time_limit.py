"""A limit for calls that know none themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")

_lock = threading.Lock()
_under_way: set[str] = set()


def within(seconds: float, key: str, call: Callable[[], _T]) -> _T:
    """What ``call`` gives or raises. Raises TimeoutError when it takes longer than ``seconds``.

    Nothing can stop it then: its thread goes on by itself. Until it has ended, every further call
    with the same ``key`` raises TimeoutError at once, so that such threads do not pile up.
    """
    with _lock:
        if key in _under_way:
            raise TimeoutError
        _under_way.add(key)
    result: Future[_T] = Future()
    threading.Thread(target=_carry_out, args=(key, call, result), daemon=True).start()
    return result.result(timeout=seconds)


def _carry_out(key: str, call: Callable[[], _T], result: Future[_T]) -> None:
    try:
        result.set_result(call())
    except Exception as error:  # noqa: BLE001 - raised where it is waited for
        result.set_exception(error)
    finally:
        with _lock:
            _under_way.discard(key)
