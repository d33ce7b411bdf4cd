"""Ready requests with a key inside, for a terminal, Python and Node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to make the first call."""

    name: str
    label: str
    text: str


def snippets(base_url: str, secret: str, *, is_admin: bool = False) -> list[Snippet]:
    """The first call with this key; ``is_admin`` for one that only opens /api."""
    if is_admin:
        return [Snippet("curl", "curl", _ADMIN.format(url=base_url, secret=secret))]
    return [
        Snippet("curl", "curl", _CURL.format(url=base_url, secret=secret)),
        Snippet("python", "Python", _PYTHON.format(url=base_url, secret=secret)),
        Snippet("node", "Node", _NODE.format(url=base_url, secret=secret)),
    ]


_ADMIN = 'curl {url}/api/keys \\\n  -H "Authorization: Bearer {secret}"'
_CURL = (
    "curl {url}/v1/chat/completions \\\n"
    '  -H "Authorization: Bearer {secret}" \\\n'
    '  -H "Content-Type: application/json" \\\n'
    """  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Say hello"}}]}}'"""
)
_PYTHON = """\
from openai import OpenAI

client = OpenAI(
    base_url="{url}/v1",
    api_key="{secret}",
)
answer = client.chat.completions.create(
    model="auto",
    messages=[{{"role": "user", "content": "Say hello"}}],
)
print(answer.choices[0].message.content)"""
_NODE = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{url}/v1",
  apiKey: "{secret}",
}});
const answer = await client.chat.completions.create({{
  model: "auto",
  messages: [{{ role: "user", content: "Say hello" }}],
}});
console.log(answer.choices[0].message.content);"""
