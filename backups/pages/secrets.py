"""Which secrets devices share, where one stands, and which are old: told by tokens."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet

from backups.models import SecretUse
from backups.pages.device import DevicePage
from backups.pages.forms import DeviceFilterForm
from backups.selectors.secrets import (
    device_secret_uses,
    placed_secrets,
    secret_uses,
    shared_secret_rows,
    shared_secrets,
    stale_secret_uses,
)
from common.pages import PAGE_SIZES, FormPage, page_of
from inventory.visibility import scope_of

_OLD_DAYS = 90


class SharedForm(DeviceFilterForm):
    """Which shared secrets are wanted."""

    min_devices = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, label="At least devices"
    )


class OldForm(DeviceFilterForm):
    """Which old secrets are wanted."""

    older_than_days = forms.IntegerField(
        required=False, min_value=0, max_value=36_500, label="Older than days"
    )


class SharedSecretsPage(FormPage):
    """Secrets that more than one device has, those of most devices first."""

    title = "Secrets that devices share"
    template_name = "backups/secrets_shared.html"
    permissions = ("backups.view_secretuse",)
    form_class = SharedForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(tab="shared", **kwargs)
        form = self.form
        if not form.is_valid():
            return context
        devices, scope = form.device_filter(), form.scope
        found = shared_secrets(
            device_filter=devices, min_devices=form.cleaned_data["min_devices"] or 2, scope=scope
        )
        page = page_of(self.request, found)
        rows = shared_secret_rows(rows=page, device_filter=devices, scope=scope)
        return context | {"page_obj": page, "secrets": rows}


class _PlacesPage(FormPage):
    """A list of places in which secrets stand."""

    permissions = ("backups.view_secretuse",)

    @abstractmethod
    def uses(self) -> QuerySet[SecretUse]:
        """Those that the form asks for; after ``is_valid``."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if not self.form.is_valid():
            return context
        page = page_of(self.request, self.uses())
        return context | {
            "page_obj": page,
            "places": placed_secrets(uses=page, scope=self.form.scope),
        }


class OldSecretsPage(_PlacesPage):
    """Places whose secret has not changed for a long time, the oldest first."""

    title = "Secrets that have not changed"
    template_name = "backups/secrets_old.html"
    form_class = OldForm

    def uses(self) -> QuerySet[SecretUse]:
        days = self.form.cleaned_data["older_than_days"]
        return stale_secret_uses(
            older_than=timedelta(days=_OLD_DAYS if days is None else days),
            device_filter=self.form.device_filter(),
            scope=self.form.scope,
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(tab="old", days=_OLD_DAYS, **kwargs)


class SecretPage(_PlacesPage):
    """The places in which one secret stands, by hostname."""

    template_name = "backups/secret.html"
    form_class = DeviceFilterForm

    def get_title(self) -> str:
        return f"Secret {self.kwargs['token']}"

    def uses(self) -> QuerySet[SecretUse]:
        return secret_uses(
            token=self.kwargs["token"],
            device_filter=self.form.device_filter(),
            scope=self.form.scope,
        )


class DeviceSecretsPage(DevicePage):
    """The places of one device where secrets stand, in the order of its lines."""

    title = "Secrets"
    template_name = "backups/device_secrets.html"
    permissions = ("backups.view_secretuse",)
    tab = "secrets"

    def content(self) -> dict[str, Any]:
        """A page of them."""
        page = page_of(self.request, device_secret_uses(device=self.device))
        places = placed_secrets(uses=page, scope=scope_of(user=self.request.user))
        return {"page_obj": page, "places": places, "page_sizes": PAGE_SIZES}
