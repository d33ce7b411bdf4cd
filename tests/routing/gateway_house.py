"""A gateway in this process, a sandbox beside it, an organization of its own, and calls to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.db import connection

from catalog.models import Deployment
from catalog.presets import ModelPreset
from catalog.sandbox.models import BY_NAME
from catalog.services import connect_provider, connect_sandbox
from routing.journal import read_records
from routing.redis_pipe import RedisPipe
from routing.runtime import Runtime
from tenancy.core import SYSTEM, Scope, live_key
from tenancy.models import Organization, new_id
from tenancy.scope import tenant_scope
from tenancy.services import NewKey, create_key, create_organization, create_user
from tests.catalog.sandbox_process import Server, running

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
BODY_BYTES_MAX = 200_000
TRIO = ("sandbox-fast", "sandbox-balanced", "sandbox-smart")
COST_FIRST = {"x-router-priority": "cost"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got; ``pieces`` as they were sent."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def data(self) -> list[str]:
        return [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def text(self) -> str:
        """The streamed text."""
        deltas = [c["delta"] for e in self.events for c in e.get("choices", ())]
        return "".join(delta.get("content") or "" for delta in deltas)


async def ask(
    application: Any,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    parts: list[bytes] | None = None,
    leave: Callable[[int], bool] = lambda pieces: False,
) -> Answer:
    """One HTTP request to an ASGI application.

    The client leaves as soon as ``leave`` says so of the number of pieces it got (0 once it sent
    its body). ``parts`` are sent instead of ``body``, one event each.
    """
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    events = [{"type": "http.request", "body": part, "more_body": True} for part in parts or [raw]]
    events[-1]["more_body"] = False
    sent: list[dict[str, Any]] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if events:
            return events.pop(0)
        if leave(0):
            gone.set()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)
        if leave(sum(bool(e.get("body")) for e in sent)):
            gone.set()

    named = [(n.lower().encode(), v.encode("latin-1")) for n, v in (headers or {}).items()]
    if parts is None:
        named.append((b"content-length", b"%d" % len(raw)))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *named],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
    }
    async with asyncio.timeout(20):
        await application(scope, receive, send)
    if not sent:
        return Answer(0, {}, [])
    got = {n.decode(): v.decode("latin-1") for n, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], got, [e["body"] for e in sent[1:] if e.get("body")])


async def in_database(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls what needs the ORM, in a thread, as another process would."""

    def call() -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(call)


@dataclass(slots=True)
class Firm:
    """An organization with the sandbox connected, and a key."""

    organization: Organization
    key: NewKey
    sandbox: Server

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key.secret}"}

    def new_key(self, **fields: Any) -> NewKey:
        values = {"name": "another", "scopes": (Scope.GATEWAY,), "actor": SYSTEM} | fields
        return create_key(self.organization.id, **values)


def make_firm(sandbox: Server) -> Firm:
    """A firm; "trio" is served by three providers, cheapest first: one, two, three."""
    owner = create_user(f"owner-{new_id().hex[-12:]}@example.com", None)
    firm = create_organization(name="Firm", owner=owner, actor=SYSTEM)
    connect_sandbox(firm.id, base_url=sandbox.url, actor=SYSTEM)
    for slug, upstream in zip(("one", "two", "three"), TRIO, strict=True):
        model = BY_NAME[upstream]
        _serve(
            firm,
            slug,
            sandbox.url,
            model="trio",
            upstream_model=upstream,
            input_nano_per_mtok=int(float(model.input_usd_per_mtok) * 10**9),
            output_nano_per_mtok=int(float(model.output_usd_per_mtok) * 10**9),
        )
    _serve(firm, "unpriced", sandbox.url, model="unpriced")
    key = create_key(firm.id, name="app", scopes=(Scope.GATEWAY,), actor=SYSTEM)
    return Firm(firm, key, sandbox)


