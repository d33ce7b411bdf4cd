"""Clients built on the openai package, and the one in another language."""

from __future__ import annotations

import json
import subprocess

import openai
import pytest

from tests.e2e import upstreams
from tests.e2e.asking import MOCKED, TOOL, says
from tests.e2e.conftest import Caller

pytestmark = pytest.mark.e2e


@pytest.mark.usefixtures("aimock")
class TestOtherClients:
    """Clients built on the openai package, and the one in another language."""

    async def test_openai_async(self, caller: Caller) -> None:
        client = openai.AsyncOpenAI(base_url=caller.gateway.base_url, api_key=caller.key)
        async with client:
            got = await client.chat.completions.create(
                model=MOCKED, messages=says("Tell me about rivers.")
            )
            stream = await client.chat.completions.create(
                model=MOCKED, messages=says("Tell me about rivers."), stream=True
            )
            told = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        assert got.choices[0].message.content == "".join(told) == upstreams.SAYS
        assert [row["stream"] for row in caller.rows(2)] == [False, True]

    def test_langchain(self, caller: Caller) -> None:
        langchain = pytest.importorskip("langchain_openai")
        model = langchain.ChatOpenAI(
            model=MOCKED, base_url=caller.gateway.base_url, api_key=caller.key
        )
        got = model.invoke("Tell me about rivers.")
        told = "".join(str(piece.content) for piece in model.stream("Tell me about rivers."))
        tools = model.bind_tools([TOOL]).invoke("How is the weather in Oslo?").tool_calls
        assert got.content == told == upstreams.SAYS
        assert got.usage_metadata["input_tokens"] == 21
        assert [(t["name"], t["args"]) for t in tools] == [("get_weather", upstreams.WEATHER)]
        assert all(row["success"] for row in caller.rows(3))

    async def test_pydantic_ai(self, caller: Caller) -> None:
        ai = pytest.importorskip("pydantic_ai")
        models = pytest.importorskip("pydantic_ai.models.openai")
        providers = pytest.importorskip("pydantic_ai.providers.openai")
        client = openai.AsyncOpenAI(base_url=caller.gateway.base_url, api_key=caller.key)
        model = models.OpenAIChatModel(
            MOCKED, provider=providers.OpenAIProvider(openai_client=client)
        )
        agent = ai.Agent(model)
        asked: list[dict[str, str]] = []

        def get_weather(city: str, unit: str) -> str:
            """The weather in a city."""
            asked.append({"city": city, "unit": unit})
            return '{"degrees": 4}'

        agent.tool_plain(get_weather)
        async with client:
            got = await agent.run("How is the weather in Oslo?")
        assert asked == [upstreams.WEATHER]
        assert got.output == "It is 4 degrees in Oslo."
        assert all(row["success"] for row in caller.rows(2))

    def test_node(self, caller: Caller) -> None:
        node, modules = upstreams.node_with("openai")
        script = f"""
        const {{ OpenAI, RateLimitError }} = require({str(modules / "openai")!r});
        (async () => {{
          const [baseURL, apiKey] = process.argv.slice(1);
          const client = new OpenAI({{ baseURL, apiKey }});
          const ask = (content, more) => client.chat.completions.create(
            {{ model: {MOCKED!r}, messages: [{{ role: "user", content }}], ...more }});
          const whole = await ask("Tell me about rivers.");
          let told = "";
          for await (const chunk of await ask("Tell me about rivers.", {{ stream: true }}))
            told += chunk.choices[0]?.delta?.content ?? "";
          const tools = await ask("How is the weather?", {{ tools: [{json.dumps(TOOL)}] }});
          let limited = false;
          await ask("This is too many.")
            .catch((why) => {{ limited = why instanceof RateLimitError }});
          console.log(JSON.stringify({{
            whole: whole.choices[0].message.content, told, usage: whole.usage.total_tokens, limited,
            tool: JSON.parse(tools.choices[0].message.tool_calls[0].function.arguments),
          }}));
        }})();
        """
        done = subprocess.run(
            [node, "-e", script, caller.gateway.base_url, caller.key],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "whole": upstreams.SAYS,
            "told": upstreams.SAYS,
            "usage": 38,
            "limited": True,
            "tool": upstreams.WEATHER,
        }
        assert [row["status"] for row in caller.rows(6)] == [200, 200, 200, 429, 429, 429]
