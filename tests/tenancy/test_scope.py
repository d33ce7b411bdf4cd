"""The wall: no scope raises, another organization's rows do not exist."""

from __future__ import annotations

import pytest
from django.db import ProgrammingError, transaction

from tenancy.models import ApiKey
from tenancy.scope import ScopeError, current_organization_id, tenant_scope
from tests.conftest import Cast


def test_a_query_without_a_scope_raises(cast: Cast) -> None:
    with pytest.raises(ProgrammingError, match="no organization scope"), transaction.atomic():
        ApiKey.objects.count()


def test_a_scope_sees_its_own_rows_only(cast: Cast) -> None:
    with tenant_scope(cast.acme.id):
        assert {k.name for k in ApiKey.objects.all()} == {"acme key"}


def test_scopes_of_one_organization_nest(cast: Cast) -> None:
    with tenant_scope(cast.acme.id):
        with tenant_scope(cast.acme.id):
            assert ApiKey.objects.count() == 1
        assert ApiKey.objects.count() == 1
    assert current_organization_id() is None


def test_a_scope_inside_anothers_is_an_error(cast: Cast) -> None:
    with (
        tenant_scope(cast.acme.id),
        pytest.raises(ScopeError),
        tenant_scope(cast.rival.id),
    ):
        pass
