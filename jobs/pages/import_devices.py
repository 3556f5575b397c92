"""The page that takes devices from a file."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from common.pages import Page
from credentials.models import Tag
from credentials.visibility import is_limited, tags_visible_to
from inventory.imports import (
    MAX_IMPORT_BYTES,
    MAX_IMPORT_DEVICES,
    ImportFailed,
    ImportFormat,
    ImportOptions,
    ImportResult,
    file_import,
)

_NAMES = {
    ImportFormat.CSV: "CSV of NetRaven",
    ImportFormat.OXIDIZED: "Oxidized router.db",
    ImportFormat.RANCID: "RANCID router.db",
    ImportFormat.NETBOX: "NetBox devices as JSON",
}
#: Lines that name what is wrong; the others are counted.
_MAX_PROBLEMS = 50


class TextFile(forms.FileField):
    """A small file of UTF-8 text."""

    def clean(self, data: Any, initial: Any = None) -> str | None:
        """The text of the file, None without one. Raises ValidationError."""
        file: UploadedFile | None = super().clean(data, initial)
        if not file:
            return None
        if (file.size or 0) > MAX_IMPORT_BYTES:
            megabytes = MAX_IMPORT_BYTES // 1024 // 1024
            raise forms.ValidationError(
                f"{file.name} is larger than {megabytes} MB; import it in parts, or with "
                "'manage.py import_devices'."
            )
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise forms.ValidationError(f"{file.name} is no text in UTF-8.") from None


class ImportForm(forms.Form):
    """A file with devices and what stands beside it."""

    kind = forms.ChoiceField(
        label="Format", choices=[(kind.value, name) for kind, name in _NAMES.items()]
    )
    file = TextFile(label="File")
    tags = forms.ModelMultipleChoiceField(
        queryset=Tag.objects.none(),
        to_field_name="name",
        required=False,
        help_text="Each device gets these as well.",
    )
    mapping = TextFile(
        label="Configuration of Oxidized",
        required=False,
        help_text="Says what stands in which column of router.db; only for Oxidized.",
    )
    cloginrc = TextFile(
        label=".cloginrc of RANCID",
        required=False,
        help_text="Its logins, for credentials; only for RANCID.",
    )
    with_credentials = forms.BooleanField(
        label="Make credentials of the logins in the files", required=False
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user
        tags: Any = self.fields["tags"]
        tags.queryset = tags_visible_to(user=user)
        # Without a tag of theirs the devices would be gone from their sight.
        tags.required = is_limited(user=user)
        if not user.has_perm("credentials.add_credential") or is_limited(user=user):
            del self.fields["with_credentials"]

    def imported(self, *, dry_run: bool) -> ImportResult | None:
        """What the import did, or None where the form says what is wrong."""
        if not self.is_valid():
            return None
        given = self.cleaned_data
        try:
            return file_import(
                text=given["file"],
                kind=ImportFormat(given["kind"]),
                options=ImportOptions(mapping=given["mapping"], cloginrc=given["cloginrc"]),
                dry_run=dry_run,
                tags=[tag.name for tag in given["tags"]],
                with_logins=given.get("with_credentials", False),
                max_devices=MAX_IMPORT_DEVICES,
                user=self._user,
            )
        except ImportFailed as error:
            self._name_problems(error.problems)
            return None

    def _name_problems(self, problems: list[str]) -> None:
        for problem in problems[:_MAX_PROBLEMS]:
            self.add_error("file", problem)
        if len(problems) > _MAX_PROBLEMS:
            self.add_error("file", f"... and {len(problems) - _MAX_PROBLEMS} more problems")


class ImportDevicesPage(Page):
    """Takes devices from a file: all of them, or none where a line is bad."""

    title = "Import devices"
    template_name = "jobs/import_devices.html"
    permissions: ClassVar = ("inventory.add_device", "inventory.change_device")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kwargs.setdefault("form", ImportForm(user=self.request.user))
        return super().get_context_data(**kwargs)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Import, or only check, and say what came of it."""
        form = ImportForm(request.POST, request.FILES, user=request.user)
        if "with_credentials" in request.POST and "with_credentials" not in form.fields:
            raise PermissionDenied("Your role does not include credentials; ask an admin for it.")
        dry_run = "check" in request.POST
        result = form.imported(dry_run=dry_run)
        if result is None or dry_run:
            context = self.get_context_data(form=form, result=result)
            return TemplateResponse(request, self.get_template_names(), context)
        messages.success(request, f"{_summary(result)}.")
        for note in (*result.left_out, *result.notes):
            messages.info(request, note)
        return redirect("jobs:devices")


def _summary(result: ImportResult) -> str:
    parts = [
        f"{result.created} devices created",
        f"{result.updated} updated",
        f"{result.unchanged} unchanged",
    ]
    if result.credentials:
        parts.append(f"{len(result.credentials)} credentials made")
    return ", ".join(parts)
