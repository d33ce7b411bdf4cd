"""Members and invitations."""

from __future__ import annotations

from tests.project.url_row import Row

_ADMINS = "in 200 403 403 200 200 in in in in"
_OWNERS = "in 200 403 403 403 200 in in in in"

_READS = "401 401 401 401 401 401 200 200 401 403"
_OWN = "401 401 401 401 401 401 200 404 401 403"
_MEMBER = "api/members/<uuidstr:member_id>"
_INVITATION = "api/invitations/<uuidstr:invitation_id>"

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
    Row("api/members", "GET", "/api/members", _READS),
    Row(_MEMBER, "GET", "/api/members/{viewer}", _OWN),
    Row(_MEMBER, "PATCH", "/api/members/{viewer}", _OWN, {"role": "member"}),
    Row(
        _MEMBER,
        "PATCH",
        "/api/members/{viewer}",
        "401 401 401 401 401 401 403 404 401 403",
        {"role": "owner"},
    ),
    Row(_MEMBER, "DELETE", "/api/members/{viewer}", "401 401 401 401 401 401 204 404 401 403"),
    Row("api/invitations", "GET", "/api/invitations", _READS),
    Row(
        "api/invitations",
        "POST",
        "/api/invitations",
        "401 401 401 401 401 401 201 201 401 403",
        {"email": "somebody@urls.example.com", "role": "member"},
    ),
    Row(
        "api/invitations",
        "POST",
        "/api/invitations",
        "401 401 401 401 401 401 403 403 401 403",
        {"email": "somebody@urls.example.com", "role": "owner"},
    ),
    Row(f"{_INVITATION}/resend", "POST", "/api/invitations/{invitation}/resend", _OWN),
    Row(
        _INVITATION,
        "DELETE",
        "/api/invitations/{invitation}",
        "401 401 401 401 401 401 204 404 401 403",
    ),
    Row("api/audit", "GET", "/api/audit", _READS),
    Row("api/audit/export", "GET", "/api/audit/export", _READS),
    Row("api/audit/chain", "GET", "/api/audit/chain", _READS),
    Row("api/organization/export", "GET", "/api/organization/export", _READS),
    Row("api/organization", "GET", "/api/organization", _READS),
    Row("api/organization", "PATCH", "/api/organization", _READS, {"time_zone": "UTC"}),
]
