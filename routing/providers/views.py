"""The list of providers, the way to a new one, and each provider's page.

1. Everybody sees providers; admins change them. A secret is taken and never shown again.
2. What a button does in a dialog it does on a page of its own too, for browsers without scripts.
3. A change moves the organization's epoch, so it holds for the very next call.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from analytics.provider_day import provider_days
from catalog import selectors
from catalog.editing import edit_provider
from catalog.models import Provider
from catalog.presets import PRESETS, Preset
from catalog.services import (
    SANDBOX_SLUG,
    change_address,
    connect_provider,
    connect_sandbox,
    set_credential,
)
from lib.errors import RouterError
from preferences.mentions import mentions
from routing.providers.asking import check_provider
from routing.providers.board import ProviderCard, cards
from routing.providers.check import Result
from routing.providers.forms import Form, found_presets, needs, new_form, provider_form
from routing.providers.health import read_health
from routing.providers.services import disconnect_provider
from tenancy.core import Role
from tenancy.pages import MemberRequest, member_page, render_page, waiting_page
from tenancy.scope import tenant_scope
from tenancy.versions import page_status

LIST = "/providers"
WHY_NOT = "Admins and the owner connect and change providers; your role is {role}."


@require_safe
@member_page
def provider_list(request: MemberRequest) -> HttpResponse:
    """Every provider with its state now and its last day."""
    member = request.member
    context = {
        "title": "Providers",
        "cards": _cards(member.organization_id, list(selectors.providers(member.organization_id))),
        **_rights(request),
    }
    return render_page(request, "providers/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def new_provider(request: MemberRequest) -> HttpResponse:
    """The list of presets, then one preset's form, then the provider's page with a first test."""
    request.member.require(Role.ADMIN)
    slug = request.POST.get("preset", request.GET.get("preset", ""))
    if request.method == "POST" and slug == SANDBOX_SLUG and settings.SANDBOX_URL:
        return _connect_sandbox(request)
    preset = PRESETS.get(slug)
    if preset is None:
        if request.method == "POST":
            raise Http404
        return _presets(request)
    if request.method != "POST":
        return _new_page(request, preset, new_form(preset))
    form = new_form(preset, request.POST)
    try:
        made = _connect(request, preset, form)
    except RouterError as why:
        refused = form.refused(why, otherwise="name")
        return _new_page(request, preset, refused, status=why.status)
    # Not yet a success: whether it answers is for the test on its page.
    messages.info(request, f"{made.name} is added. Its test below tells whether it answers.")
    return HttpResponseRedirect(f"{LIST}/{made.slug}?new=1")


def _connect(request: MemberRequest, preset: Preset, form: Form) -> Provider:
    member, values = request.member, form.values
    secret = request.POST.get("secret", "").strip()
    if not secret and not (preset.is_local or values["is_local"]):
        message = f"{preset.name} needs an API key."
        raise RouterError(422, "invalid_value", message, param="secret")
    return connect_provider(
        member.organization_id,
        preset=preset.slug,
        secret=secret,
        actor=member.actor(request),
        slug=values["slug"],
        name=values["name"],
        base_url=values["base_url"],
        region=values["region"],
        is_local=values["is_local"],
        confirm_local=values["confirm_local"],
    )


def _connect_sandbox(request: MemberRequest) -> HttpResponse:
    member = request.member
    try:
        made = connect_sandbox(
            member.organization_id, base_url=settings.SANDBOX_URL, actor=member.actor(request)
        )
    except RouterError as why:
        messages.error(request, why.message)
        return HttpResponseRedirect(f"{LIST}/new")
    messages.success(request, "The sandbox is connected. Its answers are made up and cost nothing.")
    return HttpResponseRedirect(f"{LIST}/{made.slug}?new=1")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def provider_page(request: MemberRequest, slug: str) -> HttpResponse:
    """One provider (GET), or its name, region, state and place changed (POST)."""
    provider = provider_for(request, slug)
    if request.method != "POST":
        return show(request, provider)
    member = request.member
    member.require(Role.ADMIN)
    form = provider_form(provider, request.POST)
    try:
        confirm = form.values["confirm_local"]
        changes = {name: form.values[name] for name in ("name", "region", "active", "is_local")}
        edit_provider(
            provider,
            changes,
            actor=member.actor(request),
            confirm_local=confirm,
            match=form.version or None,
        )
    except RouterError as why:
        stored = provider_form(provider_for(request, slug))
        refused = form.refused(why, otherwise="name", stored=stored)
        return show(request, provider, form=refused, status=page_status(why))
    return _back(request, provider, "Saved. It holds from the next call on.")


@require_http_methods(["POST"])
@member_page
def credential(request: MemberRequest, slug: str) -> HttpResponse:
    """Replaces the credential."""
    provider = provider_for(request, slug)
    request.member.require(Role.ADMIN)
    try:
        actor = request.member.actor(request)
        set_credential(provider, request.POST.get("secret", ""), actor=actor)
    except RouterError as why:
        refused = provider_form(provider).refused(why, otherwise="secret")
        return show(request, provider, form=refused, status=why.status)
    return _back(request, provider, "The credential is replaced. Test it.")


@require_http_methods(["POST"])
@member_page
def address(request: MemberRequest, slug: str) -> HttpResponse:
    """Moves the provider; the credential was for the old address."""
    provider = provider_for(request, slug)
    request.member.require(Role.ADMIN)
    form = provider_form(provider, request.POST)
    try:
        change_address(
            provider,
            form.values["base_url"],
            actor=request.member.actor(request),
            secret=request.POST.get("secret", "").strip(),
            is_local=form.values["is_local"],
            confirm_local=form.values["confirm_local"],
        )
    except RouterError as why:
        param = {"secret": "moved_secret", "confirm_local": "moved_local"}.get(why.param or "")
        errors = {param or "base_url": why.message}
        stored = {**provider_form(provider).values, "base_url": form.values["base_url"]}
        stored["moves_local"] = form.values["is_local"]
        return show(request, provider, form=Form(stored, errors), status=why.status)
    return _back(request, provider, "The address is changed. Test it.")


@require_http_methods(["POST"])
@waiting_page
def test(request: MemberRequest, slug: str) -> HttpResponse:
    """Calls the provider, and tells what came of it."""
    member = request.member
    member.require(Role.ADMIN)
    result, error, status = None, "", int(HTTPStatus.OK)
    try:
        result = check_provider(member.organization_id, slug)
    except RouterError as why:
        error, status = why.message, why.status
    with tenant_scope(member.organization_id):
        provider = provider_for(request, slug)
        return show(request, provider, result=result, test_error=error, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove(request: MemberRequest, slug: str) -> HttpResponse:
    """Says what names the provider, and takes it away."""
    provider = provider_for(request, slug)
    request.member.require(Role.ADMIN)
    if request.method == "POST":
        disconnect_provider(provider, actor=request.member.actor(request))
        messages.success(request, f"{provider.name} is removed. No call goes there any more.")
        return HttpResponseRedirect(LIST)
    context = {
        "title": f"Remove {provider.name}",
        "provider": provider,
        "mentions": mentions(provider.organization_id, provider.slug),
        "day": provider_days(provider.organization_id, timezone.now()).get(provider.slug),
    }
    return render_page(request, "providers/remove.html", context)


def provider_for(request: MemberRequest, slug: str) -> Provider:
    """The organization's provider of that slug; any other is not found."""
    found = selectors.provider(request.member.organization_id, slug)
    if found is None:
        raise Http404
    return found


