"""Which addresses and certificates a provider's name may lead to, observed at real sockets."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from routing.upstream import Limits, Upstream

from .provider_server import LOOPBACK, LOOPS, OK, Exchange, always, failure, provider, run_on

Run = Callable[[Coroutine[Any, Any, None]], None]
NAME = "provider.test"


@pytest.fixture(params=sorted(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_on(LOOPS[request.param], scenario)


class Names:
    """A resolver that gives one scripted answer after the other and keeps to the last."""

    def __init__(self, *answers: Sequence[str] | OSError) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        await asyncio.sleep(0.01)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that a socket of the dialer is sent to."""
    addresses: list[Any] = []

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            addresses.append(address[0])
            super().connect(address)

    monkeypatch.setattr("routing.dialer.socket.socket", Watched)
    return addresses


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "localhost",
        "10.0.0.1", "169.254.169.254", "100.100.100.200", "192.168.1.1", "172.16.0.1", "224.0.0.1",
        "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "fe80::1", "fc00::1", "fec0::1", "::127.0.0.1", "ff02::1",
    ],
)  # fmt: skip
def test_an_inner_address_is_never_dialled(run: Run, host: str, connects: list[Any]) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            for scheme in ("http", "https"):
                target = seen.target(scheme=scheme, host=host, allowed_networks=())
                error = await failure(upstream.send(target, b"{}"))
                # Without IPv6 the resolver has no address at all for some of them.
                assert error.kind in {"forbidden_address", "dns"}
                assert (error.phase, error.sent) == ("connect", False)
            await upstream.close()
        assert seen.connections == 0

    run(scenario())
    assert connects == []


