"""Runs only the two servers of a data folder under a supervisor; prints their addresses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from project import embedded
from project.folder import StartRefused, open_folder, read_secrets
from project.supervisor import supervised


def main(data: str) -> int:
    """Until SIGTERM; the addresses are the one line that starts with a brace."""
    try:
        folder = open_folder(Path(data))
        secrets = read_secrets(folder)
        with supervised(sys.stdout) as supervisor:
            postgres = embedded.postgres(folder, {}, secrets)
            redis = embedded.redis(folder, {}, secrets)
            for server in (postgres, redis):
                assert server.program is not None
                supervisor.start(server.program)
            supervisor.wait_for(postgres.is_ready, timeout_s=30, every_s=0.02)
            supervisor.print(json.dumps({"postgres": postgres.url, "redis": redis.url}))
            supervisor.run()
    except StartRefused as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
