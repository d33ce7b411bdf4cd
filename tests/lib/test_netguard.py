"""No address that a user types leads into a network that is not the public Internet."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest

from lib.netguard import Origin, address_refused, parse_base_url

PRIVATE = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/64"))

REFUSED_ADDRESSES = re.findall(
    r"\S+",
    """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.1.2.3
169.254.169.254 169.254.0.1 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.170 192.0.2.1 192.31.196.1
192.52.193.1 192.88.99.1 192.168.1.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.7
203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1
::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 100:0:0:1::1
2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:4:112::1
2001:db8::1 2002:7f00:1::1 2002:a9fe:a9fe::1 2620:4f:8000::1 3fff::1 3fff:fff::1 5f00::1
fc00::1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 1::1 e000::1
""",
)

PUBLIC_ADDRESSES = re.findall(
    r"\S+",
    """
8.8.8.8 1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0
192.0.1.1 198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 2606:4700::1111 2a00:1450::1
2001:4860:4860::8888 2001:200::1 3ffe::1
""",
)


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_special_addresses_are_refused(address: str) -> None:
    reason = address_refused(address)
    assert reason
    assert "not a public address" in reason or "interface" in reason


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_public_addresses_are_not(address: str) -> None:
    assert address_refused(ip_address(address)) is None


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"])
def test_the_operators_networks_may_be_reached(address: str) -> None:
    assert address_refused(address, PRIVATE) is None
    assert address_refused(address, PRIVATE, plain=True) is None


@pytest.mark.parametrize(
    "address", ["10.2.0.1", "fd00:2::1", "::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1"]
)
def test_only_the_operators_networks_and_only_unwrapped(address: str) -> None:
    assert address_refused(address, PRIVATE)


def test_plain_http_reaches_nothing_but_the_operators_networks() -> None:
    assert address_refused("8.8.8.8", PRIVATE) is None
    assert "http" in (address_refused("8.8.8.8", PRIVATE, plain=True) or "")


def test_text_that_is_no_address_is_refused() -> None:
    assert address_refused("example.org")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.openai.com/v1", Origin("https", "api.openai.com", 443, "/v1")),
        ("HTTPS://API.OpenAI.com./v1/", Origin("https", "api.openai.com", 443, "/v1")),
        ("https://host.example:8443", Origin("https", "host.example", 8443, "")),
        ("https://bücher.example/", Origin("https", "xn--bcher-kva.example", 443, "")),
        ("https://1.1.1.1/v1", Origin("https", "1.1.1.1", 443, "/v1")),
        ("https://[2606:4700:0::1111]/v1", Origin("https", "2606:4700::1111", 443, "/v1")),
        ("https://ollama/v1", Origin("https", "ollama", 443, "/v1")),
    ],
)
def test_an_address_has_one_form(url: str, origin: Origin) -> None:
    assert parse_base_url(url) == origin


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://api.openai.com/v1", "https"),
        ("ftp://api.openai.com", "https"),
        ("//api.openai.com", "https"),
        ("api.openai.com/v1", "https"),
        ("javascript:alert(1)", "https"),
        ("", "https"),
        ("https://", "host"),
        ("https:///v1", "host"),
        ("https://user@api.openai.com", "password"),
        ("https://user:pass@api.openai.com", "password"),
        ("https://api.openai.com@evil.example", "password"),
        ("https://api.openai.com/?a=b", "query"),
        ("https://api.openai.com?", "query"),
        ("https://api.openai.com/#a", "fragment"),
        ("https://api.openai.com:0", "port"),
        ("https://api.openai.com:", "port"),
        ("https://api.openai.com:65536", "address"),
        ("https://api.openai.com:-1", "address"),
        ("https://api.openai.com:https", "address"),
        ("https://api.openai.com\\@evil.example", "backslash"),
        ("https://api.open\nai.com", "control"),
        ("https://api.open\tai.com", "control"),
        (" https://api.openai.com", "spaces"),
        ("https://api.openai.com/a/../b", "dot"),
        ("https://api.openai.com/%2e%2e/b", "%"),
        ("https://2130706433", "ambiguous"),
        ("https://0x7f000001", "ambiguous"),
        ("https://0177.0.0.1", "ambiguous"),
        ("https://127.1", "ambiguous"),
        ("https://0", "ambiguous"),
        ("https://0x7f.0.0.0x1", "ambiguous"),
        ("https://127.0.0.08", "ambiguous"),
        ("https://evil.example.1", "ambiguous"),
        ("https://\uff11\uff12\uff17.0.0.1", "ambiguous"),
        ("https://127\u30020\u30020\u30021", "ambiguous"),
        ("https://127.0.0.1", "loopback"),
        ("https://127.0.0.1.", "loopback"),
        ("https://169.254.169.254/latest/meta-data", "link-local"),
        ("https://10.0.0.5:8080", "private"),
        ("https://[::1]", "loopback"),
        ("https://[::ffff:127.0.0.1]", "loopback"),
        ("https://[::ffff:7f00:1]", "loopback"),
        ("https://[64:ff9b::a9fe:a9fe]", "NAT64"),
        ("https://[2002:7f00:1::]", "6to4"),
        ("https://[fe80::1%25eth0]", "interface"),
        ("https://[::1", "address"),
        ("https://[v1.example]", "brackets"),
        ("https://[127.0.0.1]", "address"),
        ("https://exa mple.org", "spaces"),
        ("https://exa$mple.org", "host name"),
        ("https://-a.example", "host name"),
        ("https://a..example", "host name"),
        ("https://" + "a" * 64 + ".example", "host name"),
        ("https://" + "a." * 130 + "example", "longer"),
        ("https://api.openai.com/" + "a" * 400, "longer"),
    ],
)
def test_what_is_wrong_is_said(url: str, word: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){re.escape(word)}"):
        parse_base_url(url)


def test_http_is_for_the_operators_networks() -> None:
    assert parse_base_url("http://10.1.2.3:11434/v1", allowed=PRIVATE).port == 11434
    assert parse_base_url("http://[fd00:1::2]", allowed=PRIVATE).port == 80
    # A name is judged when it has been resolved.
    assert parse_base_url("http://ollama:11434", allowed=PRIVATE).host == "ollama"
    for url in ("http://8.8.8.8", "http://10.2.0.1", "http://127.0.0.1"):
        with pytest.raises(ValueError, match="http is only for"):
            parse_base_url(url, allowed=PRIVATE)
    with pytest.raises(ValueError, match="loopback"):
        parse_base_url("https://127.0.0.1", allowed=PRIVATE)
