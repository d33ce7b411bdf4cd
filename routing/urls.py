"""Addresses of the pages that call the gateway: Get started and the playground."""

from __future__ import annotations

from django.urls import path

from routing import playground, start

urlpatterns = [
    path("get-started", start.page),
    path("get-started/waiting", start.waiting),
    path("get-started/events", start.events),
    path("get-started/send", start.send),
    path("get-started/key", start.another_key),
    path("get-started/dismiss", start.dismiss),
    path("playground", playground.page),
    path("playground/run", playground.run),
    path("playground/told/<uuid:call_id>", playground.told),
]
