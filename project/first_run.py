"""The first run: an organization, its owner and a key, shown once and kept nowhere in clear."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from project.folder import StartRefused
from project.processes import House, environment

ORGANIZATION = "My organization"
EMAIL = "owner@example.com"


def provision(house: House) -> str:
    """Create the first organization with the sandbox provider; gives the text to show once.

    Provider keys in the environment (OPENAI_API_KEY and others) are taken in with it.
    """
    command = [sys.executable, "manage.py", "provision", "--organization", ORGANIZATION]
    command += ["--email", EMAIL, "--scopes", "gateway,admin", "--json"]
    if house.sandbox_port:
        command.append("--sandbox")
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=house.root,
        env=environment(house),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a Ctrl-C meanwhile must not leave half of it
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StartRefused(f"The first organization could not be created: {last}")
    made = json.loads(done.stdout.strip().splitlines()[-1])
    return welcome(house.public_url, made)


def welcome(public_url: str, made: dict[str, Any]) -> str:
    """Address, sign-in, and a call that works as pasted once a provider is connected.

    ``made`` is what ``manage.py provision --json`` printed.
    """
    first = "A first call:"
    if not made["providers"]:
        first = "No provider is connected yet (./manage provider --help); then:"
    return f"""
  Dashboard     {public_url}/enterprise-router/
  Sign-in       {made["email"]}
  Password      {made["password"]}
  Organization  {made["organization_id"]}
  API key       {made["api_key"]}
                scopes gateway and admin: it can also change settings, and does not expire

  These are shown once; change the password after signing in. {first}

curl {public_url}/v1/chat/completions \\
  -H "Authorization: Bearer {made["api_key"]}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Say hello."}}]}}'
"""
