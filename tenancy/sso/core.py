"""E-mail domains, and what an organization does to prove one. Pure."""

from __future__ import annotations

PROOF_HOST = "_enterprise-router"
PROOF_PREFIX = "enterprise-router-domain="
_DOMAIN_CHARS_MAX = 253
_LABEL_CHARS_MAX = 63


def domain_of(email: str) -> str | None:
    """The domain of an address as it is stored, or None for what is no address."""
    name, _, domain = email.strip().rpartition("@")
    if not name:
        return None
    try:
        return clean_domain(domain)
    except ValueError:
        return None


def clean_domain(text: str) -> str:
    """A domain in its one form: ASCII (IDNA), lower case, without a dot at its end.

    Raises ValueError with a sentence for the person who typed it.
    """
    written = text.strip().removeprefix("@").removesuffix(".").lower()
    told = f'"{text.strip()[:80]}" is no e-mail domain such as example.com.'
    try:
        domain = written if written.isascii() else written.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(told) from None
    labels = domain.split(".")
    fine = all(
        0 < len(label) <= _LABEL_CHARS_MAX
        and label.replace("-", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
        for label in labels
    )
    if not fine or len(labels) < 2 or len(domain) > _DOMAIN_CHARS_MAX or labels[-1].isdigit():
        raise ValueError(told)
    return domain


def proof_name(domain: str) -> str:
    """The name whose TXT record proves the domain."""
    return f"{PROOF_HOST}.{domain}"


def proof_text(token: str) -> str:
    """What the TXT record must say."""
    return f"{PROOF_PREFIX}{token}"
