"""Addresses under /providers."""

from __future__ import annotations

from django.urls import path

from routing.providers import model_views, views

_MODEL = "providers/<slug:slug>/models/<uuid:model_id>"

urlpatterns = [
    path("providers", views.provider_list),
    path("providers/new", views.new_provider),
    path("providers/<slug:slug>", views.provider_page),
    path("providers/<slug:slug>/credential", views.credential),
    path("providers/<slug:slug>/address", views.address),
    path("providers/<slug:slug>/test", views.test),
    path("providers/<slug:slug>/remove", views.remove),
    path("providers/<slug:slug>/models/new", model_views.new_model),
    path(_MODEL, model_views.model_page),
    path(f"{_MODEL}/price", model_views.price),
    path(f"{_MODEL}/active", model_views.switch),
    path(f"{_MODEL}/remove", model_views.remove),
]
