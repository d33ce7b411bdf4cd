"""Mail where no mail server is set: printed for whoever runs the product here."""

from __future__ import annotations

from django.core.mail import EmailMessage
from django.core.mail.backends.console import EmailBackend as ConsoleBackend


class EmailBackend(ConsoleBackend):
    """Prints who gets a message, its subject and its text, in which every link stands.

    The HTML part says the same again, in some hundred lines of markup.
    """

    def write_message(self, message: EmailMessage) -> None:
        """One message; headers and other parts are left out."""
        to = ", ".join(message.recipients())
        self.stream.write(f"Mail to {to}: {message.subject}\n\n{message.body.strip()}\n")
