"""The SSH side of one log-in: line editor, echo, pager and faults."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine

import asyncssh

from netraven_site.demo.simulator import misbehaviour
from netraven_site.demo.simulator.device import SimulatedDevice
from netraven_site.demo.simulator.faults import FaultKind
from netraven_site.demo.simulator.shell import Answer
from netraven_site.demo.simulator.texts import encode

_CTRL_C, _CTRL_D, _BACKSPACE, _LF, _CR, _CTRL_U, _ESCAPE, _DELETE = 3, 4, 8, 10, 13, 21, 27, 127
_MAX_LINE = 4096
_DEFAULT_ROWS = 24
_DROP_GRACE_SECONDS = 0.1
"""Lets the half that was written leave the process before the connection is cut."""

_MANGLED = {
    FaultKind.GARBAGE: misbehaviour.garbled,
    FaultKind.TRUNCATED: misbehaviour.truncated,
}
_CUT_OFF = (FaultKind.HANG_MID_OUTPUT, FaultKind.DROP_MID_OUTPUT, FaultKind.RESET_MID_OUTPUT)
_WITHOUT_END = {
    FaultKind.FLOOD: misbehaviour.flood,
    FaultKind.ENDLESS_LINE: misbehaviour.endless_line,
    FaultKind.DRIP: misbehaviour.drip,
}
_LINGER_ZERO = struct.pack("ii", 1, 0)
"""With it, a socket is reset when it is closed (socket(7))."""


class CliSession(asyncssh.SSHServerSession[bytes]):
    """One interactive session, or one command given with the SSH request.

    Everything typed in one packet is answered with one write.
    """

    def __init__(self, device: SimulatedDevice, connection: asyncssh.SSHServerConnection) -> None:
        self._device = device
        self._connection = connection
        self._shell = device.new_shell()
        self._typed = bytearray()
        self._line = bytearray()
        self._out = bytearray()
        self._pages: list[bytes] = []
        self._rows = _DEFAULT_ROWS
        self._after_cr = False
        self._asking = False
        self._busy = False
        self._silent = False
        self._single = False
        self._read_config = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What asyncssh calls.

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = chan

    def pty_requested(
        self,
        term_type: str,
        term_size: tuple[int, int, int, int],
        term_modes: object,
    ) -> bool:
        """Take the terminal; its height is the page length."""
        self._rows = term_size[1] or _DEFAULT_ROWS
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """The window has another height now."""
        self._rows = height or _DEFAULT_ROWS

    def shell_requested(self) -> bool:
        """A command line is offered."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Single commands are answered, too."""
        return True

    def session_started(self) -> None:
        """Greet, or answer the one command."""
        if self._device.has_fault(FaultKind.HANG_AFTER_LOGIN):
            self._silent = True
            return
        if self._device.has_fault(FaultKind.FLOOD_STDERR):
            self._silent = True
            self._start(misbehaviour.flood_stderr(self._channel))
            return
        command = self._channel.get_command()
        if command is not None:
            self._single = True
            self._shell.paging = False
            self._command(command)
            self._flush()
            return
        self._out += self._shell.greeting + self._shell.prompt
        self._flush()

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Work on what was typed, unless the device is busy or silent."""
        if self._silent:
            return
        self._typed += data
        self._work()

    def eof_received(self) -> bool:
        """The client will type no more; close when nothing is under way."""
        return self._busy or self._silent

    def pause_writing(self) -> None:
        """The client does not read fast enough."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop what is under way."""
        self._silent = True
        if self._task is not None:
            self._task.cancel()
        if self._timer is not None:
            self._timer.cancel()

    # Typing.

    def _work(self) -> None:
        while self._typed and not self._busy and not self._silent:
            self._key(self._typed.pop(0))
        self._flush()

    def _key(self, key: int) -> None:
        if self._pages:
            self._pager_key(key)
            return
        second_half_of_enter = key == _LF and self._after_cr
        self._after_cr = key == _CR
        if second_half_of_enter:
            return
        if key in (_CR, _LF):
            self._enter()
        elif key >= 32 and key != _DELETE:
            self._character(key)
        else:
            self._control(key)

    def _character(self, key: int) -> None:
        if len(self._line) >= _MAX_LINE:
            return
        self._line.append(key)
        if not self._asking:
            self._out.append(key)

    def _control(self, key: int) -> None:
        if key in (_BACKSPACE, _DELETE) and self._line:
            self._rub_out(1)
        elif key == _CTRL_U:
            self._rub_out(len(self._line))
        elif key == _CTRL_C:
            self._line.clear()
            self._asking = False
            self._out += b"\r\n" + self._shell.prompt
        elif key == _CTRL_D and not self._line:
            self._close()

    def _rub_out(self, count: int) -> None:
        del self._line[len(self._line) - count :]
        if not self._asking:
            self._out += b"\b \b" * count

    def _enter(self) -> None:
        line = self._line.decode("utf-8", "replace")
        self._line.clear()
        if self._asking:
            self._asking = False
            self._out += b"\r\n"
            self._answer(self._shell.try_password(line), line)
            return
        self._out += encode(self._device.dialect.echo_end)
        self._command(line)

    # Answers.

    def _command(self, line: str) -> None:
        fault = self._device.fault
        if line.strip() and fault is not None and fault.kind is FaultKind.SLOW:
            self._busy = True
            self._device.log.delayed += 1
            self._timer = asyncio.get_running_loop().call_later(
                fault.value / 1000, self._run_late, line
            )
            return
        self._run(line)

    def _run_late(self, line: str) -> None:
        self._busy = False
        self._run(line)
        self._work()

    def _run(self, line: str) -> None:
        if line.strip():
            self._answer(self._device_answer(line), line)
        else:
            self._out += self._shell.prompt

    def _device_answer(self, line: str) -> Answer:
        answer = self._shell.run(line)
        self._device.log.commands["(unknown)" if answer.unknown else " ".join(line.split())] += 1
        if answer.is_configuration:
            self._device.log.config_reads += 1
            self._device.log.config_sessions += not self._read_config
            self._read_config = True
        return answer

    def _answer(self, answer: Answer, line: str) -> None:
        if answer.closes:
            self._close()
        elif answer.asks_password and not self._single:
            self._asking = True
            self._out += self._shell.password_prompt
        elif answer.is_configuration and self._device.fault is not None:
            self._faulty_answer(self._device.fault.kind, answer, line)
        else:
            self._print(answer.output, paged=answer.paged)

    def _faulty_answer(self, kind: FaultKind, answer: Answer, line: str) -> None:
        mangle = _MANGLED.get(kind)
        if mangle is not None:
            self._print(mangle(answer.output), paged=answer.paged)
        elif kind is FaultKind.COMMAND_REJECTED:
            self._print(self._shell.rejection(line), paged=False)
        elif kind is FaultKind.LOOKALIKES:
            parts = misbehaviour.with_lookalikes(answer.output, self._shell.prompt)
            self._busy = True
            self._start(self._print_with_pauses(parts))
        elif kind in _CUT_OFF:
            self._out += misbehaviour.half(answer.output)
            self._fall_silent()
            if kind is not FaultKind.HANG_MID_OUTPUT:
                self._start(self._drop(reset=kind is FaultKind.RESET_MID_OUTPUT))
        elif kind in _WITHOUT_END:
            self._fall_silent()
            write = _WITHOUT_END[kind]
            self._start(write(answer.output, self._channel.write, self._writable))
        else:
            self._print(answer.output, paged=answer.paged)

    def _print(self, output: bytes, *, paged: bool) -> None:
        if paged and self._shell.paging and output.count(b"\n") >= self._rows:
            self._pages = output.splitlines(keepends=True)
            self._show_page(self._rows - 1)
            return
        self._out += output
        if self._single:
            self._close()
        else:
            self._out += self._shell.prompt

    def _show_page(self, lines: int) -> None:
        shown, self._pages = self._pages[:lines], self._pages[lines:]
        self._out += b"".join(shown)
        if self._pages:
            self._out += self._device.dialect.pager_mark.encode()
        else:
            self._out += self._shell.prompt

    def _pager_key(self, key: int) -> None:
        self._out += self._device.dialect.pager_erase.encode()
        if key in b"qQ" or key in (_CTRL_C, _ESCAPE):
            self._pages = []
            self._out += self._shell.prompt
        else:
            self._show_page(1 if key in (_CR, _LF) else self._rows - 1)

    # The channel.

    def _flush(self) -> None:
        if self._out and not self._channel.is_closing():
            self._channel.write(bytes(self._out))
            self._out.clear()

    def _close(self) -> None:
        self._flush()
        self._silent = True
        self._channel.exit(0)

    def _fall_silent(self) -> None:
        self._flush()
        self._silent = True

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(work)

    async def _print_with_pauses(self, parts: list[bytes]) -> None:
        *earlier, last = parts
        for part in earlier:
            self._out += part
            self._flush()
            await asyncio.sleep(misbehaviour.PAUSE_SECONDS)
        self._busy = False
        self._print(last, paged=False)
        self._work()

    async def _drop(self, *, reset: bool) -> None:
        await self._writable.wait()
        await asyncio.sleep(_DROP_GRACE_SECONDS)
        if reset:
            connection = self._connection.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._connection.abort()
