"""Users, their limits and their groups in the admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from credentials.models import TagLimit
from credentials.scoped import WholeAdmin
from credentials.usernames import username_problem
from netraven_site.accounts.services import LastAdmin, keep_an_admin

admin.site.unregister(User)
admin.site.unregister(Group)


class TagLimitInline(StackedInline):
    """Without it the user sees every device."""

    model = TagLimit
    autocomplete_fields = ["tags"]
    verbose_name_plural = "limit to devices with certain tags"

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("auth.change_user")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("auth.view_user")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("auth.change_user")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("auth.change_user")


class KeepsAnAdmin(admin.ModelAdmin):
    """For pages on which the last user who may manage users could lose that: nothing is done then.

    Goes before the class of the look.
    """

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        keep_an_admin()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        keep_an_admin()

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, queryset)
        keep_an_admin()

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().changelist_view, *args, **kwargs)

    def _told(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],
        *args: Any,
        **kwargs: Any,
    ) -> HttpResponse:
        """What ``view`` answers, or the way back to its page with the reason why not."""
        try:
            return view(request, *args, **kwargs)
        except LastAdmin as error:
            self.message_user(request, f"Nothing was changed: {error}.", messages.ERROR)
            return redirect(request.get_full_path())


class UserForm(UserChangeForm):
    """Changes a user; says which name is taken."""

    def clean_username(self) -> str:
        username = str(self.cleaned_data["username"])
        problem = username_problem(username=username, user_id=self.instance.pk)
        if problem is not None:
            raise ValidationError(problem)
        return username


@admin.register(User)
class UserAdmin(KeepsAnAdmin, WholeAdmin, DjangoUserAdmin, ModelAdmin[User]):
    """Django's own, in the look of the site, and with the tags that a user is limited to."""

    inlines = [TagLimitInline]
    form = UserForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else [*fields, "is_superuser"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Nobody deletes themselves: nor could the audit log say who did it.
        may_delete = super().has_delete_permission(request, obj) and obj != request.user
        return may_delete and _may_touch(request, obj)


def _may_touch(request: HttpRequest, user: Any) -> bool:
    """A superuser is changed by a superuser only."""
    return user is None or not user.is_superuser or bool(request.user.is_superuser)


@admin.register(Group)
class GroupAdmin(KeepsAnAdmin, WholeAdmin, DjangoGroupAdmin, ModelAdmin[Group]):
    """Django's own, in the look of the site."""
