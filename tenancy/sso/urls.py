"""The addresses of an organization's sign-in settings."""

from __future__ import annotations

from django.urls import path

from tenancy.sso import views

urlpatterns = [
    path("security", views.security, name="organization_security"),
    path("security/sso", views.create, name="sso_create"),
    path("security/sso/<uuid:connection_id>", views.change, name="sso_change"),
    path("security/sso/<uuid:connection_id>/delete", views.delete, name="sso_delete"),
    path("security/sso/<uuid:connection_id>/domains", views.add_a_domain, name="sso_add_domain"),
    path(
        "security/sso/<uuid:connection_id>/domains/<uuid:domain_id>/verify",
        views.verify,
        name="sso_verify_domain",
    ),
    path(
        "security/sso/<uuid:connection_id>/domains/<uuid:domain_id>/remove",
        views.remove,
        name="sso_remove_domain",
    ),
]
