"""Providers as data: a few lines each. Addresses are those of the providers' own documentation.

``{…}`` in an address is what the operator fills in. Quality is a coarse judgement, 0 to 100, from
public leaderboards of late 2025; every organization can change it per deployment.
"""

from __future__ import annotations

from dataclasses import dataclass

TEXT = frozenset({"streaming", "tools", "json_schema"})
SEES = TEXT | {"vision"}
THINKS = TEXT | {"reasoning"}
SEES_THINKS = SEES | {"reasoning"}
EMBEDS: frozenset[str] = frozenset()
OPERATIONS = ("chat", "embeddings")
MODEL_CHARS_MAX = 160
TOKENS_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class ModelPreset:
    """A model that a provider serves under ``name``; windows are in tokens."""

    name: str
    context_window: int
    max_output_tokens: int
    capabilities: frozenset[str]
    quality: int
    operation: str = "chat"

    def flaw(self) -> tuple[str, str] | None:
        """The field that is wrong and a sentence about it; None where all is well."""
        if not (1 <= len(self.name) <= MODEL_CHARS_MAX and _is_word(self.name)):
            return "model", f"A model's name is 1 to {MODEL_CHARS_MAX} characters without blanks."
        if not 1 <= self.context_window <= TOKENS_MAX:
            return "context_window", f"A context window is 1 to {TOKENS_MAX:,} tokens."
        if not 1 <= self.max_output_tokens <= self.context_window:
            return "max_output_tokens", "The output is 1 token up to the context window."
        if unknown := self.capabilities - SEES_THINKS:
            told = f"{', '.join(sorted(unknown))}: choose from {', '.join(sorted(SEES_THINKS))}."
            return "capabilities", told
        if not 0 <= self.quality <= 100:
            return "quality", "Quality is a number from 0 to 100."
        if self.operation not in OPERATIONS:
            return "operation", f"Choose one of: {', '.join(OPERATIONS)}."
        return None


@dataclass(frozen=True, slots=True)
class Preset:
    """How to reach a provider. ``key_variable`` is where its SDK looks for the key."""

    slug: str
    name: str
    base_url: str
    key_variable: str = ""
    wire: str = "openai"
    auth: str = "bearer"
    is_local: bool = False
    models: tuple[ModelPreset, ...] = ()


def _is_word(text: str) -> bool:
    return text.isprintable() and not any(character.isspace() for character in text)


def _m(
    name: str, window: int, output: int, capabilities: frozenset[str], quality: int
) -> ModelPreset:
    return ModelPreset(name, window, output, capabilities, quality)


def _e(name: str, window: int, quality: int) -> ModelPreset:
    return ModelPreset(name, window, 1, EMBEDS, quality, "embeddings")


_ALL = (
    Preset(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        models=(
            _m("gpt-5", 400_000, 128_000, SEES_THINKS, 95),
            _m("gpt-5-mini", 400_000, 128_000, SEES_THINKS, 85),
            _m("gpt-5-nano", 400_000, 128_000, SEES_THINKS, 70),
            _m("gpt-4.1", 1_047_576, 32_768, SEES, 82),
            _m("gpt-4.1-mini", 1_047_576, 32_768, SEES, 72),
            _m("gpt-4.1-nano", 1_047_576, 32_768, SEES, 58),
            _m("gpt-4o", 128_000, 16_384, SEES, 78),
            _m("gpt-4o-mini", 128_000, 16_384, SEES, 62),
            _e("text-embedding-3-small", 8_191, 60),
            _e("text-embedding-3-large", 8_191, 75),
        ),
    ),
    Preset(
        "anthropic",
        "Anthropic",
        "https://api.anthropic.com/v1",
        "ANTHROPIC_API_KEY",
        wire="anthropic",
        auth="x-api-key",
        models=(
            _m("claude-opus-4-1", 200_000, 32_000, SEES_THINKS, 94),
            _m("claude-sonnet-4-5", 200_000, 64_000, SEES_THINKS, 93),
            _m("claude-haiku-4-5", 200_000, 64_000, SEES_THINKS, 80),
        ),
    ),
    Preset(
        "google",
        "Google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        models=(
            _m("gemini-2.5-pro", 1_048_576, 65_536, SEES_THINKS, 92),
            _m("gemini-2.5-flash", 1_048_576, 65_536, SEES_THINKS, 80),
            _m("gemini-2.5-flash-lite", 1_048_576, 65_536, SEES_THINKS, 68),
        ),
    ),
    Preset(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        models=(
            _m("mistral-large-latest", 128_000, 32_768, TEXT, 76),
            _m("mistral-small-latest", 128_000, 32_768, SEES, 62),
        ),
    ),
    Preset(
        "groq",
        "Groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        models=(
            _m("openai/gpt-oss-120b", 131_072, 65_536, THINKS, 76),
            _m("llama-3.3-70b-versatile", 131_072, 32_768, TEXT, 66),
            _m("llama-3.1-8b-instant", 131_072, 131_072, TEXT, 45),
        ),
    ),
    Preset(
        "deepseek",
        "DeepSeek",
        "https://api.deepseek.com/v1",
        "DEEPSEEK_API_KEY",
        models=(
            _m("deepseek-chat", 128_000, 8_192, TEXT, 82),
            _m("deepseek-reasoner", 128_000, 65_536, THINKS, 88),
        ),
    ),
    Preset(
        "together",
        "Together",
        "https://api.together.xyz/v1",
        "TOGETHER_API_KEY",
        models=(_m("meta-llama/Llama-3.3-70B-Instruct-Turbo", 131_072, 32_768, TEXT, 66),),
    ),
    Preset(
        "fireworks",
        "Fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        models=(
            _m("accounts/fireworks/models/llama-v3p3-70b-instruct", 131_072, 16_384, TEXT, 66),
        ),
    ),
    Preset(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        models=(
            _m("openai/gpt-4o-mini", 128_000, 16_384, SEES, 62),
            _m("anthropic/claude-sonnet-4.5", 200_000, 64_000, SEES_THINKS, 93),
        ),
    ),
    Preset(
        "xai",
        "xAI",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        models=(
            _m("grok-4-0709", 256_000, 64_000, SEES_THINKS, 90),
            _m("grok-3-mini", 131_072, 32_768, THINKS, 74),
        ),
    ),
    Preset(
        "cohere",
        "Cohere",
        "https://api.cohere.ai/compatibility/v1",
        "COHERE_API_KEY",
        models=(
            _m("command-a-03-2025", 256_000, 8_000, TEXT, 68),
            _m("command-r-08-2024", 128_000, 4_000, TEXT, 50),
        ),
    ),
    Preset(
        "azure",
        "Azure OpenAI",
        "https://{resource}.openai.azure.com/openai/v1",
        "AZURE_OPENAI_API_KEY",
        auth="api-key",
    ),
    Preset(
        "bedrock",
        "AWS Bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com/openai/v1",
        "AWS_BEARER_TOKEN_BEDROCK",
        models=(_m("openai.gpt-oss-120b-1:0", 128_000, 16_384, THINKS, 76),),
    ),
    Preset("openai-compatible", "OpenAI-compatible", "{address}"),
    Preset("local", "Local (vLLM, Ollama, llama.cpp)", "{address}", is_local=True),
)

PRESETS = {preset.slug: preset for preset in _ALL}


def known_model(preset: str, name: str) -> ModelPreset | None:
    """What a preset knows of a model; None for a model, or a preset, that is not in the list."""
    models = PRESETS[preset].models if preset in PRESETS else ()
    return next((model for model in models if model.name == name), None)