def show(
    request: MemberRequest,
    provider: Provider,
    *,
    form: Form | None = None,
    result: Result | None = None,
    test_error: str = "",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """The page of one provider, with what came of the last form."""
    organization_id = provider.organization_id
    fresh = selectors.providers(organization_id).get(id=provider.id)
    context = {
        "title": fresh.name,
        "card": _cards(organization_id, [fresh])[0],
        "form": form or provider_form(fresh),
        "result": result,
        "test_error": test_error,
        "tested_at": timezone.now(),
        "tests_itself": "new" in request.GET,
        "mentions": mentions(organization_id, fresh.slug),
        "zone": request.member.time_zone,
        **_rights(request),
    }
    context["day"] = context["card"].day
    context["provider"] = fresh
    return render_page(
        request, "providers/provider.html", context, target="test-result", status=status
    )


def _cards(organization_id: UUID, found: list[Provider]) -> list[ProviderCard]:
    """Cards by four queries and one command to Redis, whatever there is."""
    rows = list(selectors.deployments_of(organization_id, [p.id for p in found]))
    now = timezone.now()
    health = read_health(organization_id, [row.id for row in rows])
    return cards(found, rows, health, provider_days(organization_id, now), now)


def _presets(request: MemberRequest) -> HttpResponse:
    text = request.GET.get("q", "")[:80]
    known = selectors.provider_slugs(request.member.organization_id)
    context = {
        "title": "Connect a provider",
        "text": text,
        "presets": [(preset, needs(preset)) for preset in found_presets(text)],
        "offers_sandbox": bool(settings.SANDBOX_URL) and SANDBOX_SLUG not in known,
    }
    return render_page(request, "providers/presets.html", context, target="results")


def _new_page(
    request: MemberRequest, preset: Preset, form: Form, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    context = {
        "title": f"Connect {preset.name}",
        "preset": preset,
        "form": form,
        "is_custom": preset.base_url == "{address}",
        "has_gap": "{" in preset.base_url,
    }
    return render_page(request, "providers/new.html", context, status=status)


def _rights(request: MemberRequest) -> dict[str, Any]:
    admin = request.member.may(Role.ADMIN)
    return {"editable": admin, "why_not": "" if admin else WHY_NOT.format(role=request.member.role)}


def _back(request: MemberRequest, provider: Provider, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(f"{LIST}/{provider.slug}")
