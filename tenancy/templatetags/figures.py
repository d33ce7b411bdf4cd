"""Numbers for people in templates, by the same functions as everywhere."""

from __future__ import annotations

from django import template

from lib import figures

register = template.Library()
register.filter("count", figures.count)
register.filter("duration", figures.duration)
register.filter("percent", figures.percent)
