"""What the operator's pages have in common: the admin's look, a log-in, rights, lists.

A page answers whole, or one part of it when htmx asks for that part by the id of its element.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page as PageOfRows
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.generic import TemplateView, View
from django_filters import FilterSet

PAGE_SIZES = (10, 25, 50, 100, 250)


class PermissionRequiredView(View):
    """For logged-in users who have the rights, which are asked for before anything is looked up."""

    #: As ``app_label.codename``; all of them are needed.
    permissions: ClassVar[Sequence[str]] = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, send to the log-in, or raise PermissionDenied."""
        if not admin.site.has_permission(request):
            return redirect_to_login(request.get_full_path())
        if not request.user.has_perms(self.permissions):
            raise PermissionDenied("Your role does not include this; ask an admin for it.")
        return super().dispatch(request, *args, **kwargs)


class PageAction(PermissionRequiredView):
    """What a button of a page does; afterwards the browser shows a page again."""

    http_method_names = ["post"]

    def back(self, to: str, *args: Any) -> HttpResponseRedirect:
        """To the page of this site that the form names as ``next``, or else to the view ``to``."""
        asked = self.request.POST.get("next", "")
        if url_has_allowed_host_and_scheme(asked, allowed_hosts={self.request.get_host()}):
            return HttpResponseRedirect(asked)
        return redirect(to, *args)


class Page(PermissionRequiredView, TemplateView):
    """One page."""

    #: What stands above the page and in the browser's tab.
    title: ClassVar[str] = ""
    #: Templates of the parts that htmx may ask for, by the id of the element that they fill.
    parts: ClassVar[Mapping[str, str]] = {}

    def get_template_names(self) -> list[str]:
        part = self._part()
        return [part] if part is not None else super().get_template_names()

    def get_title(self) -> str:
        """The heading of this very page; may name what it is about."""
        return self.title

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        if self._part() is None:
            context = {**admin.site.each_context(self.request), **context}
        return {"title": self.get_title(), **context}

    def _part(self) -> str | None:
        if self.request.headers.get("HX-Request") != "true":
            return None
        return self.parts.get(self.request.headers.get("HX-Target", ""))


class ListPage(Page):
    """A table of rows with filters, order and paging, all of them in its address."""

    #: Checks what the address asks for; its form stands above the table.
    filterset_class: ClassVar[type[FilterSet]]
    #: Names that ``?ordering=`` may have, with or without a minus sign, and their fields.
    orderings: ClassVar[Mapping[str, str]] = {}
    default_ordering: ClassVar[str] = ""
    page_size: ClassVar[int] = 50

    @abstractmethod
    def get_queryset(self) -> QuerySet[Any]:
        """The rows that the user may see, with all that the table shows of them."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        filterset = self.filterset_class(
            self.request.GET, queryset=self.get_queryset(), request=self.request
        )
        rows = filterset.qs if filterset.is_valid() else filterset.queryset.none()
        ordering = self._ordering()
        if ordering:
            name = ordering.removeprefix("-")
            sign = "-" if ordering.startswith("-") else ""
            rows = rows.order_by(f"{sign}{self.orderings[name]}", "pk")
        return super().get_context_data(
            filter_form=filterset.form,
            is_filtered=any(filterset.form.data.get(name) for name in filterset.form.fields),
            ordering=ordering,
            page_obj=page_of(self.request, rows, size=self.page_size),
            page_sizes=PAGE_SIZES,
            **kwargs,
        )

    def _ordering(self) -> str:
        asked = self.request.GET.get("ordering", "")
        return asked if asked.removeprefix("-") in self.orderings else self.default_ordering


class FormPage(Page):
    """A page that answers a form of its own, which is sent by GET and so stands in its address."""

    #: Takes ``data`` and ``user``.
    form_class: ClassVar[Any]

    @cached_property
    def form(self) -> Any:
        """What the address asks for, checked."""
        return self.form_class(data=self.request.GET, user=self.request.user)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = any(self.request.GET.get(name) for name in self.form.fields)
        return super().get_context_data(
            filter_form=self.form, is_filtered=asked, page_sizes=PAGE_SIZES, **kwargs
        )


def page_of(request: HttpRequest, rows: Any, *, size: int = 50) -> PageOfRows[Any]:
    """The page of ``rows`` that the address asks for; ``size`` rows where it does not say."""
    asked = request.GET.get("size", "")
    size = int(asked) if asked in map(str, PAGE_SIZES) else size
    return Paginator(rows, size).get_page(request.GET.get("page"))
