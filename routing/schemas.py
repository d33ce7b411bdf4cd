"""The requests of /v1 as OpenAPI describes them; the gateway itself reads bodies its own way."""

from typing import Any

from ninja import Field, Schema
from pydantic import ConfigDict


class ChatIn(Schema):
    """OpenAI's chat completion request. Fields that are not listed pass through untouched."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "model": "auto",
                "messages": [{"role": "user", "content": "Say hello"}],
            }
        },
    )

    model: str = Field(
        description="A model's name, provider/model to pin one, or auto to let the router choose.",
        examples=["auto", "gpt-4o-mini", "anthropic/claude-sonnet-4-5"],
    )
    messages: list[dict[str, Any]] = Field(
        description="The conversation, 1 to 2,000 messages.",
        examples=[[{"role": "user", "content": "Say hello"}]],
    )
    stream: bool | None = Field(None, description="Answer as server-sent events.")
    stream_options: dict[str, Any] | None = Field(
        None, description="include_usage: a last chunk tells the tokens."
    )
    max_completion_tokens: int | None = Field(None, description="Upper bound of the answer.")
    max_tokens: int | None = Field(None, description="The older name of the same.")
    n: int | None = Field(None, description="Number of choices, 1 to 8.")
    tools: list[dict[str, Any]] | None = Field(None, description="Functions the model may call.")
    response_format: dict[str, Any] | None = Field(
        None, description="text, json_object, or json_schema."
    )


class EmbeddingsIn(Schema):
    """OpenAI's embeddings request. Fields that are not listed pass through untouched."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"example": {"model": "auto", "input": "Hello"}}
    )

    model: str = Field(description="An embedding model's name, provider/model, or auto.")
    input: str | list[Any] = Field(description="A text, a list of up to 2,048 texts, or tokens.")


class ErrorBody(Schema):
    """What went wrong and the way out."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorOut(Schema):
    """OpenAI's error shape."""

    error: ErrorBody
