"""Sends an e-mail by SMTP. It blocks, so it is called in a thread."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit


def send(server: str, mail: EmailMessage, seconds: float) -> None:
    """Send `mail` through `server`: `smtps://user:password@host`, or `smtp://` with STARTTLS where the server offers
    it. A password is never sent in clear text, but to this machine.

    Raises `OSError`, of which `smtplib.SMTPException` is one."""
    place = urlsplit(server)
    host, context = place.hostname or "", ssl.create_default_context()
    if place.scheme == "smtps":
        client: smtplib.SMTP = smtplib.SMTP_SSL(host, place.port or 465, timeout=seconds, context=context)
    else:
        client = smtplib.SMTP(host, place.port or 587, timeout=seconds)
    with client:
        secure = place.scheme == "smtps"
        client.ehlo()
        if not secure and client.has_extn("starttls"):
            client.starttls(context=context)
            client.ehlo()
            secure = True
        if place.username:
            if not secure and host not in ("localhost", "127.0.0.1", "::1"):
                raise smtplib.SMTPException("it offers no encryption, and the password is not sent without")
            client.login(unquote(place.username), unquote(place.password or ""))
        client.send_message(mail)
