"""Which addresses a provider's base URL, given by a user, may lead to. Pure.

1. ``parse_base_url`` refuses what is wrong with the address as written, when it is saved.
2. Names are resolved when connecting; ``address_refused`` judges each resolved address there, so a
   name that later points somewhere else is refused as well.
3. The operator may allow private networks for models on the company's own machines; only what
   lies in them may be reached over plain http.

The list is explicit because ``is_global`` of the standard library differs between its versions
and lets through NAT64, 6to4, site-local and multicast addresses.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

URL_CHARS_MAX = 400
_NAME_CHARS_MAX = 253
_LABEL_CHARS_MAX = 63

# The IANA special-purpose registries for IPv4 and IPv6, and what is deprecated or multicast.
_REFUSED_V4 = (
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carriers"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.31.196.0/24", "for AS112"),
    ("192.52.193.0/24", "for AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "for AS112"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
# Only 2000::/3 is assigned to the public Internet; the rest of the space is refused as a whole.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = (
    ("2001::/23", "for protocols (Teredo, ORCHID, benchmarks)"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "for AS112"),
    ("3fff::/20", "for documentation"),
)
_NAMED_V6 = (
    ("::1/128", "loopback"),
    ("::/128", "unspecified"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard-only"),
    ("100:0:0:1::/64", "dummy"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_V4 = tuple((IPv4Network(text), reason) for text, reason in _REFUSED_V4)
_V6 = tuple((IPv6Network(text), reason) for text, reason in _REFUSED_V6 + _NAMED_V6)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a base URL leads: host in lower case, an IPv6 address without brackets."""

    scheme: str
    host: str
    port: int
    path: str


def address_refused(
    ip: str | Address, allowed: tuple[Network, ...] = (), *, plain: bool = False
) -> str | None:
    """Why this address may not be connected to; None when it may.

    ``allowed`` are the operator's private networks; they hold for the address as such, never for
    an IPv4 address wrapped in an IPv6 one, except the plain mapping (::ffff:a.b.c.d). ``plain``
    says that the connection is http: then only ``allowed`` ones will do, since a name may lead
    anywhere and the credential would cross the Internet in the clear.
    """
    try:
        address = ipaddress.ip_address(ip) if isinstance(ip, str) else ip
    except ValueError:
        return f'"{ip[:64]}" is not an IP address' if isinstance(ip, str) else "not an IP address"
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return f"{address} is bound to an interface"
        # A socket treats the mapped form exactly as the IPv4 address, so it is judged as that.
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    if any(address.version == network.version and address in network for network in allowed):
        return None
    if plain:
        return f"{address} is not in a private network of the operator, which http is only for"
    if isinstance(address, IPv4Address):
        for network, reason in _V4:
            if address in network:
                return f"{address} is not a public address: {reason}"
        return None
    for network6, reason in _V6:
        if address in network6:
            return f"{address} is not a public address: {reason}"
    return None if address in _PUBLIC_V6 else f"{address} is not a public address: unassigned"


def parse_base_url(url: str, *, allowed: tuple[Network, ...] = ()) -> Origin:
    """The origin and path of a provider's base URL.

    Raises ValueError with a sentence for the person who typed it. A name is not resolved here;
    over plain http it must lead into an ``allowed`` network, which is checked when connecting.
    """
    if len(url) > URL_CHARS_MAX:
        raise ValueError(f"The address is longer than {URL_CHARS_MAX} characters.")
    # Before parsing: urlsplit drops tabs and line ends, and browsers read "\" as "/".
    if any(c <= " " or c == "\\" or c == "\x7f" for c in url):
        raise ValueError("The address may not contain spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f'"{url}" is not an address. Write it as https://host/path.') from None
    if parts.scheme not in ("https", "http"):
        raise ValueError("The address must begin with https://.")
    if "@" in parts.netloc:
        raise ValueError("The address may not contain a user or password. Use the credential.")
    if "?" in url or "#" in url:
        raise ValueError("The address may not contain a query (?) or a fragment (#).")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("The port must be a number from 1 to 65535.")
    if "%" in parts.path or "/../" in f"{parts.path}/" or "/./" in f"{parts.path}/":
        raise ValueError("The path may not contain % or dot segments.")
    if "[" in parts.netloc and ":" not in (parts.hostname or ""):
        raise ValueError("Only an IPv6 address may stand in brackets.")
    host, address = _host(parts.hostname or "")
    plain = parts.scheme == "http"
    if plain and not allowed:
        raise ValueError("The address must begin with https://.")
    if address is not None and (reason := address_refused(address, allowed, plain=plain)):
        raise ValueError(f"{reason}. The operator can allow networks in PRIVATE_NETWORKS.")
    return Origin(
        scheme=parts.scheme,
        host=host,
        port=port or (80 if plain else 443),
        path=parts.path.rstrip("/"),
    )


def is_surely_private(origin: Origin, allowed: tuple[Network, ...]) -> bool:
    """Whether an origin can lead into ``allowed`` networks alone, whatever names resolve to.

    An address in one does; so does plain http, which is not connected to anything else.
    """
    if origin.scheme == "http":
        return True
    try:
        address = ipaddress.ip_address(origin.host)
    except ValueError:
        return False
    return any(address.version == network.version and address in network for network in allowed)


def _host(written: str) -> tuple[str, Address | None]:
    """The host in its one normal form, and its address if it is one."""
    host = written.removesuffix(".").lower()
    if not host:
        raise ValueError("The address has no host.")
    if ":" in host:
        try:
            address = IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{host}" is not an IPv6 address.') from None
        return str(address), address
    try:
        address4 = IPv4Address(host)
    except ValueError:
        return _name(host), None
    return str(address4), address4


def _name(host: str) -> str:
    """A host name in ASCII (IDNA); refuses what a resolver could take for a number."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f'"{host}" is not a host name.') from None
    labels = name.split(".")
    for label in labels:
        if not (
            0 < len(label) <= _LABEL_CHARS_MAX
            and label.replace("-", "").replace("_", "").isalnum()
            and label[0] != "-"
            and label[-1] != "-"
        ):
            raise ValueError(f'"{host}" is not a host name.')
    if len(name) > _NAME_CHARS_MAX:
        raise ValueError(f"The host is longer than {_NAME_CHARS_MAX} characters.")
    # 2130706433, 0x7f000001, 0177.0.0.1 and 127.1 are all 127.0.0.1 to a resolver. A name's last
    # label is never a number (RFC 3696), so nothing real is lost.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise ValueError(
            f'"{host}" is an ambiguous form of an address. Write all four numbers in decimal.'
        )
    return name
