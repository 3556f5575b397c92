"""What differs between two revisions of a device, or between two devices."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse

from backups.api.downloads import download
from backups.engine.diff.side_by_side import Row, RowKind
from backups.models import Snapshot
from backups.pages.device import DevicePage, Trouble, plain, troubles
from backups.pages.diff_html import side_html, unified_html
from backups.selectors.diffs import CONTEXT, Comparison, compare
from backups.selectors.snapshots import (
    revisions_to_compare,
    snapshot_after,
    snapshot_before,
    snapshot_get,
    snapshots_of,
)
from common.texts import parsed_id
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_find
from inventory.visibility import devices_visible_to

#: Rows on one page; what is longer has several.
ROWS_SHOWN = 1_500
#: More than any comparison has.
_MOST_PAGES = 100_000
#: Lines that a fold gives out at once.
FOLD_LINES = 500
#: Revisions in a picker, beside those that are shown; older ones are picked in the history.
REVISIONS_OFFERED = 100
#: Parameters that say what is compared and how it looks.
_KEPT = ("from", "to", "other", "view", "all_lines", "context")
#: More equal lines than any configuration has.
_ALL = 1_000_000
_CONTEXTS = {"3": CONTEXT, "10": 10, "25": 25, "all": _ALL}
_RENDERERS = {"side": side_html, "unified": unified_html}


class FoldForm(forms.Form):
    """Which equal lines are asked for: the first number on both sides, and how many."""

    old_no = forms.IntegerField(min_value=1, max_value=_ALL * 100)
    new_no = forms.IntegerField(min_value=1, max_value=_ALL * 100)
    count = forms.IntegerField(min_value=1, max_value=_ALL * 100)


class ComparingPage(DevicePage):
    """What the comparison, its patch and its folds have in common: what is compared, and how."""

    @property
    def view(self) -> str:
        """``side`` or ``unified``."""
        asked = self.request.GET.get("view", "")
        return asked if asked in _RENDERERS else "side"

    @property
    def context_name(self) -> str:
        """How many equal lines stand around a change, as the address says it."""
        asked = self.request.GET.get("context", "")
        return asked if asked in _CONTEXTS else "3"

    @property
    def with_all_lines(self) -> bool:
        """Whether lines that change by themselves are shown as well."""
        return self.request.GET.get("all_lines") == "1"

    @cached_property
    def other(self) -> Device | None:
        """The second device, if there is one. Raises Trouble."""
        asked = self.request.GET.get("other", "").strip()
        if not asked:
            return None
        visible = devices_visible_to(user=self.request.user)
        try:
            return device_find(hostname_or_id=asked[:255], scope=visible)
        except DeviceNotFound as error:
            raise Trouble(str(error), 404) from error

    @cached_property
    def comparison(self) -> Comparison:
        """The two revisions of the address. Raises Trouble."""
        with troubles():
            old, new = revisions_to_compare(
                device=self.device,
                old=self.request.GET.get("from") or None,
                new=self.request.GET.get("to") or None,
                other=self.other,
            )
            return compare(old=old, new=new, ignore_volatile=not self.with_all_lines)

    def query(self, **changes: str | int | None) -> str:
        """The query of this comparison, with both revisions named, and ``changes`` in it."""
        query = QueryDict(mutable=True)
        for name in _KEPT:
            if self.request.GET.get(name):
                query[name] = self.request.GET[name]
        query["from"] = self.comparison.old.revision
        query["to"] = self.comparison.new.revision
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = str(value)
        return query.urlencode()

    def fold_address(self, row: Row) -> str:
        """Where the lines behind a fold are."""
        return f"{self.address('diff-lines')}?" + self.query(
            old_no=row.old_no, new_no=row.new_no, count=row.count
        )

    def address(self, name: str) -> str:
        """Of the page ``name`` of this device."""
        return reverse(f"backups:{name}", args=[self.device.pk])


class DiffPage(ComparingPage):
    """The comparison, a part at a time."""

    title = "Differences"
    template_name = "backups/diff.html"
    tab = "diff"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page; the form of the history names two revisions without saying which is older."""
        if len(request.GET.getlist("revision")) == 2:
            return self._ordered(request.GET.getlist("revision"))
        return super().get(request, *args, **kwargs)

    def content(self) -> dict[str, Any]:
        """Rows of this part, pickers, and addresses of what is near."""
        if self.request.GET.getlist("revision"):
            raise Trouble("tick two revisions in the history to compare them", 400)
        old, new = self.comparison.old, self.comparison.new
        added, removed = self.comparison.counts()
        page = self._page()
        rows = self.comparison.rows(
            context=_CONTEXTS[self.context_name],
            start=(page - 1) * ROWS_SHOWN,
            limit=ROWS_SHOWN + 1,
        )
        render = _RENDERERS[self.view]
        return {
            "old": old,
            "new": new,
            "other": self.other,
            "view": self.view,
            "context_name": self.context_name,
            "context_names": _CONTEXTS,
            "all_lines": self.with_all_lines,
            "is_equal": not added and not removed,
            "rows": render(rows[:ROWS_SHOWN], self.fold_address),
            "added": added,
            "removed": removed,
            "page": page,
            "has_more": len(rows) > ROWS_SHOWN,
            "old_choices": _choices(old),
            "new_choices": _choices(new) if self.other else None,
            "patch": f"{self.address('diff-patch')}?{self.query()}",
            "query": self.query(),
            "swapped": self._swapped(),
            **self._neighbours(),
        }

    def _ordered(self, names: list[str]) -> HttpResponse:
        try:
            with troubles():
                found = [snapshot_get(device=self.device, revision=name) for name in names]
        except Trouble as trouble:
            context = self.get_context_data(device=self.device, tab=self.tab, trouble=str(trouble))
            return self.render_to_response(context, status=trouble.status)
        old, new = sorted(found, key=lambda one: (one.collected_at, one.pk))
        query = QueryDict(mutable=True)
        query.update({"from": old.revision, "to": new.revision})
        return HttpResponseRedirect(f"{self.request.path}?{query.urlencode()}")

    def _page(self) -> int:
        return min(parsed_id(self.request.GET.get("page", "")) or 1, _MOST_PAGES)

    def _swapped(self) -> str:
        """The address of the comparison the other way round."""
        old, new = self.comparison.old, self.comparison.new
        address = reverse("backups:diff", args=[new.device_id])
        changes = {"from": new.revision, "to": old.revision}
        other = self.device.hostname if self.other else None
        return f"{address}?{self.query(other=other, **changes)}"

    def _neighbours(self) -> dict[str, str]:
        """Queries of the change before and the change after, of one device."""
        if self.other is not None:
            return {}
        old, new = self.comparison.old, self.comparison.new
        before, after = snapshot_before(snapshot=old), snapshot_after(snapshot=new)
        found = {}
        if before is not None:
            found["earlier"] = self.query(**{"from": before.revision, "to": old.revision})
        if after is not None:
            found["later"] = self.query(**{"from": new.revision, "to": after.revision})
        return found


