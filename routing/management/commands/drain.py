"""manage.py drain: move the journal into the ledger."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from analytics.ledger import Ledger
from routing.drain import Drainer, DrainerRuns


class Command(BaseCommand):
    """Runs until SIGTERM, and then until everything written by then is in the ledger."""

    help = "Move what was written down of calls into the ledger; one per machine."
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        """Drains."""
        if not settings.DATABASE_INGEST_URL:
            raise CommandError("DATABASE_INGEST_URL is not set: the address of the role er_ingest.")
        wake = threading.Event()
        try:
            drainer = Drainer(
                settings.JOURNAL_DIR, Ledger(settings.DATABASE_INGEST_URL), sleep=wake.wait
            )
        except DrainerRuns as why:
            raise CommandError(str(why)) from None

        def stop(*_: object) -> None:
            drainer.stopping = True
            wake.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        drainer.run()
        drainer.close()
