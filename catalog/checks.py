"""What may be stored of providers and models; what is wrong is said by a ``RouterError``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from django.conf import settings

from catalog.presets import MODEL_CHARS_MAX, ModelPreset
from lib.errors import RouterError
from lib.money import NANO_PER_USD, USD_MAX
from lib.netguard import is_surely_private, parse_base_url

NAME_CHARS_MAX = 80
REGION_CHARS_MAX = 40
_SLUG = re.compile(r"[-\w]{1,40}", re.ASCII)
# Addresses under /providers and /api/providers that are no provider's.
RESERVED_SLUGS = frozenset({"new", "presets"})


def invalid(param: str, message: str) -> RouterError:
    """The error about one field."""
    return RouterError(422, "invalid_value", message, param=param)


def checked_line(text: str, param: str, chars_max: int) -> str:
    """One line of text without its outer blanks."""
    text = text.strip()
    if len(text) > chars_max or any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise invalid(param, f"This is one line of at most {chars_max} characters.")
    return text


def checked_name(text: str) -> str:
    """A provider's name, which is never empty."""
    if not (name := checked_line(text, "name", NAME_CHARS_MAX)):
        raise invalid("name", f"A name has 1 to {NAME_CHARS_MAX} characters.")
    return name


def checked_address(base_url: str) -> str:
    """An address that may be called from here."""
    try:
        parse_base_url(base_url, allowed=settings.PRIVATE_NETWORKS)
    except ValueError as why:
        raise invalid("base_url", str(why)) from None
    return base_url.rstrip("/")


def is_known_private(base_url: str) -> bool:
    """Whether the address itself says that calls stay in the operator's private networks."""
    origin = parse_base_url(base_url, allowed=settings.PRIVATE_NETWORKS)
    return is_surely_private(origin, settings.PRIVATE_NETWORKS)


def check_local(base_url: str, *, confirmed: bool) -> None:
    """Holds the promise of privacy: a provider counts as local where its address says so itself.

    Any other address, such as a name over https, may lead to the Internet today or tomorrow. There
    somebody has to say that the machines behind it are the organization's own.
    """
    if not confirmed and not is_known_private(base_url):
        raise invalid(
            "confirm_local",
            f"{base_url} may be public: it is no address in a private network of the operator "
            "(PRIVATE_NETWORKS). Requests with the priority privacy would be sent there. Confirm "
            "that the machines behind it are your own, or connect it as not local.",
        )


def checked_model_name(text: str, param: str) -> str:
    """A name that a provider may know a model by."""
    name = text.strip()
    if not (1 <= len(name) <= MODEL_CHARS_MAX and name.isprintable() and " " not in name):
        message = f"A model's name is 1 to {MODEL_CHARS_MAX} characters without blanks."
        raise invalid(param, message)
    return name


def check_models(models: Sequence[ModelPreset]) -> None:
    """That models can be deployed together."""
    for model in models:
        if flaw := model.flaw():
            raise invalid(*flaw)
    if len({model.name for model in models}) < len(models):
        raise invalid("model", "A model is given twice.")


def check_slug(slug: str) -> None:
    """That a provider can be named so in addresses and in provider/model."""
    if slug in RESERVED_SLUGS or not _SLUG.fullmatch(slug):
        raise invalid(
            "slug",
            "Write 1 to 40 letters, digits, - and _, without blanks; not new, not presets.",
        )


def check_prices(prices: Mapping[str, int | None]) -> None:
    """That each is an amount of nano-USD that a million tokens may cost."""
    for kind, nano in prices.items():
        if nano is not None and not 0 <= nano <= USD_MAX * NANO_PER_USD:
            raise invalid(kind, f"A price is from nothing to ${USD_MAX:,} per million tokens.")
