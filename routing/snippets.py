"""The first request as something to copy: curl, Python and Node. Pure."""

from __future__ import annotations

from dataclasses import dataclass

VARIABLE = "ROUTER_API_KEY"
HELLO = "Say hello"

_CURL = """\
curl {base}/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "{hello}"}}]}}'"""
_PYTHON = """\
{imports}from openai import OpenAI

client = OpenAI(
    base_url="{base}",
    api_key={key},
)
answer = client.chat.completions.create(
    model="auto",
    messages=[{{"role": "user", "content": "{hello}"}}],
)
print(answer.choices[0].message.content)"""
_NODE = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{base}",
  apiKey: {key},
}});
const answer = await client.chat.completions.create({{
  model: "auto",
  messages: [{{ role: "user", content: "{hello}" }}],
}});
console.log(answer.choices[0].message.content);"""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way to make the first call; ``note`` says what it needs and what is new in it."""

    name: str
    label: str
    note: str
    text: str


def snippets(public_url: str, secret: str | None) -> list[Snippet]:
    """The first call in three languages, with the key inside; without one, its variable."""
    base = f"{public_url}/v1"
    common = {"base": base, "hello": HELLO}
    two = "Two lines are new: the base URL and the key."
    curl = _CURL.format(key=secret or f"${VARIABLE}", **common)
    python = _PYTHON.format(
        imports="" if secret else "import os\n\n",
        key=f'"{secret}"' if secret else f'os.environ["{VARIABLE}"]',
        **common,
    )
    node = _NODE.format(key=f'"{secret}"' if secret else f"process.env.{VARIABLE}", **common)
    return [
        Snippet("curl", "curl", "For a terminal.", curl),
        Snippet("python", "Python", f"OpenAI's own package: pip install openai. {two}", python),
        Snippet("node", "Node", f"OpenAI's own package: npm install openai. {two}", node),
    ]
