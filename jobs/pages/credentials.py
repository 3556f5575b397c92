"""The credentials: what each is for and how devices answered to it. No secret is ever shown."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from common.pages import ListPage
from credentials.models import Credential, Provider
from credentials.visibility import credentials_visible_to
from inventory.resolution import devices_without_credential
from inventory.selectors import credentials_with_uses
from inventory.visibility import devices_visible_to, scope_of
from jobs.pages.filters import tag_filter


class CredentialFilter(django_filters.FilterSet):
    """What the list is narrowed by."""

    q = django_filters.CharFilter(method="search", label="Name or user")
    tag = tag_filter()
    provider = django_filters.ChoiceFilter(choices=Provider.choices, empty_label="All")

    class Meta:
        model = Credential
        fields: list[str] = []

    def search(self, rows: QuerySet[Credential], name: str, value: str) -> QuerySet[Credential]:
        """Those with this text in the name or the user name."""
        return rows.filter(Q(name__icontains=value) | Q(username__icontains=value))


class CredentialsPage(ListPage):
    """The credentials in the order in which they are tried."""

    title = "Credentials"
    template_name = "jobs/credentials.html"
    permissions = ("credentials.view_credential",)
    filterset_class = CredentialFilter
    orderings = {
        "priority": "priority",
        "name": "name",
        "user": "username",
        "success": "last_success_at",
        "refused": "refused_count",
    }
    default_ordering = "priority"

    def get_queryset(self) -> QuerySet[Any]:
        user = self.request.user
        return credentials_with_uses(
            credentials=credentials_visible_to(user=user), scope=scope_of(user=user)
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        without = 0
        if user.has_perm("inventory.view_device"):
            active = devices_visible_to(user=user).filter(is_active=True)
            without = devices_without_credential(devices=active).count()
        return super().get_context_data(without=without, **kwargs)
