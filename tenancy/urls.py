"""Addresses of the people of an organization and of its trail."""

from __future__ import annotations

from django.urls import path

from tenancy import views_audit, views_invitations, views_members

urlpatterns = [
    path("members", views_members.members),
    path("members/invite", views_members.invite),
    path("members/leave", views_members.leave),
    path("members/<uuid:member_id>/role", views_members.role),
    path("members/<uuid:member_id>/remove", views_members.remove),
    path("members/<uuid:member_id>/transfer", views_members.transfer),
    path("members/invitations/<uuid:invitation_id>/resend", views_members.resend),
    path("members/invitations/<uuid:invitation_id>/withdraw", views_members.withdraw),
    path("audit-log", views_audit.audit_log),
    path("audit-log/export", views_audit.export),
    path("invitations/<slug:token>", views_invitations.invitation),
]
