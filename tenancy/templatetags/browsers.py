"""A session's browser in words."""

from __future__ import annotations

from django import template

from tenancy.browsers import browser

register = template.Library()
register.filter("browser", browser)
