"""One file per wire format: pure translation of requests, answers, chunks, usage and errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from routing.wire import anthropic, openai
from routing.wire.base import Wire

WIRES: Mapping[str, Wire] = MappingProxyType({w.name: w for w in (openai.WIRE, anthropic.WIRE)})
