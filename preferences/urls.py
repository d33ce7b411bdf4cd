"""Addresses under /enterprise-router/."""

from __future__ import annotations

from django.urls import path

from catalog import start
from preferences import views
from tenancy import pages

urlpatterns = [
    path("", views.home),
    path("preferences", views.page),
    path("preferences/<slug:scope>/<slug:name>", views.field),
    path("theme", pages.theme),
    path("organization/new", start.new_organization),
    path("organization", pages.choose_organization),
]
