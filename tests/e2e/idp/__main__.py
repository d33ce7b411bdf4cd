"""``python -m tests.e2e.idp PORT``: makes the database and serves."""

from __future__ import annotations

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.e2e.idp.settings"

import django
from django.core.management import call_command


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main(port: int) -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    from django.core.wsgi import get_wsgi_application

    with make_server("127.0.0.1", port, get_wsgi_application(), server_class=_Server) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]))
