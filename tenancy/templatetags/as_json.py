"""A value as JSON inside an attribute, which the content policy allows where a script is not."""

from __future__ import annotations

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """The value as JSON; escaped like any text."""
    return json.dumps(value)
