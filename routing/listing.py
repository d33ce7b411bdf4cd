"""GET /v1/models: what a call may ask for, in OpenAI's shape."""

from __future__ import annotations

import orjson

from lib.errors import RouterError
from routing.incoming import Reply
from routing.model import AUTO
from routing.snapshot import Snapshot

OWNER = "enterprise-router"
# The shape wants a time of creation; deployments have none that means anything to a client.
CREATED_S = 1_700_000_000


def all_models(snapshot: Snapshot) -> Reply:
    """Every name that a call may ask for: ``auto``, models, and models pinned to a provider."""
    data = [_model(name, owner) for name, owner in _names(snapshot).items()]
    return _json({"object": "list", "data": data})


def one_model(snapshot: Snapshot, name: str) -> Reply:
    """One of them; raises ``RouterError`` (404) for a name that is not served."""
    owner = _names(snapshot).get(name)
    if owner is None:
        raise RouterError(
            404,
            "model_not_found",
            f'Model "{name[:80]}" is not served here. GET /v1/models lists all that are.',
            param="model",
        )
    return _json(_model(name, owner))


def _names(snapshot: Snapshot) -> dict[str, str]:
    names = {AUTO: OWNER} if snapshot.models else {}
    for name, candidates in sorted(snapshot.by_name.items()):
        names[name] = candidates.deployments[0].provider
    return names


def _model(name: str, owner: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED_S, "owned_by": owner}


def _json(content: object) -> Reply:
    return Reply(200, [(b"content-type", b"application/json")], orjson.dumps(content))
