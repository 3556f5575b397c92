"""Raw copies and their readings in the admin: what there is, and the bytes only for a reason."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from backups.api.downloads import download, raw_file_name
from backups.engine.errors import DeviceError
from backups.models import Archive, ArchiveReading
from backups.services.archives import archive_read
from backups.services.restore_pack import RawNotKept, restore_pack
from common.callers import client_address
from credentials.admin import ReadOnlyAdmin
from credentials.cipher import CipherError
from credentials.scoped import WholeAdmin
from inventory.scoped import ScopedAdmin

#: Gives the answer for an archive, the name of the user, the reason and the address.
_Answer = Callable[[Archive, str, str, str | None], HttpResponse]


class ReasonForm(forms.Form):
    """Why raw bytes are read."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextInputWidget(),
        help_text="It is kept with your name, the time and your address.",
    )


@admin.register(Archive)
class ArchiveAdmin(ScopedAdmin, ReadOnlyAdmin):
    list_display = ["device", "name", "collected_at", "size_bytes", "key_id", "snapshot"]
    list_select_related = ["device", "snapshot__device"]
    list_filter = ["collected_at", ("name", admin.EmptyFieldListFilter)]
    search_fields = ["device__hostname", "name"]
    fields = [
        "device",
        "snapshot",
        "name",
        "collected_at",
        "size_bytes",
        "media_type",
        "key_id",
        "run_id",
    ]
    actions_detail = ["read_raw", "read_pack"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Archive]:
        queryset: QuerySet[Archive] = super().get_queryset(request)
        return queryset.defer("sealed")  # megabytes that no page shows

    def has_read_raw_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        # By its name, Unfold would look the permission up in a database that may not be there.
        return request.user.has_perm("backups.read_raw_archive")

    @action(
        description="Download the raw bytes",
        url_path="raw",
        permissions=["read_raw"],
    )
    def read_raw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, then give the bytes."""
        return self._with_reason(request, object_id, "Download the raw bytes", _raw)

    @action(
        description="Download the restore pack",
        url_path="restore-pack",
        permissions=["read_raw"],
    )
    def read_pack(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason, then give the restore pack of the revision."""
        return self._with_reason(request, object_id, "Download the restore pack", _pack)

    def _with_reason(
        self, request: HttpRequest, object_id: str, title: str, answer: _Answer
    ) -> HttpResponse:
        archive = self.get_object(request, object_id)
        if archive is None:
            raise Http404
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            name, reason = request.user.get_username(), form.cleaned_data["reason"]
            try:
                return answer(archive, name, reason, client_address(request))
            except (CipherError, DeviceError, RawNotKept) as error:
                form.add_error(None, str(error))
        context = self.admin_site.each_context(request) | {
            "title": title,
            "opts": self.opts,
            "archive": archive,
            "form": form,
        }
        return TemplateResponse(request, "backups/read_raw.html", context)


def _raw(archive: Archive, reader: str, reason: str, address: str | None) -> HttpResponse:
    raw = archive_read(archive=archive, reader=reader, reason=reason, address=address)
    return download(raw, file_name=raw_file_name(archive), media_type=archive.media_type)


def _pack(archive: Archive, reader: str, reason: str, address: str | None) -> HttpResponse:
    if archive.snapshot is None:
        raise RawNotKept("this raw copy belongs to no stored revision; download its bytes instead")
    pack = restore_pack(snapshot=archive.snapshot, reader=reader, reason=reason, address=address)
    return download(pack.payload, file_name=pack.file_name, media_type="application/zip")


@admin.register(ArchiveReading)
class ArchiveReadingAdmin(WholeAdmin, ReadOnlyAdmin):
    list_display = ["read_at", "reader", "hostname", "collected_at", "reason", "address"]
    list_filter = ["read_at"]
    search_fields = ["reader", "reason", "hostname"]
