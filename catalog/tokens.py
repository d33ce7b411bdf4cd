"""How many input tokens a prompt has: bounded at once from its bytes, or counted.

A bound costs nothing and is certain; count only where it could change the answer. The tokenizer is
loaded on first count (0.1 s, 70 MB, most of it mapped from the package's file); counting then takes
30 µs per KB, so a long prompt belongs in a thread.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

# o200k_base + 7 is what OpenAI bills for a single user message (203 of 203 measured prompts): 3
# for the answer's beginning and 4 around each message.
_FIRST_MESSAGE = 7
_FURTHER_MESSAGE = 4
_CLAUDE_FIRST_MESSAGE = 9
# Claude's tokenizer is not public: o200k times 1.09 plus 9 errs by 2.8 % on average. For the
# others the factor is a margin, not a measurement.
_CLAUDE_FACTOR = 1.09
_OTHER_FACTOR = 1.1

# Around a message no known template adds more than this.
_MESSAGE_BOUND = 16
# What providers put before tools: Anthropic documents up to 530 tokens, the largest known.
_TOOLS_BOUND = 800

_CL100K = ("gpt-4-", "gpt-3.5", "text-embedding-", "gpt-35")
_O200K = ("gpt-", "chatgpt-", "o1", "o3", "o4", "codex-")

# The most tokens that one image can become, by the providers' own documentation of 2025 and 2026.
# The first prefix that fits holds.
_IMAGE_BOUNDS = (
    # 85 + 170 for each of at most 8 tiles (768 by 2048 pixels); 2833 + 5667 for the mini.
    ("gpt-4o-mini", 48_169),
    ("gpt-4o", 1_445),
    ("gpt-4-turbo", 1_445),
    # At most 1,536 patches, times 1.62 (mini) or 2.46 (nano).
    ("gpt-4.1-mini", 2_489),
    ("gpt-4.1-nano", 3_779),
    ("gpt-4.1", 1_536),
    ("gpt-5-mini", 2_489),
    ("gpt-5-nano", 3_779),
    ("o4-mini", 2_642),
    # Long edge at most 2,576 pixels in the newest, 1,568 in those before.
    ("claude", 5_000),
    # At most 3,072 by 3,072 pixels in tiles of 768, each 258.
    ("gemini", 4_128),
)
# For every other model the largest of those known.
_IMAGE_BOUND = 48_169


def count(texts: Iterable[str], model: str, *, messages: int = 1, images: int = 0) -> int:
    """The input tokens of a prompt: exact for OpenAI's text, an estimate for other families.

    ``messages`` is how many messages the texts make up; 0 for embeddings, which have no frame.
    Text that looks like a special token counts as the text it is. Images count with their bound.
    """
    name = _bare(model)
    encoding = _encoding("cl100k_base" if _is_cl100k(name) else "o200k_base")
    tokens = sum(_count_one(encoding, text) for text in texts)
    first = _FIRST_MESSAGE
    if name.startswith("claude"):
        tokens = math.ceil(tokens * _CLAUDE_FACTOR)
        first = _CLAUDE_FIRST_MESSAGE
    elif not (name.startswith(_O200K) or _is_cl100k(name)):
        tokens = math.ceil(tokens * _OTHER_FACTOR)
    if messages:
        tokens += first + _FURTHER_MESSAGE * (messages - 1)
    return tokens + images * image_bound(model)


def bound(
    prompt_bytes: int, messages: int, *, images: int = 0, model: str = "", tools: bool = False
) -> int:
    """Input tokens that a prompt cannot exceed, from the bytes of its text alone.

    Every tokenizer in use falls back to bytes, so that a token is at least one byte. Without a
    ``model`` it holds for all of them. Sound and files are not in it.
    """
    total = prompt_bytes + messages * _MESSAGE_BOUND + (_TOOLS_BOUND if tools else 0)
    return total + images * image_bound(model) if images else total


def image_bound(model: str) -> int:
    """The most tokens that one image can become for a model."""
    name = _bare(model)
    for prefix, tokens in _IMAGE_BOUNDS:
        if name.startswith(prefix):
            return tokens
    return _IMAGE_BOUND


def _bare(model: str) -> str:
    """The model's own name, as in ``anthropic/claude-…`` or ``us.anthropic.claude-…``."""
    name = model.lower().rpartition("/")[2]
    for family in ("claude", "gemini", "gpt-"):
        at = name.find(f".{family}")
        if at >= 0:
            return name[at + 1 :]
    return name


def _is_cl100k(name: str) -> bool:
    return name == "gpt-4" or name.startswith(_CL100K)


@cache
def _encoding(name: str) -> Any:
    # The package's own module reads every table into Python first (0.8 s, 65 MB, and a deprecated
    # call), refuses texts of a million characters, and lists the tokens in order to count them.
    # Its compiled part needs none of that, so it is loaded by itself.
    package = find_spec("bpe_openai")
    assert package is not None, "bpe-openai is among the requirements"
    compiled = PathFinder.find_spec("_bindings", package.submodule_search_locations)
    assert compiled is not None, "bpe-openai has another layout: see requirements"
    assert compiled.loader is not None
    bindings: Any = module_from_spec(compiled)
    compiled.loader.exec_module(bindings)
    return bindings.tokenizer_for_encoding(name)


def _count_one(encoding: Any, text: str) -> int:
    try:
        tokens: int = encoding.count(text)
    except UnicodeEncodeError:
        # Half of a surrogate pair, which JSON may hold; sent as the replacement character.
        tokens = encoding.count(text.encode("utf-8", "replace").decode())
    return tokens
