"""Each line of the log that is ours has a fixed name: something to search and alert by."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
APPS = ("netraven_site", "jobs", "backups", "inventory", "credentials", "common")
METHODS = frozenset(
    {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log"}
)
EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
#: Fields of the context and the ends of every line; one of a call would take their place.
RESERVED = frozenset({"event", "level", "logger", "time", "template", "request", "task"})


def _is_logger(node: ast.expr) -> bool:
    """``logger``, ``self._log``, the module ``logging``, and what makes a logger."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).lower().rpartition(".")[2] in {"getlogger", "get_logger"}
    name = ast.unparse(node).rpartition(".")[2].lower()
    return name.strip("_") in {"log", "logging"} or name.endswith("logger")


def _faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and "getLogger(" in ast.unparse(node.value):
            yield f"{node.lineno}: a logger that takes no fields; use structlog.get_logger"
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in METHODS or not _is_logger(node.func.value):
            continue
        match node.args:
            case [ast.Constant(value=str(event))] if EVENT.fullmatch(event):
                pass
            case _:
                yield f"{node.lineno}: no fixed name as its only argument: {ast.unparse(node)}"
        if taken := RESERVED & {one.arg for one in node.keywords if one.arg}:
            yield f"{node.lineno}: {', '.join(sorted(taken))} is the log's own"


def test_each_line_of_the_log_has_a_fixed_name_and_its_values_as_fields() -> None:
    found = {
        f"{path.relative_to(PROJECT)}:{fault}"
        for app in APPS
        for path in (PROJECT / app).rglob("*.py")
        for fault in _faults(path.read_text("utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        'logger.info("run %s ended", run.pk)',
        'logger.warning(f"run.{status}")',
        "logger.exception(text)",
        'self._log.error("the disk is full")',
        'logging.getLogger(__name__).info("run.ended")\nlogging.warning("no name")',
        "log = logging.getLogger(__name__)",
        'structlog.get_logger("web").bind(a=1) and structlog.get_logger("x").info(f"{a}")',
        'logger.info("run.ended", task=7)',
    ],
)
def test_what_has_none_is_found(line: str) -> None:
    assert list(_faults(line))


def test_a_fixed_name_with_fields_is_taken() -> None:
    line = 'logger.exception("run.failed", run=run.pk, **asdict(done))'
    assert list(_faults(f"logger = structlog.get_logger(__name__)\n{line}")) == []
