"""Addresses under /api-keys."""

from __future__ import annotations

from django.urls import path

from preferences.keys import views

urlpatterns = [
    path("api-keys", views.key_list),
    path("api-keys/new", views.new_key),
    path("api-keys/<uuid:key_id>", views.key_page_view),
    path("api-keys/<uuid:key_id>/preferences", views.key_wishes),
    path("api-keys/<uuid:key_id>/rotate", views.rotate),
    path("api-keys/<uuid:key_id>/revoke", views.revoke),
]
