"""Addresses under /requests."""

from __future__ import annotations

from django.urls import path

from analytics import views

urlpatterns = [
    path("requests", views.requests),
    path("requests/newer", views.newer),
    path("requests/<uuid:call_id>", views.request_detail),
]
