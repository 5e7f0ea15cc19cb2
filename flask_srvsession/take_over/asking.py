"""From the cookies of a request that has none of ours to the session of another one."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from flask import Flask, Request, has_request_context

from .. import signals
from ..arrival import FORMER_COOKIE, MAX_COOKIES, cookies
from ..config import secret_keys
from ..errors import ConfigurationError
from ..ids import Credential
from ..store import SessionStore
from . import counts
from .claim import Claims
from .source import MAX_COOKIE, Presented, Refused, Source

log = logging.getLogger("flask_srvsession")

ASKED = "flask_srvsession.asked"
"""Where the WSGI environ has the sources' answer: they are asked once."""

SLACK = 3600
"""Seconds that a claim lives longer than the credential: clocks differ."""


class Taken(NamedTuple):
    """The fate of one old credential."""

    credential: Credential | None
    is_new: bool = False
    refused: bool = False


class TakeOver:
    """The sources of an app, asked for requests without a cookie of ours."""

    def __init__(self, app: Flask, sources: Iterable[Source]) -> None:
        self.app, self.sources = app, tuple(sources)
        for source in self.sources:
            if not isinstance(source, Source):
                raise ConfigurationError(
                    f"take_over has a {type(source).__name__}, but takes sources, as"
                    " FlaskSessionSource.redis(client) or CookieSource()."
                )

    def __call__(
        self, store: SessionStore, request: Request, cookie_name: str
    ) -> list[Credential]:
        """Return the credential that an old cookie of the request stands for here, if
        one does. Raises BackendError in an outage."""
        environ = request.environ
        if ASKED not in environ:
            found = self._ask(store, request, cookie_name)
            environ[ASKED] = [found] if found else []
        asked: list[Credential] = environ[ASKED]
        return asked

    def take(self, store: SessionStore, source: Source, presented: Presented) -> Taken:
        """Take the session of an old credential over, if there is one, and count it."""
        ttl = self._remaining(store, source, presented)
        if ttl <= 0:
            return Taken(None)
        claims = Claims(store, secret_keys(self.app))
        count = partial(counts.add, store.backend, store.settings.key_prefix)
        try:
            credential, is_new = claims.take_over(source, presented.id, ttl + SLACK)
        except Refused as refusal:
            log.warning("%s: a session is not taken over: %s", source.name, refusal)
            count(f"refused, {source.name}: {refusal.reason}")
            return Taken(None, refused=True)
        if is_new:
            count(f"taken over, {source.name}")
            self._tell(store, credential)
        return Taken(credential, is_new)

    def _tell(self, store: SessionStore, credential: Credential | None) -> None:
        """Send ``session_created``, if somebody wants to know."""
        if not (credential and signals.session_created.receivers):
            return
        if live := store.peek(credential.id):
            info = store.info(live, is_current=has_request_context())
            signals.session_created.send(self.app, info=info)

    def _ask(
        self, store: SessionStore, request: Request, cookie_name: str
    ) -> Credential | None:
        for source, presented in self._presented(store, request, cookie_name):
            taken = self.take(store, source, presented)
            if taken.credential:
                if source.cookie_name not in (None, cookie_name):
                    request.environ[FORMER_COOKIE] = source.cookie_name
                return taken.credential
        return None

    def _presented(
        self, store: SessionStore, request: Request, cookie_name: str
    ) -> Iterator[tuple[Source, Presented]]:
        """Yield which cookies of the request are whose, a few at most."""
        now = store.clock()
        for source in self.sources:
            if source.is_over(now):
                continue
            keys = source.secret_keys or secret_keys(self.app)
            values = cookies(request, source.cookie_name or cookie_name)
            for value in [*dict.fromkeys(values)][:MAX_COOKIES]:
                if len(value) > MAX_COOKIE:
                    continue
                if presented := source.recognize(value, keys):
                    yield source, presented

    def _remaining(
        self, store: SessionStore, source: Source, presented: Presented
    ) -> int:
        """Return for how many seconds the credential could be used by now: 0 if all
        sessions have been ended since it was, perhaps, given out."""
        lifetime = source.lifetime or self.app.permanent_session_lifetime
        now, seconds = store.clock(), lifetime.total_seconds()
        issued = now if presented.issued is None else min(presented.issued, now)
        store.marker.keep_up()
        if (presented.issued or now - seconds) <= store.marker.era:
            return 0
        return int(issued + seconds - now)