def _serve(firm: Organization, slug: str, url: str, **columns: Any) -> None:
    """A provider at the sandbox's address with one deployment; ``columns`` are the deployment's."""
    model = ModelPreset("sandbox-vision", 128_000, 8_192, frozenset({"streaming", "tools"}), 50)
    provider = connect_provider(
        firm.id,
        preset="openai",
        secret="secret",
        slug=slug,
        base_url=f"{url}/v1",
        models=[model],
        actor=SYSTEM,
    )
    with tenant_scope(firm.id):
        Deployment.objects.filter(organization_id=firm.id, provider=provider).update(**columns)


@dataclass(slots=True)
class House:
    """A firm and the runtime that serves it."""

    firm: Firm
    runtime: Runtime
    seen: int = 0
    read: dict[Path, int] = field(default_factory=dict)

    async def post(
        self, body: Any, path: str = CHAT, headers: dict[str, str] | None = None, **how: Any
    ) -> Answer:
        return await ask(
            self.runtime.door, "POST", path, body, {**self.firm.auth, **(headers or {})}, **how
        )

    async def chat(self, model: str = "sandbox-fast", **fields: Any) -> Answer:
        """A chat; ``headers`` and ``leave`` as in ``ask``."""
        how = {name: fields.pop(name) for name in ("headers", "leave") if name in fields}
        return await self.post(
            {"model": model, "messages": [{"role": "user", "content": "Hello"}], **fields}, **how
        )

    async def upstream_calls(self) -> list[dict[str, Any]]:
        """What the sandbox was asked since the test began."""
        return await asyncio.to_thread(self.firm.sandbox.calls)

    async def fault(self, model: str, **faults: Any) -> None:
        """Makes a model of the sandbox fail until the test ends."""
        rule = {"latency_ms": 0, **faults, "model": model}
        answer = await asyncio.to_thread(self.firm.sandbox.call, "POST", "/sandbox/faults", rule)
        assert answer.status == 200, answer.body

    def written(self, kind: str = "o") -> list[dict[str, Any]]:
        """The journal's records of one kind since the runtime began."""
        records = []
        for path in sorted(self.runtime.journal.directory.glob("*.log")):
            records += [orjson.loads(r.payload) for r in read_records(path.read_bytes())]
        return [r for r in records if r["k"] == kind]

    @property
    def last(self) -> dict[str, Any]:
        """The outcome of the last call."""
        return self.written()[-1]


@asynccontextmanager
async def serving(path: Path, redis_url: str | None = None) -> AsyncIterator[Runtime]:
    """A runtime as a process would have it."""
    runtime = Runtime(
        redis_url=redis_url or settings.REDIS_URL,
        journal_dir=path / "journal",
        pepper=settings.API_KEY_PEPPER,
        trusted_proxies=0,
        body_bytes_max=BODY_BYTES_MAX,
        body_key=settings.ENCRYPTION_KEY,
    )
    try:
        yield runtime
    finally:
        await runtime.close()
        # Its threads may still be asking the database what changed.
        await asyncio.to_thread(runtime._threads.shutdown, wait=True)
        await asyncio.sleep(0.01)


def closed_redis() -> str:
    """An address where no Redis is."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    """One sandbox for all tests of a file."""
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def firm(django_db_blocker: Any, sandbox: Server) -> Iterator[Firm]:
    """One firm for all tests of a file, as every process sees it."""
    with django_db_blocker.unblock():
        yield make_firm(sandbox)
        connection.close()


async def forget_health(firm: Firm) -> None:
    """Nothing is known of any deployment, and the epoch is lost."""
    pipe = RedisPipe(settings.REDIS_URL)
    await pipe.send("DEL", live_key(firm.organization.id.hex))
    pipe.close()
    await asyncio.sleep(0)


@pytest.fixture
async def house(firm: Firm, tmp_path: Path) -> AsyncIterator[House]:
    """The firm behind a fresh runtime; the sandbox has forgotten all and answers at once."""
    await forget_health(firm)
    await asyncio.to_thread(firm.sandbox.call, "POST", "/sandbox/reset")
    async with serving(tmp_path) as runtime:
        made = House(firm, runtime)
        await made.fault("*", ms_per_token=0)
        yield made
