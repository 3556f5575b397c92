"""Configurations that are trees: the same statements as braces or as `set` lines.

A statement is the path of words from the top of the tree to a leaf, one element per level:
`("interfaces", "ge-0/0/1", "unit 0", "family inet", "address 192.0.2.1/24")`.
"""

from __future__ import annotations

from collections.abc import Iterable

Statement = tuple[str, ...]


def set_lines(statements: Iterable[Statement]) -> list[str]:
    """One `set` command per statement."""
    return ["set " + " ".join(statement) for statement in statements]


def brace_lines(statements: Iterable[Statement], leaf_end: str) -> list[str]:
    """Nested blocks, four blanks per level; statements of one block have to be neighbours.

    Args:
        statements: in the order in which they are printed.
        leaf_end: what ends a leaf, `;` for Junos.
    """
    lines: list[str] = []
    open_blocks: Statement = ()
    for statement in statements:
        *blocks, leaf = statement
        shared = _shared_length(open_blocks, tuple(blocks))
        lines += _closing(open_blocks, shared)
        lines += [f"{'    ' * depth}{blocks[depth]} {{" for depth in range(shared, len(blocks))]
        lines.append(f"{'    ' * len(blocks)}{_ended(leaf, leaf_end)}")
        open_blocks = tuple(blocks)
    return lines + _closing(open_blocks, 0)


def _shared_length(left: Statement, right: Statement) -> int:
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length


def _closing(open_blocks: Statement, remaining: int) -> list[str]:
    return [f"{'    ' * depth}}}" for depth in range(len(open_blocks) - 1, remaining - 1, -1)]


def _ended(leaf: str, leaf_end: str) -> str:
    """Puts the end before a remark (`## SECRET-DATA`), as Junos does."""
    value, mark, remark = leaf.partition(" ## ")
    return value + leaf_end + mark + remark
