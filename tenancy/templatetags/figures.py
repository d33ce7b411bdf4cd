"""Numbers for people in templates, by the same functions as everywhere."""

from __future__ import annotations

from django import template

from lib import figures, money

register = template.Library()
register.filter("count", figures.count)
register.filter("duration", figures.duration)
register.filter("percent", figures.percent)
register.filter("two_places", money.two_places)
