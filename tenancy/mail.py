"""Mail to people, as text and HTML in one layout.

A message is three templates beside each other: ``<name>_subject.txt``, ``<name>_message.txt``
(extends ``email/base.txt``) and ``<name>_message.html`` (extends ``email/base.html``).
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

# Tells mailboxes that are away not to answer (RFC 3834).
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


def make_mail(name: str, to: str, context: dict[str, Any]) -> EmailMultiAlternatives:
    """The message ``name`` for one person; the templates also know ``email`` and ``site_url``."""
    known = {"email": to, **context, "site_url": settings.PUBLIC_URL}
    subject = " ".join(render_to_string(f"{name}_subject.txt", known).split())
    text = render_to_string(f"{name}_message.txt", known).strip() + "\n"
    message = EmailMultiAlternatives(subject, text, None, [to], headers=HEADERS)
    message.attach_alternative(render_to_string(f"{name}_message.html", known), "text/html")
    return message


def send_mail(name: str, to: str, context: dict[str, Any]) -> None:
    """Sends the message ``name``; raises ``OSError`` when the mail server does not take it."""
    make_mail(name, to, context).send()