class DiffPatch(ComparingPage):
    """The comparison as a file for ``patch``."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The unified diff; empty when nothing differs."""
        try:
            patch = self.comparison.unified(context=_CONTEXTS[self.context_name])
        except Trouble as trouble:
            return plain(trouble)
        new = self.comparison.new
        name = (new.path.partition("/")[2] or str(new.pk)).removesuffix(".cfg")
        return download(
            patch.encode(), file_name=f"{name}.patch", media_type="text/x-diff; charset=utf-8"
        )


class DiffLines(ComparingPage):
    """Equal lines that were folded, as rows of the table."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The rows for htmx; a browser without scripts is sent to the page with all lines."""
        if request.headers.get("HX-Request") != "true":
            return self._whole()
        form = FoldForm(request.GET)
        if not form.is_valid():
            return plain(Trouble("this part is not there; load the page again", 400))
        try:
            rows = self._rows(**form.cleaned_data)
        except Trouble as trouble:
            return plain(trouble)
        return HttpResponse(_RENDERERS[self.view](rows, self.fold_address))

    def _whole(self) -> HttpResponse:
        try:
            query = self.query(context="all")
        except Trouble as trouble:
            return plain(trouble)
        return HttpResponseRedirect(f"{self.address('diff')}?{query}")

    def _rows(self, old_no: int, new_no: int, count: int) -> list[Row]:
        lines = self.comparison.new_text.split("\n")[new_no - 1 : new_no - 1 + count]
        rows = [
            Row(kind=RowKind.EQUAL, old_no=old_no + at, new_no=new_no + at, old=line, new=line)
            for at, line in enumerate(lines[:FOLD_LINES])
        ]
        if len(lines) > FOLD_LINES:
            rest = len(lines) - FOLD_LINES
            old_no, new_no = old_no + FOLD_LINES, new_no + FOLD_LINES
            rows.append(Row(kind=RowKind.FOLD, old_no=old_no, new_no=new_no, count=rest))
        return rows


def _choices(chosen: Snapshot) -> list[Snapshot]:
    """The newest revisions of the device of ``chosen``, and that one."""
    offered = snapshots_of(device=chosen.device).defer("pending_text")[:REVISIONS_OFFERED]
    found = list(offered)
    return found if any(one.pk == chosen.pk for one in found) else [*found, chosen]
