"""Addresses under /enterprise-router/."""

from __future__ import annotations

from django.urls import path

from catalog import start
from preferences import views
from tenancy import shell

urlpatterns = [
    path("", views.home),
    path("preferences", views.page),
    path("preferences/<slug:scope>/<slug:name>", views.field),
    path("theme", shell.theme),
    path("keys", shell.keys),
    path("organization/new", start.new_organization),
    path("organization", shell.choose_organization),
]
