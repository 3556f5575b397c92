"""What devices said, in the templates of pages."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from backups.pages.lines import text_html

register = template.Library()


@register.filter
def device_text(text: str) -> SafeString:
    """``text`` escaped, with what cannot be seen shown as a sign."""
    return text_html(str(text))
