"""docs/tutorial.md, command by command, as somebody types it who reads it for the first time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netraven_site.config import PROJECT_DIR
from netraven_site.demo.simulator import DeviceSpec, SimulatorProcess
from netraven_site.stack.ports import free_port
from tests.support.up import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_BLOCK = re.compile(r"```(sh|json)\n(.*?)```", re.DOTALL)
_PAGE = (PROJECT_DIR / "docs" / "tutorial.md").read_text(encoding="utf-8")
_OWN = DeviceSpec(
    hostname="edge1", platform="cisco_ios", username="netraven", password="its password"
)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """The reader's machine: loopback is allowed, as the first command says."""
    stack = Up(tmp_path / "var", NETRAVEN_ALLOWED_NETWORKS="127.0.0.0/8")
    yield stack
    stack.kill_all()


def test_the_tutorial_works_as_it_stands(up: Up) -> None:
    blocks = _BLOCK.findall(_PAGE)
    (first, second), commands = blocks[:2], blocks[2:]
    assert first == ("sh", "NETRAVEN_ALLOWED_NETWORKS=127.0.0.0/8 make up\n")
    assert "manage.py up" in (PROJECT_DIR / "Makefile").read_text(encoding="utf-8")
    up.start()
    with SimulatorProcess([_OWN]) as own:
        reader = Reader(up, own.address("edge1"))
        with reader.background(second[1]) as simulator:
            assert simulator.stdin is not None
            for kind, text in commands:
                if kind == "json":
                    simulator.stdin.write(text)
                    simulator.stdin.flush()
                    assert '"ok": true' in reader.line_of(simulator)
                else:
                    reader.run(text)
    everything = "\n".join(out for _, out in reader.outputs)
    assert everything.count("COMPLETED_SUCCESS") == 3
    assert "first-backup" not in everything
    (diff,) = (out for block, out in reader.outputs if "config diff" in block)
    assert re.search(r"^\+(?!\+\+ )", diff, re.MULTILINE), diff
    assert "is whole" in everything


class Reader:
    """Types what stands on the page; folder and ports are those of this test."""

    def __init__(self, up: Up, own: tuple[str, int]) -> None:
        address, port = own
        self._changes = {
            "var/": f"{up.data_dir}/",
            "2201": str(free_port()),
            "192.0.2.1,22,": f"{address},{port},",
            # The checkout's environment is that of the tests.
            "source .venv/bin/activate": ":",
        }
        self._environment = up.environment | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        }
        #: Each block with what it has printed.
        self.outputs: list[tuple[str, str]] = []

    def run(self, block: str) -> None:
        done = subprocess.run(
            self._shell(block),
            cwd=PROJECT_DIR,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.outputs.append((block, done.stdout))
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"

    def background(self, block: str) -> subprocess.Popen[str]:
        """Start what stays in the foreground of a terminal, up to where it listens."""
        process = subprocess.Popen(
            self._shell(block),
            cwd=PROJECT_DIR,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert '"listening"' in self.line_of(process)
        self.line_of(process)
        return process

    @staticmethod
    def line_of(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline()

    def _shell(self, block: str) -> list[str]:
        for old, new in self._changes.items():
            block = block.replace(old, new)
        return ["bash", "-euo", "pipefail", "-c", block]
