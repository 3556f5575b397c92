"""What differs between two revisions, of one device or of two."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from backups.engine.diff.errors import NoSemanticDiff
from backups.engine.diff.lines import Change, align, change_counts, lines_of, unified
from backups.engine.diff.side_by_side import Row, side_by_side
from backups.engine.normalise import normalise_text
from backups.models import Snapshot
from backups.selectors.snapshots import snapshot_texts
from inventory.platforms import UnknownPlatform, get_platform

#: Equal lines around a change, unless said otherwise.
CONTEXT = 3


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two revisions with their redacted texts."""

    old: Snapshot
    new: Snapshot
    old_text: str
    new_text: str

    def unified(self, *, context: int = CONTEXT) -> str:
        """The unified diff with both revisions named on top; empty when nothing differs."""
        old, new, changes = self._aligned
        hunks = unified(old, new, changes, context=context)
        return f"--- {_label(self.old)}\n+++ {_label(self.new)}\n{hunks}" if hunks else ""

    def rows(
        self, *, context: int = CONTEXT, limit: int | None = None, start: int = 0
    ) -> list[Row]:
        """Both texts next to each other: at most ``limit`` rows, from the row ``start`` on."""
        end = None if limit is None else start + limit
        return list(islice(side_by_side(*self._aligned, context=context), start, end))

    def counts(self) -> tuple[int, int]:
        """How many lines came, and how many went."""
        return change_counts(self._aligned[2])

    def semantic(self) -> str:
        """The difference without regard to order that means nothing. Raises NoSemanticDiff."""
        # Loads hier_config, which nothing else needs.
        from backups.engine.diff.semantic import semantic_diff

        platform = self.new.device.platform
        if self.old.device.platform != platform:
            raise NoSemanticDiff(
                f"{self.old.device.hostname} runs {self.old.device.platform}, "
                f"{self.new.device.hostname} {platform}; compare the plain texts"
            )
        return semantic_diff(platform, self.old_text, self.new_text)

    @cached_property
    def _aligned(self) -> tuple[list[str], list[str], list[Change]]:
        """The lines of both texts, and the stretches in which they differ."""
        old, new = lines_of(self.old_text), lines_of(self.new_text)
        return old, new, align(old, new)


def compare(*, old: Snapshot, new: Snapshot, ignore_volatile: bool = True) -> Comparison:
    """The two revisions, ready to be compared; they may be pending.

    With ``ignore_volatile`` today's rules of the platform are applied to both texts, so that
    revisions that were stored before a rule was there differ only in what counts today. Raises
    SnapshotNotFound when a text is lost, DeviceError when Git cannot be read.
    """
    texts = list(snapshot_texts(snapshots=[old, new]))
    if ignore_volatile:
        texts = [
            without_volatile(snapshot.device.platform, text)
            for snapshot, text in zip((old, new), texts, strict=True)
        ]
    return Comparison(old=old, new=new, old_text=texts[0], new_text=texts[1])


def without_volatile(platform: str, text: str) -> str:
    """A stored text as it would be stored today; as it is if the platform cannot be used."""
    try:
        definition = get_platform(platform)
    except UnknownPlatform:
        return text
    return normalise_text(definition, text)


def unified_diff(*, old: Snapshot, new: Snapshot) -> str:
    """The redacted difference as a unified diff; empty when nothing that counts differs.

    Raises what ``compare`` raises.
    """
    return compare(old=old, new=new).unified()


def _label(snapshot: Snapshot) -> str:
    return f"{snapshot.device.hostname}@{snapshot.commit[:10] or 'pending'}"