@pytest.mark.parametrize(
    "answer",
    [
        ["10.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["127.0.0.1", "169.254.169.254"],
        ["::1"],
        ["fe80::1%1"],
    ],
)
def test_one_forbidden_address_refuses_the_name(
    run: Run, answer: list[str], connects: list[Any]
) -> None:
    async def scenario() -> None:
        upstream = Upstream(resolve=Names(answer))
        async with provider(always(OK)) as seen:
            error = await failure(upstream.send(seen.target(host=NAME, scheme="https"), b"{}"))
            assert error.kind == "forbidden_address"
            assert NAME in str(error)
            assert not any(address in str(error) for address in answer)
        assert seen.connections == 0

    run(scenario())
    assert connects == []


def test_plain_http_stays_inside_the_allowed_networks(run: Run, connects: list[Any]) -> None:
    async def scenario() -> None:
        upstream = Upstream(resolve=Names(["93.184.216.34"]))
        async with provider(always(OK)) as seen:
            error = await failure(upstream.send(seen.target(host=NAME), b"{}"))
            assert error.kind == "forbidden_address"
            assert "plain http" in str(error)

    run(scenario())
    assert connects == []


def test_a_permission_is_not_lent_to_another_target(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            await (await upstream.send(seen.target(), b"{}")).read(2)
            for networks in ((), (ip_network("10.0.0.0/8"),)):
                target = seen.target(allowed_networks=networks)
                assert (await failure(upstream.send(target, b"{}"))).kind == "forbidden_address"
            await (await upstream.send(seen.target(), b"{}")).read(2)
            assert seen.connections == 1
            await upstream.close()

    run(scenario())


def test_the_checked_address_is_the_one_that_is_dialled(
    run: Run, connects: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_second_look(*_: object, **__: object) -> list[Any]:
        raise AssertionError("looked up again")

    async def answer(exchange: Exchange) -> bool:
        await exchange.send(OK)
        return True

    async def scenario() -> None:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        upstream = Upstream(resolve=names, limits=Limits(resolved_s=0.3))
        async with provider(answer) as seen:
            monkeypatch.setattr("socket.getaddrinfo", no_second_look)
            for _ in range(3):
                await (await upstream.send(seen.target(host=NAME), b"{}")).read(2)
                await asyncio.sleep(0.01)
            assert (names.asked, seen.connections) == ([NAME], 3)
            await asyncio.sleep(0.4)
            error = await failure(upstream.send(seen.target(host=NAME), b"{}"))
            assert error.kind == "forbidden_address"
            assert len(names.asked) == 2
            await upstream.close()

    run(scenario())
    assert connects == ["127.0.0.1"] * 3


def test_a_peer_that_is_not_the_dialled_address_gets_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverted(socket.socket):
        def getpeername(self) -> Any:
            return ("10.0.0.1", 80)

    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            with monkeypatch.context() as patch:
                patch.setattr("routing.dialer.socket.socket", Diverted)
                error = await failure(upstream.send(seen.target(), b"{}"))
            assert (error.kind, error.sent) == ("connect", False)
            await seen.until(lambda: len(seen.closed_at) == 1)
            assert seen.exchanges == []

    run(scenario())


def test_the_next_address_is_tried_when_one_does_not_answer(run: Run, connects: list[Any]) -> None:
    async def scenario() -> None:
        upstream = Upstream(resolve=Names(["127.0.0.2", "127.0.0.1"]))
        async with provider(always(OK)) as seen:
            assert await (await upstream.send(seen.target(host=NAME), b"{}")).read(2) == b"ok"
            await upstream.close()
        error = await failure(upstream.send(seen.target(host=NAME), b"{}"))
        assert (error.kind, error.phase, error.sent) == ("connect", "connect", False)

    run(scenario())
    assert connects == ["127.0.0.2", "127.0.0.1"] * 2


def test_a_look_up_is_shared_and_its_failure_kept_for_a_moment(run: Run) -> None:
    async def scenario() -> None:
        names = Names(socket.gaierror(-2, "Name or service not known"), ["127.0.0.1"])
        upstream = Upstream(resolve=names, limits=Limits(unresolved_s=0.2))
        async with provider(always(OK)) as seen:
            calls = [failure(upstream.send(seen.target(host=NAME), b"{}")) for _ in range(20)]
            assert {error.kind for error in await asyncio.gather(*calls)} == {"dns"}
            assert len(names.asked) == 1
            await asyncio.sleep(0.25)
            calls_again = [upstream.send(seen.target(host=NAME), b"{}") for _ in range(20)]
            assert {response.status for response in await asyncio.gather(*calls_again)} == {200}
            assert len(names.asked) == 2
            await upstream.close()

    run(scenario())


def test_a_slow_look_up_counts_against_the_time_to_connect(run: Run) -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0.4)
        return ["127.0.0.1"]

    async def scenario() -> None:
        upstream = Upstream(resolve=resolve)
        async with provider(always(OK)) as seen:
            target = seen.target(host=NAME)
            error = await failure(upstream.send(target, b"{}", connect_timeout_s=0.1))
            assert (error.kind, error.phase, error.sent) == ("timeout", "connect", False)
            # The look-up went on for whoever comes next.
            assert (await upstream.send(target, b"{}", connect_timeout_s=5)).status == 200
            assert asked == [NAME]
            await upstream.close()

    run(scenario())


def test_the_system_resolver_is_asked_in_a_thread(run: Run) -> None:
    async def scenario() -> None:
        upstream = Upstream()
        async with provider(always(OK)) as seen:
            networks = (*LOOPBACK, ip_network("::1/128"))
            target = seen.target(host="localhost", allowed_networks=networks)
            assert (await upstream.send(target, b"{}")).status == 200
            error = await failure(upstream.send(seen.target(host="a" * 80), b"{}"))
            assert (error.kind, error.sent) == ("dns", False)
            await upstream.close()

    run(scenario())


class Certificates:
    """A certificate authority of our own and a certificate for `NAME`."""

    def __init__(self, folder: Path) -> None:
        now = datetime.datetime.now(datetime.UTC)
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])

        def build(name: x509.Name, public_key: Any, *, is_ca: bool) -> x509.CertificateBuilder:
            # Python 3.13 asks for the key identifiers, and for what an authority's key may do.
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
            own = x509.SubjectKeyIdentifier.from_public_key(public_key)
            usage = x509.KeyUsage(
                digital_signature=not is_ca,
                key_cert_sign=is_ca,
                crl_sign=is_ca,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            return (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(ca_name)
                .public_key(public_key)
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(days=1))
                .not_valid_after(now + datetime.timedelta(days=1))
                .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
                .add_extension(usage, critical=True)
                .add_extension(authority, critical=False)
                .add_extension(own, critical=False)
            )

        ca = build(ca_name, ca_key.public_key(), is_ca=True).sign(ca_key, hashes.SHA256())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        names = x509.SubjectAlternativeName([x509.DNSName(NAME)])
        leaf = build(name, key.public_key(), is_ca=False).add_extension(names, critical=False)
        pem = leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        pem += key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / "leaf.pem").write_bytes(pem)
        (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(folder / "leaf.pem")
        self.server.set_alpn_protocols(["h2", "http/1.1"])
        self.authority = str(folder / "ca.pem")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("host", [NAME, NAME + "."])
def test_tls_to_the_right_name(
    run: Run, certificates: Certificates, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    body = os.urandom(5_000_000)
    protocols = []

    async def answer(exchange: Exchange) -> None:
        protocols.append(exchange.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def scenario() -> None:
        upstream = Upstream(resolve=Names(["127.0.0.1"]))
        async with provider(answer, tls=certificates.server) as seen:
            target = seen.target(scheme="https", host=host)
            assert await (await upstream.send(target, body)).read(len(body)) == body
            response = await upstream.send(target, b"{}")
            await asyncio.sleep(0.1)
            assert response.size < 1_000_000
            parts = []
            while part := await response.chunk():
                parts.append(part)
            assert b"".join(parts) == body
            assert (seen.connections, protocols) == (1, ["http/1.1"] * 2)
            assert seen.exchanges[0].body == body
            await upstream.close()
            await seen.until(lambda: len(seen.closed_at) == 1)

    run(scenario())


@pytest.mark.parametrize("wrong", ["name", "authority", "no TLS", "silent"])
def test_tls_that_proves_nothing_gets_nothing(
    run: Run, certificates: Certificates, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wrong != "authority":
        monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)

    async def without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if wrong == "no TLS":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async def scenario() -> None:
        upstream = Upstream(resolve=Names(["127.0.0.1"]))
        plain = await asyncio.start_server(without_tls, "127.0.0.1", 0)
        async with provider(always(OK), tls=certificates.server) as seen:
            port = seen.port
            if wrong in {"no TLS", "silent"}:
                port = plain.sockets[0].getsockname()[1]
            host = "other.test" if wrong == "name" else NAME
            target = seen.target(scheme="https", host=host, port=port)
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(3):
                error = await failure(upstream.send(target, b"{}", connect_timeout_s=0.3))
                assert error.kind == ("timeout" if wrong == "silent" else "tls")
                assert (error.phase, error.sent) == ("connect", False)
            await asyncio.sleep(0.05)
            assert len(os.listdir("/proc/self/fd")) <= before
            assert seen.exchanges == []
            assert not upstream._pools
            plain.close()
            await upstream.close()

    run(scenario())
