"""How far an organization got with its first steps: for the sidebar and for Get started."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import BooleanField, Exists, ExpressionWrapper

from analytics.models import Rollup
from catalog.models import Provider
from preferences.models import UserRouterPreferences
from tenancy.models import Invitation, Membership
from tenancy.pages import Member


@dataclass(frozen=True, slots=True)
class Progress:
    """Which first steps are done; ``hidden`` when the member dismissed them."""

    request: bool = False
    provider: bool = False
    preferences: bool = False
    colleague: bool = False
    hidden: bool = True

    @property
    def total(self) -> int:
        """All steps on the page, with the organization itself."""
        return 6

    @property
    def done(self) -> int:
        """How many of them are done; the organization always is, and a request takes two."""
        return 1 + 2 * self.request + self.provider + self.preferences + self.colleague

    @property
    def shown(self) -> bool:
        """Whether Get started stands in the sidebar."""
        return not self.hidden and self.done < self.total


NOTHING = Progress()


def progress_of(organization_id: UUID, user_id: UUID) -> Progress:
    """What is done, from the data themselves; one query, inside the organization's scope."""
    ours = {"organization_id": organization_id}
    members = Membership.objects.filter(**ours)
    invited = Invitation.objects.filter(**ours, withdrawn_at=None)
    own = Provider.objects.filter(**ours, is_sandbox=False)
    # A provider is one to count on once a test of it succeeded, or it answered a call.
    answered = Rollup.objects.filter(**ours, successes__gt=0, provider__in=own.values("slug"))
    found = (
        members.filter(user_id=user_id)
        .values_list(
            Exists(Rollup.objects.filter(**ours, successes__gt=0)),
            ExpressionWrapper(
                Exists(own.exclude(tested_at=None)) | Exists(answered),
                output_field=BooleanField(),
            ),
            Exists(UserRouterPreferences.objects.filter(**ours)),
            ExpressionWrapper(
                Exists(members.exclude(user_id=user_id)) | Exists(invited),
                output_field=BooleanField(),
            ),
            "hides_get_started",
        )
        .first()
    )
    return NOTHING if found is None else Progress(*found)


def hide(member: Member) -> None:
    """Takes Get started out of one member's sidebar; the page stays under its address."""
    Membership.objects.filter(
        organization_id=member.organization_id, user_id=member.user.id
    ).update(hides_get_started=True)
