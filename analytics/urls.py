"""Addresses under /requests and of the Analytics tab."""

from __future__ import annotations

from django.urls import path

from analytics import bodies_views, dashboard, views, views_organization

urlpatterns = [
    path("enterprise-router/analytics", dashboard.page),
    path("enterprise-router/analytics/export", dashboard.export_calls),
    path("enterprise-router/analytics/fig/<slug:name>.json", dashboard.figure),
    path("enterprise-router/analytics/fig/<slug:name>.csv", dashboard.figure_file),
    path("requests", views.requests),
    path("requests/newer", views.newer),
    path("requests/live", views.live),
    path("requests/<uuid:call_id>", views.request_detail),
    path("requests/<uuid:call_id>/request", bodies_views.request_body),
    path("requests/<uuid:call_id>/answer", bodies_views.answer_body),
    path("organization", views_organization.organization),
    path("organization/export", views_organization.organization_export),
    path("organization/delete", views_organization.organization_delete),
]
