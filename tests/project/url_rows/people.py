"""Members and invitations."""

from __future__ import annotations

from tests.project.url_row import Row

_ADMINS = "in 200 403 403 200 200 in in in in"
_OWNERS = "in 200 403 403 403 200 in in in in"

ROWS = [
    Row("members", "GET", "/members", "in 200 200 200 200 200 in in in in"),
    Row(
        "members/invite",
        "POST",
        "/members/invite",
        # The second one finds the address invited.
        "in 200 403 403 200 409 in in in in",
        {"email": "somebody@urls.example.com", "role": "member"},
    ),
    # Only owners make owners.
    Row(
        "members/invite",
        "POST",
        "/members/invite",
        "in 200 403 403 403 200 in in in in",
        {"email": "somebody@urls.example.com", "role": "owner"},
    ),
    Row("members/leave", "GET", "/members/leave", "in 200 200 200 200 200 in in in in"),
    # The only owner stays.
    Row("members/leave", "POST", "/members/leave", "in 409 302 302 302 409 in in in in"),
    Row(
        "members/<uuid:member_id>/role",
        "POST",
        "/members/{viewer}/role",
        "in 404 403 403 302 302 in in in in",
        {"role": "viewer", "was": "viewer"},
    ),
    Row(
        "members/<uuid:member_id>/role",
        "POST",
        "/members/{viewer}/role",
        "in 404 403 403 403 302 in in in in",
        {"role": "owner", "was": "viewer"},
    ),
    Row(
        "members/<uuid:member_id>/remove",
        "GET",
        "/members/{viewer}/remove",
        "in 404 403 403 200 200 in in in in",
    ),
    Row(
        "members/<uuid:member_id>/remove",
        "POST",
        "/members/{viewer}/remove",
        "in 404 403 403 302 404 in in in in",
    ),
    Row(
        "members/<uuid:member_id>/transfer",
        "GET",
        "/members/{viewer}/transfer",
        "in 404 403 403 403 200 in in in in",
    ),
    Row(
        "members/<uuid:member_id>/transfer",
        "POST",
        "/members/{viewer}/transfer",
        "in 404 403 403 403 302 in in in in",
    ),
    Row(
        "members/invitations/<uuid:invitation_id>/resend",
        "POST",
        "/members/invitations/{invitation}/resend",
        # The second one comes too soon.
        "in 404 403 403 200 429 in in in in",
    ),
    Row(
        "members/invitations/<uuid:invitation_id>/withdraw",
        "POST",
        "/members/invitations/{invitation}/withdraw",
        "in 404 403 403 302 404 in in in in",
    ),
    Row(
        "invitations/<slug:token>",
        "GET",
        "/invitations/{token}",
        "200 403 403 403 403 403 200 200 200 200",
    ),
    Row(
        "invitations/<slug:token>",
        "POST",
        "/invitations/{token}",
        "in 403 403 403 403 403 in in in in",
    ),
    Row(
        "invitations/<slug:token>",
        "GET",
        "/invitations/never-was",
        "404 404 404 404 404 404 404 404 404 404",
    ),
    Row("audit-log", "GET", "/audit-log", "in 200 403 403 200 200 in in in in"),
    Row("audit-log", "GET", "/audit-log?check=1", "in 200 403 403 200 200 in in in in"),
    Row("audit-log/export", "GET", "/audit-log/export", "in 200 403 403 200 200 in in in in"),
    Row("organization", "GET", "/organization", "in 200 200 200 200 200 in in in in"),
    Row(
        "organization",
        "POST",
        "/organization",
        "in 302 403 403 302 302 in in in in",
        {"bodies_retention_days": "30", "was_bodies_retention_days": "30"},
    ),
    Row("organization/export", "GET", "/organization/export", _ADMINS),
    Row("organization/delete", "GET", "/organization/delete", _OWNERS),
    Row(
        "organization/delete",
        "POST",
        "/organization/delete",
        "in 422 403 403 403 422 in in in in",
        {"name": "another"},
    ),
]
