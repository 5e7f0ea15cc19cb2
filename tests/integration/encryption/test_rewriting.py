"""``flask sessions encrypt`` rewrites what nobody touches; ``check`` counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import session
from flask_srvsession.backends.memcached import MemcachedBackend
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.store import rewriting
from flask_srvsession.store.encryption import ENCRYPTED
from tests.servers import running_memcached
from tests.web import Browser

from ..apps import LosingBackend, listed, stored
from ..cli.run import SAFE, flask, printed
from ..devices import sessions
from ..marks import ON_MEMORY
from .test_encrypted import NEW, OLD, USER, all_of, fill, in_other, make, prefix

if TYPE_CHECKING:
    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

__all__ = ["make", "prefix"]

KEY = "SRVSESSION_ENCRYPTION_KEYS"
COUNT = 5


def findings(app: Any) -> list[str]:
    return [f["problem"] for f in printed(app, "check") if f["key"] == KEY]


@pytest.mark.every_storage
def test_untouched_sessions_are_encrypted_and_go_on_as_they_were(
    make: Any, clock: FakeClock
) -> None:
    before = [fill(make()) for _ in range(COUNT)]
    app = make(NEW, **SAFE)
    with app.app_context():
        old = {info.id: info for info in sessions.find(user_id=USER)}
    assert findings(app) == [f"{COUNT} of {COUNT} records are plain, or have an"
                             " older key."]  # fmt: skip
    clock.advance(60)

    facts = printed(app, "encrypt")

    assert facts == {"encrypted": COUNT, "records": COUNT, "left": 0}
    assert findings(app) == []
    assert USER.encode() not in all_of(app)
    assert listed(make(), USER) == set()  # under names that need no encryption key
    with app.app_context():
        found = {info.id: info for info in sessions.find(user_id=USER)}
    assert found == old  # nobody was seen
    assert listed(app, USER) == {each.id for each in before}
    assert printed(app, "encrypt")["encrypted"] == 0
    del app.config["SESSION_COOKIE_NAME"]
    app.config.update(SESSION_COOKIE_NAME="session", SESSION_COOKIE_SECURE=False)
    assert in_other(app, before[0]).values()["user_id"] == USER
    with app.app_context():
        assert sessions.revoke_all(user_id=USER) == COUNT


@ON_MEMORY
def test_an_older_key_may_be_taken_out_afterwards(make: Any) -> None:
    browser = fill(make(OLD))
    both = make(OLD, NEW)

    assert flask(both, "encrypt").stdout == "Encrypted 1 of 1 record(s); 0 are left.\n"

    assert in_other(make(NEW), browser).values()["user_id"] == USER


@ON_MEMORY
def test_encryption_may_be_left_in_the_same_way(make: Any) -> None:
    browser = fill(make(NEW))

    assert printed(make(NEW, None), "encrypt")["encrypted"] == 1

    assert in_other(make(), browser).values()["user_id"] == USER


@ON_MEMORY
def test_a_record_that_cannot_be_read_is_left_and_counted(make: Any) -> None:
    fill(make("2c" * 32))

    result = flask(make(NEW), "encrypt")

    assert result.exit_code == 1
    assert result.stdout == "Encrypted 0 of 1 record(s); 1 are left.\n"


def test_where_keys_cannot_be_listed_it_says_so(make_app: MakeApp, prefix: str) -> None:
    config = {"SRVSESSION_KEY_PREFIX": prefix}
    with running_memcached("-o", "no_lru_crawler") as server:
        backend = MemcachedBackend.from_url(server.url)
        browser = Browser(make_app(backend, **config))
        browser.set(user_id=USER)
        app = make_app(backend, **config, SRVSESSION_ENCRYPTION_KEYS=[NEW])

        result = flask(app, "encrypt")

        assert result.exit_code == 2
        assert "encrypted when they are written" in result.stderr
        assert in_other(app, browser).values()["user_id"] == USER
        backend.close()


class Unlisted(MemoryBackend):
    """A storage that cannot list its keys."""

    keys = None  # type: ignore[assignment]


def test_a_storage_without_a_list_of_keys_is_no_failure(make_app: MakeApp) -> None:
    app = make_app(Unlisted())

    assert rewriting.session_ids(app.extensions["srvsession"].store) is None


@ON_MEMORY
def test_without_keys_it_says_so(make: Any) -> None:
    result = flask(make(), "encrypt")

    assert result.exit_code == 1
    assert KEY in result.stderr


@ON_MEMORY
@pytest.mark.parametrize("what", ["write", "destroy", "revoke_all"])
def test_who_is_faster_wins(make: Any, backend: Backend, what: str) -> None:
    """In the middle of a rewrite, before its swap."""
    browser = fill(make())
    app = make(NEW)
    other = in_other(app, browser)
    store = app.extensions["srvsession"].store

    def interfere() -> None:
        if what == "write":
            other.set(more="theirs")
        elif what == "destroy":
            other.do(lambda: session.destroy())
        else:
            with app.app_context():
                sessions.revoke_all(user_id=USER)

    original = store.records.swap
    interfered: list[str] = []

    def swap(*args: Any) -> Any:
        if not interfered:
            interfered.append(what)
            interfere()
        return original(*args)

    store.records.swap = swap
    session_id = browser.id
    assert rewriting.rewrite(store, session_id) is False
    assert interfered == [what]

    left = stored(app, session_id)
    if what == "write":
        assert left is not None
        assert left.data[:1] == ENCRYPTED
        assert other.values()["more"] == "theirs"
        assert listed(app, USER) == {session_id}
    else:
        assert left is None
        assert listed(app, USER) == set()


@ON_MEMORY
def test_an_outage_is_told_and_it_may_be_done_again(
    make_app: MakeApp, backend: Backend, prefix: str
) -> None:
    config = {"SRVSESSION_KEY_PREFIX": prefix}
    browser = Browser(make_app(**config))
    browser.set(user_id=USER)
    losing = LosingBackend(backend)
    app = make_app(losing, **config, SRVSESSION_ENCRYPTION_KEYS=[NEW])
    losing.lose(at_write=1)

    assert flask(app, "encrypt").exit_code == 3
    losing.recover()

    assert printed(app, "encrypt")["left"] == 0
    assert in_other(app, browser).values() == {"user_id": USER}
