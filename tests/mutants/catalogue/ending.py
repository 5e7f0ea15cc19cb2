"""A session ends when it is ended, and a login leaves nothing of what was before."""

from __future__ import annotations

from ..mutant import Mutant

LOGOUT = ("integration/test_logout.py",)
LOGIN = ("integration/test_login.py",)
LIFETIMES = ("integration/test_lifetimes.py",)

MUTANTS = (
    Mutant(
        name="save-stores-what-is-gone",
        file="store.py",
        old="found = self._cells.swap(held, record)",
        new="found = self._cells.swap(held, record) or ("
        "self._cells.add(held.id, record) and self._cells.reread(held))",
        breaks="no request in flight brings an ended session back",
        tests=LOGOUT,
    ),
    Mutant(
        name="renewal-stores-what-is-gone",
        file="store.py",
        old="return self._cells.swap(held, replace(record, meta=meta or record.meta))",
        new="found = self._cells.swap(held, record)\n"
        "        return found or (self._cells.add(held.id, record) and None)",
        breaks="no reader in flight brings an ended session back",
        tests=LOGOUT,
    ),
    Mutant(
        name="destroy-gives-way-to-a-save",
        file="store.py",
        old="if held and self._cells.delete(session_id, held.version):",
        new="if held and (self._cells.delete(session_id, held.version) or True):",
        breaks="a logout wins against any number of writers",
        tests=LOGOUT,
    ),
    Mutant(
        name="destroy-leaves-the-successor",
        file="store.py",
        old="lived = self.destroy(content.successor)",
        new="lived = None",
        breaks="a logout in flight during a login ends what the session moved to",
        tests=LOGIN,
    ),
    Mutant(
        name="removal-of-the-user-leaves-the-successor",
        file="session.py",
        old="self._store.destroy(successor.id)",
        new="pass",
        breaks="a logout by removal ends what the session moved to meanwhile",
        tests=("integration/test_regressions.py::TestLogoutThatMeetsARotation",),
    ),
    Mutant(
        name="removal-of-the-user-ends-the-login-of-another",
        file="session.py",
        old="key in was and successor.record.values.get(key) == was[key] for",
        new="key in was for",
        breaks="a logout does not end the login of somebody else meanwhile",
        tests=("integration/test_regressions.py::TestLogoutThatMeetsARotation",),
    ),
    Mutant(
        name="destroy-leaves-the-rivals",
        file="session.py",
        old="for rival in self._rivals:",
        new="for rival in ():",
        breaks="a logout or login ends all sessions that the request came with",
        tests=LOGIN,
    ),
    Mutant(
        name="one-of-two-sessions-is-used",
        file="arrival.py",
        old="if len(live) > 1:",
        new="if len(live) > 2:",
        breaks="of two live sessions in one request none is used",
        tests=LOGIN,
    ),
    Mutant(
        name="destroy-keeps-the-remember-cookie",
        file="session.py",
        old='self._local["_remember"] = "clear"  # Flask-Login',
        new="pass  # Flask-Login",
        breaks="after a logout Flask-Login's remember cookie logs nobody in again",
        tests=("integration/test_flask_login.py",),
    ),
    Mutant(
        name="dropped-changes-begin-a-session",
        file="session.py",
        old="anonymous = not held.record.bindings and all(",
        new="anonymous = True or all(",
        breaks="what somebody logged in had changed is dropped with the session",
        tests=LOGOUT,
    ),
    Mutant(
        name="a-write-after-a-move-begins-a-session",
        file="session.py",
        old="if self._superseded and not login:",
        new="if False:",
        breaks="no late anonymous cookie overwrites the one of the login",
        tests=LOGIN,
    ),
    Mutant(
        name="bind-of-an-ended-session-succeeds",
        file="session.py",
        old="if self._held is None:  # it was ended meanwhile",
        new="if False:",
        breaks="a bind in flight is refused where the session was ended meanwhile",
        tests=LOGOUT,
    ),
    Mutant(
        name="a-move-outlives-the-end",
        file="store.py",
        old="self._withdraw(fresh)\n                return found",
        new="return fresh",
        breaks="who regenerates a session that is ended meanwhile gets no new one",
        tests=LOGIN,
    ),
    Mutant(
        name="the-old-id-lives-on-after-a-login",
        file="store.py",
        old="found = self._retire(held, fresh.id)",
        new="found = Superseded(held.id, fresh.id)",
        breaks="the cookie from before a login is worth nothing after it",
        tests=LOGIN,
    ),
    Mutant(
        name="a-login-keeps-the-id",
        file="session.py",
        old="if changes.cleared or self._login() is not Login.SAME:",
        new="if changes.cleared:",
        breaks="a login gives the session a new id",
        tests=LOGIN,
    ),
    Mutant(
        name="a-logout-by-removal-keeps-the-id",
        file="session.py",
        old="if before is not None and after is None:",
        new="if False:",
        breaks="a copy from before the user was removed is worth nothing",
        tests=LOGIN,
    ),
    Mutant(
        name="clear-and-write-keeps-the-id",
        file="session.py",
        old="if changes.cleared or self._login() is not Login.SAME:",
        new="if self._login() is not Login.SAME:",
        breaks="clear() and then writes give the session a new id",
        tests=("integration/test_updates.py",),
    ),
    Mutant(
        name="a-tombstone-is-loaded",
        file="store.py",
        old="return self._superseded(content, credential, opened)",
        new="content = content.former",
        breaks="a tombstone is never loaded as a session",
        tests=LOGIN,
    ),
    Mutant(
        name="a-tombstone-keeps-the-content",
        file="cells.py",
        old="former = replace(held.record, values={}, bindings={}, meta=None, "
        "operations=())",
        new="former = held.record",
        breaks="a tombstone has no content",
        tests=LOGIN,
    ),
    Mutant(
        name="a-tombstone-stays",
        file="cells.py",
        old="TOMBSTONE_TTL = 10\n",
        new="TOMBSTONE_TTL = 1000\n",
        breaks="a tombstone is gone after ten seconds",
        tests=LOGIN,
    ),
    Mutant(
        name="a-tombstone-tells-anybody-where-the-session-went",
        file="store.py",
        old="return Superseded(credential.id, stone.successor if meant else None)",
        new="return Superseded(credential.id, stone.successor)",
        breaks="a forged cookie of the old id does not end the new session",
        tests=LOGIN,
    ),
    Mutant(
        name="an-unknown-id-is-adopted",
        file="store.py",
        old="if content is None:\n            return None\n        standing",
        new="if content is None:\n"
        "            content = Record(\n"
        "                credential.generation,\n"
        "                ids.token_hash(credential.token),\n"
        "                bytes(16),\n"
        "                int(opened),\n"
        "                int(opened),\n"
        "            )\n"
        "            version = self._cells.add(credential.id, content)\n"
        "        standing",
        breaks="an id that we signed but do not know is never adopted",
        tests=LOGIN,
    ),
    Mutant(
        name="the-csrf-token-survives-a-login",
        file="session.py",
        old="self._draft.pop(key, None)",
        new="pass",
        breaks="a CSRF token that was known before a login does not work after it",
        tests=LOGIN,
    ),
    Mutant(
        name="flask-wtfs-copy-of-the-csrf-token-survives-a-login",
        file="session.py",
        old="g.pop(key, None)  # Flask-WTF keeps a copy there",
        new="pass",
        breaks="a CSRF token that was known before a login does not work after it",
        tests=LOGIN,
    ),
    Mutant(
        name="a-csrf-token-of-another-request-survives-a-login",
        file="session.py",
        old="return replace(changes, removed={*changes.removed, *dropped})",
        new="return changes",
        breaks="a CSRF token that another request stores meanwhile is dropped, too",
        tests=LOGIN,
    ),
    Mutant(
        name="a-login-goes-on-with-the-old-life",
        file="store.py",
        old="int(self.clock()) if login else ids.born(held.id)",
        new="ids.born(held.id)",
        breaks="a login begins a new life",
        tests=LOGIN,
    ),
    Mutant(
        name="a-rotation-begins-a-new-life",
        file="store.py",
        old="int(self.clock()) if login else ids.born(held.id)",
        new="int(self.clock())",
        breaks="the absolute lifetime goes on over rotate()",
        tests=LIFETIMES,
    ),
    Mutant(
        name="the-absolute-lifetime-does-not-end-a-session",
        file="cells.py",
        old="return min(record.last_seen + idle, self.ends_at(session_id))",
        new="return record.last_seen + idle",
        breaks="a session ends at its absolute lifetime whatever its use",
        tests=LIFETIMES,
    ),
    Mutant(
        name="an-expired-record-is-served",
        file="cells.py",
        old="return self._clock() >= self.expires_at(session_id, record)",
        new="return False",
        breaks="a shorter lifetime reaches what is stored already",
        tests=LIFETIMES,
    ),
    Mutant(
        name="a-session-that-nobody-presents-lives-as-long",
        file="cells.py",
        old="if not record.presented and not record.bindings:",
        new="if False:",
        breaks="the session of a bot lives an hour at most",
        tests=LIFETIMES,
    ),
    Mutant(
        name="a-stream-begins-a-session-without-a-cookie",
        file="session.py",
        old="if self._response_left:",
        new="if False:",
        breaks="where the response has left no session begins nor gets a new id",
        tests=("integration/test_updates.py",),
    ),
)
