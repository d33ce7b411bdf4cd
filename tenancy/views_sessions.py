"""Where one's account is signed in, and how to end one session or all others."""

from __future__ import annotations

from typing import cast
from zoneinfo import ZoneInfo

from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from tenancy.browsers import browser
from tenancy.models import User
from tenancy.shell import Shell

TEMPLATE = "usersessions/usersession_list.html"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Every session of the account, this one first; POST ends all others."""
    found = UserSession.objects.purge_and_list(cast(User, request.user))
    if request.method == "POST":
        get_adapter().end_sessions([one for one in found if not one.is_current()])
        messages.success(request, "You are signed out everywhere else.")
        return HttpResponseRedirect(reverse("usersessions_list"))
    found.sort(key=lambda one: (one.is_current(), one.created_at), reverse=True)
    member = Shell(request).member
    zone = member.time_zone if member else "UTC"
    context = {
        "sessions": found,
        "others": any(not one.is_current() for one in found),
        "zone": zone,
    }
    with timezone.override(ZoneInfo(zone)):
        return render(request, TEMPLATE, context)


@require_POST
@login_required
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Ends another session of the same account; what is none is not found."""
    found = UserSession.objects.filter(user_id=request.user.pk, id=session_id).first()
    if found is None or found.is_current():
        raise Http404
    get_adapter().end_sessions([found])
    messages.success(request, f"{browser(found.user_agent)} ({found.ip}) is signed out.")
    return HttpResponseRedirect(reverse("usersessions_list"))
