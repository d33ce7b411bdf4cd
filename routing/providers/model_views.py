"""The pages of one model at a provider: adding it, changing it, its price, taking it away."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from catalog import selectors
from catalog.editing import clear_price, edit_deployment, remove_deployment
from catalog.models import Deployment, Provider
from catalog.presets import OPERATIONS, PRESETS, ModelPreset, known_model
from catalog.prices import price_for
from catalog.services import add_deployment, set_price
from lib.errors import RouterError
from routing.providers.board import price_shown
from routing.providers.forms import (
    CAPABILITY_WORDS,
    Form,
    invalid,
    model_form,
    price_form,
    read_model,
    read_price,
)
from routing.providers.views import LIST, provider_for
from tenancy.core import Role
from tenancy.pages import MemberRequest, member_page, render_page
from tenancy.versions import page_status


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def new_model(request: MemberRequest, slug: str) -> HttpResponse:
    """Adds a model; ``?model=`` fills the form with what the preset knows of it."""
    provider = provider_for(request, slug)
    request.member.require(Role.ADMIN)
    if request.method != "POST":
        known = known_model(provider.preset, request.GET.get("model", ""))
        return _new_page(request, provider, model_form(known))
    form = model_form(None, request.POST)
    try:
        made = _add(request, provider, form)
    except RouterError as why:
        refused = form.refused(why, otherwise="model")
        return _new_page(request, provider, refused, status=why.status)
    messages.success(request, f"{made.model} is added. Calls can ask for it now.")
    return HttpResponseRedirect(f"{LIST}/{provider.slug}")


def _add(request: MemberRequest, provider: Provider, form: Form) -> Deployment:
    wanted = read_model(form)
    preset = ModelPreset(
        wanted["model"],
        wanted["context_window"],
        wanted["max_output_tokens"],
        frozenset(wanted["capabilities"]),
        wanted["quality"],
        wanted["operation"],
    )
    return add_deployment(
        provider,
        preset,
        actor=request.member.actor(request),
        upstream_model=wanted["upstream_model"],
        region=wanted["region"],
    )


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def model_page(request: MemberRequest, slug: str, model_id: UUID) -> HttpResponse:
    """One model (GET), or its settings changed (POST)."""
    provider, row = _found(request, slug, model_id)
    if request.method != "POST":
        return _show(request, provider, row)
    request.member.require(Role.ADMIN)
    form = model_form(None, request.POST)
    try:
        match = form.version or None
        edit_deployment(row, read_model(form), actor=request.member.actor(request), match=match)
    except RouterError as why:
        provider, row = _found(request, slug, model_id)
        refused = form.refused(why, otherwise="model", stored=model_form(row))
        return _show(request, provider, row, form=refused, status=page_status(why))
    return _back(request, provider, row, "Saved. It holds from the next call on.")


@require_http_methods(["POST"])
@member_page
def price(request: MemberRequest, slug: str, model_id: UUID) -> HttpResponse:
    """Sets the organization's own price, or takes it back (``clear``)."""
    provider, row = _found(request, slug, model_id)
    request.member.require(Role.ADMIN)
    actor = request.member.actor(request)
    clears = "clear" in request.POST
    form = price_form(row, None if clears else request.POST)
    try:
        if clears:
            clear_price(row, actor=actor)
            return _back(request, provider, row, "The price list holds again.")
        today = timezone.localdate()
        wanted = read_price(form, today=today)
        if wanted["as_of"] > today:
            raise invalid("as_of", "A price holds from now on; choose today or a day before.")
        set_price(row, actor=actor, match=form.version or None, **wanted)
    except RouterError as why:
        provider, row = _found(request, slug, model_id)
        refused = form.refused(why, otherwise="source", stored=price_form(row))
        return _show(request, provider, row, prices=refused, status=page_status(why))
    return _back(request, provider, row, "The price is set. It holds from the next call on.")


@require_http_methods(["POST"])
@member_page
def switch(request: MemberRequest, slug: str, model_id: UUID) -> HttpResponse:
    """Turns a model on or off."""
    provider, row = _found(request, slug, model_id)
    request.member.require(Role.ADMIN)
    active = request.POST.get("active") == "1"
    edit_deployment(row, {"active": active}, actor=request.member.actor(request))
    messages.success(request, f"{row.model} is turned {'on' if active else 'off'}.")
    return HttpResponseRedirect(f"{LIST}/{provider.slug}")


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def remove(request: MemberRequest, slug: str, model_id: UUID) -> HttpResponse:
    """Takes a model away from its provider."""
    provider, row = _found(request, slug, model_id)
    request.member.require(Role.ADMIN)
    if request.method == "POST":
        remove_deployment(row, actor=request.member.actor(request))
        messages.success(request, f"{row.model} is removed from {provider.name}.")
        return HttpResponseRedirect(f"{LIST}/{provider.slug}")
    context = {"title": f"Remove {row.model}", "provider": provider, "row": row}
    return render_page(request, "providers/remove_model.html", context)


def _found(request: MemberRequest, slug: str, model_id: UUID) -> tuple[Provider, Deployment]:
    provider = provider_for(request, slug)
    row = selectors.deployment_of(provider, model_id)
    if row is None:
        raise Http404
    return provider, row


def _show(
    request: MemberRequest,
    provider: Provider,
    row: Deployment,
    *,
    form: Form | None = None,
    prices: Form | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    admin = request.member.may(Role.ADMIN)
    now = timezone.now()
    context = {
        "title": row.model,
        "provider": provider,
        "row": row,
        "form": form or model_form(row),
        "prices": prices or price_form(row),
        "price": asdict(price_shown(row, provider, now)),
        "is_listed": price_for(provider.preset, row.upstream_model, at=now) is not None,
        "editable": admin,
        "today": timezone.localdate().isoformat(),
        **_words(),
    }
    return render_page(request, "providers/model.html", context, status=status)


def _new_page(
    request: MemberRequest, provider: Provider, form: Form, *, status: int = HTTPStatus.OK
) -> HttpResponse:
    have = set(selectors.model_names(provider))
    preset = PRESETS.get(provider.preset)
    context = {
        "title": f"Add a model to {provider.name}",
        "provider": provider,
        "form": form,
        "known": [m.name for m in preset.models if m.name not in have] if preset else [],
        "editable": True,
        **_words(),
    }
    return render_page(request, "providers/new_model.html", context, status=status)


def _words() -> dict[str, object]:
    return {"operations": OPERATIONS, "capabilities": list(CAPABILITY_WORDS.items())}


def _back(request: MemberRequest, provider: Provider, row: Deployment, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(f"{LIST}/{provider.slug}/models/{row.id}")
