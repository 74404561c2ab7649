"""What a browser holds instead of a key: a signed text that names the key, and a token for its forms.

A session is kept nowhere. It is signed with a secret that the server draws when it starts, before it forks,
so every worker reads it and it does not survive a restart; it ends with its key, and after twelve hours at
the latest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time

LIFE_S = 12 * 3600

PLAIN_COOKIE = "fairway-session"
SECURE_COOKIE = "__Host-fairway-session"
"""A browser takes a name with this prefix over HTTPS alone, and from this very host."""

_SESSION = re.compile(r"([a-z0-9]{8})\.([0-9]{1,12})\.[0-9a-f]{32}\.([0-9a-f]{64})")


class Sessions:
    """Makes and reads sessions."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def begin(self, key_id: str) -> str:
        """Return a new session for the holder of a key."""
        text = f"{key_id}.{int(time.time()) + LIFE_S}.{secrets.token_hex(16)}"
        return f"{text}.{self._sign('session', text)}"

    def key_of(self, session: str) -> str | None:
        """Return the id of the key that a session stands for, or None if it is forged or over."""
        found = _SESSION.fullmatch(session)
        if found is None:
            return None
        if not hmac.compare_digest(self._sign("session", session.rpartition(".")[0]), found[3]):
            return None
        return found[1] if time.time() < int(found[2]) else None

    def token_of(self, session: str) -> str:
        """Return what every form of a session holds, which no other site can know."""
        return self._sign("form", session)

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def cookies_of(header: str) -> dict[str, str]:
    """Return the cookies of a request by name, the first of equal names."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            found.setdefault(name, value.strip('"'))
    return found


def set_cookie(session: str, *, secure: bool, path: str = "/") -> str:
    """Return the header that gives a browser its session; an empty one takes it away.

    Args:
        session: The session.
        secure: Whether the browser came over HTTPS.
        path: Where it is sent; a name with the prefix `__Host-` allows the root alone.
    """
    life = LIFE_S if session else 0
    tail = f"Max-Age={life}; HttpOnly; SameSite=Strict"
    if secure:
        return f"{SECURE_COOKIE}={session}; Path=/; Secure; {tail}"
    return f"{PLAIN_COOKIE}={session}; Path={path}; {tail}"
