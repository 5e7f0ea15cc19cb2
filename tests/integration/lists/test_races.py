"""Whatever happens between any two steps of a revocation, nobody slips through."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession import StaleLogin, session
from flask_srvsession.draft import Changes
from flask_srvsession.store.records import Live
from flask_srvsession.store.regeneration import regenerate
from tests.web import Browser

from ..apps import index_name, listed
from ..devices import (
    SteppingBackend,
    assigning,
    end_all,
    found,
    revoke_all,
    sessions,
    signed_in,
    store_of,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.backends.base import Epoch
    from flask_srvsession.store import SessionStore
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage(
    *("redis", "memcached", "sqlite", "cluster", "fenced")
)


class Crash(BaseException):
    """The process ends here: nothing cleans up."""


def crash() -> None:
    raise Crash


@pytest.fixture
def stepping(backend: Backend, clock: FakeClock) -> SteppingBackend:
    return SteppingBackend(backend, clock)


@pytest.fixture(params=[False, True], ids=["listed", "fenced"])
def app(
    request: pytest.FixtureRequest, stepping: SteppingBackend, make_app: MakeApp
) -> Flask:
    """An app with and without fenced load, whose storage can be stepped through."""
    return make_app(stepping, SRVSESSION_FENCED_LOAD=request.param)


@dataclass
class Scene:
    """What a job finds, and what it made of it."""

    app: Flask
    old: Live
    """A session of the user, or an anonymous one."""
    epochs: Mapping[bytes, Epoch]
    """The present of the user, by name, read before the job began."""
    began: Live | None = None
    """The session that the job had begun or changed when it ended well."""

    @property
    def store(self) -> SessionStore:
        return store_of(self.app)

    def is_live(self, held: Live | None) -> bool:
        """Return whether its cookie is accepted."""
        if held is None or held.credential is None:
            return False
        loaded = self.store.load(held.credential, opened=self.store.clock())
        return isinstance(loaded, Live) and loaded.id == held.id

    def records(self) -> set[str]:
        """Return the ids of all live records of the user, listed or not."""
        live = [self.old, self.began] if self.began else [self.old]
        return {held.id for held in live if self.store.peek(held.id)}


def log_in(scene: Scene) -> Any:
    return scene.store.create(assigning(scene.app, user_id=42))


def log_in_with_epoch(scene: Scene) -> Any:
    changes = assigning(scene.app, user_id=42)
    return scene.store.create(changes, epochs=scene.epochs)


def log_in_again_with_epoch(scene: Scene) -> Any:
    changes = assigning(scene.app, user_id=42)
    return regenerate(scene.store, scene.old, changes, login=True, epochs=scene.epochs)


def log_in_again(scene: Scene) -> Any:
    changes = assigning(scene.app, user_id=42)
    return regenerate(scene.store, scene.old, changes, login=True)


def rotate(scene: Scene) -> Any:
    return regenerate(scene.store, scene.old, Changes(), login=False)


def save(scene: Scene) -> Any:
    return scene.store.save(scene.old, assigning(scene.app, theme="dark"))


def save_the_key(scene: Scene) -> Any:
    return scene.store.save(scene.old, assigning(scene.app, user_id=42))


def renew(scene: Scene) -> Any:
    return scene.store.renew(scene.old)


def destroy(scene: Scene) -> Any:
    scene.store.destroy(scene.old.id, scene.old)
    return None


OF_THE_USER = [save, renew, rotate, log_in_again, log_in_again_with_epoch, destroy]
"""Jobs on a session that is the user's already."""


CHECKED_BEFORE = [log_in_with_epoch, log_in_again_with_epoch]
"""Logins whose epoch was read before the credentials were checked."""


ANONYMOUS = [log_in, log_in_with_epoch, log_in_again, save_the_key]
"""Jobs that begin with a session of nobody."""


def scene_of(app: Flask, stepping: SteppingBackend, *, anonymous: bool) -> Scene:
    """Set up a new scene, and count steps from then on; earlier ones are over."""
    stepping.pause()
    store = store_of(app)
    revoke_all(app)
    changes = assigning(app, **({"cart": 1} if anonymous else {"user_id": 42}))
    scene = Scene(app, store.create(changes), present(app))
    stepping.begin()
    return scene


def present(app: Flask) -> dict[bytes, Epoch]:
    """Return the epoch of the user's list, by its name."""
    store, binding = store_of(app), user(app)
    return {binding.names[0]: store.lists.epoch(binding)}


def epochs(live: Live) -> dict[bytes, Epoch]:
    """Return the epoch that a session has of each place where it is listed."""
    return {name: epoch for name, (epoch, _) in live.record.places.items()}


def run(scene: Scene, act: Callable[[Scene], Any]) -> None:
    try:
        scene.began = act(scene)
    except StaleLogin:
        scene.began = None


@pytest.mark.parametrize("act", OF_THE_USER)
def test_a_session_that_lived_is_ended_whatever_it_is_doing(
    app: Flask, stepping: SteppingBackend, act: Callable[[Scene], Any]
) -> None:
    """The old session, and what it was regenerated to, are dead for good."""
    for _ in stepping.positions(lambda: revoke_all(app)):
        scene = scene_of(app, stepping, anonymous=False)

        run(scene, act)
        stepping.finish()

        assert not scene.is_live(scene.old)
        assert not scene.is_live(scene.began)
        assert scene.records() == set()
        assert found(app) == []


@pytest.mark.parametrize("act", CHECKED_BEFORE)
@pytest.mark.parametrize("anonymous", [True, False])
def test_no_login_slips_through_that_was_checked_before(
    app: Flask,
    stepping: SteppingBackend,
    act: Callable[[Scene], Any],
    anonymous: bool,
) -> None:
    for _ in stepping.positions(lambda: revoke_all(app)):
        scene = scene_of(app, stepping, anonymous=anonymous)

        run(scene, act)
        stepping.finish()

        assert not scene.is_live(scene.began)
        assert found(app) == []


@pytest.mark.parametrize("act", ANONYMOUS)
def test_who_lives_afterwards_is_found_and_bound_to_the_present(
    app: Flask, stepping: SteppingBackend, act: Callable[[Scene], Any]
) -> None:
    """A login that began in the new epoch is unaffected; none is between the two."""
    ended = []

    for _ in stepping.positions(lambda: ended.append(end_all(app))):
        scene = scene_of(app, stepping, anonymous=True)

        run(scene, act)
        stepping.finish()

        epoch = ended[-1].epochs
        live = scene.began if scene.is_live(scene.began) else None
        assert [info.id for info in found(app)] == ([live.id] if live else [])
        if live:
            assert epochs(live) == epoch
            assert listed(app, 42) == {live.id}
        assert present(app) == epoch


@pytest.mark.parametrize("act", [rotate, log_in_again, save, save_the_key])
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_session_is_listed_at_every_moment_at_which_it_is_bound(
    app: Flask,
    stepping: SteppingBackend,
    act: Callable[[Scene], Any],
    anonymous: bool,
) -> None:
    """Also if the process ends at that moment; a new session is known to nobody yet."""

    def look() -> None:
        held = scene.store.peek(scene.old.id)
        assert not held or not held.record.places or held.id in listed(app, 42)
        raise Crash

    for _ in stepping.positions(look):
        scene = scene_of(app, stepping, anonymous=anonymous)

        with suppress(Crash):
            run(scene, act)
            stepping.finish()

        revoke_all(app)
        held = scene.store.peek(scene.old.id)
        assert held is None or held.record.places == {}


@pytest.mark.parametrize(
    "act", [log_in, log_in_with_epoch, log_in_again, rotate, save, save_the_key]
)
def test_whoever_comes_between_the_steps_of_a_revocation_is_ended_or_new(
    app: Flask, stepping: SteppingBackend, act: Callable[[Scene], Any]
) -> None:
    """The other way round: the job runs as a whole between two steps."""
    scenes: list[Scene] = []
    anonymous = act in (log_in_again, save_the_key)

    for _ in stepping.positions(lambda: run(scenes[-1], act)):
        scenes.append(scene := scene_of(app, stepping, anonymous=anonymous))
        stepping.pause()
        bystander = store_of(app).create(assigning(app, user_id=42))
        stepping.begin()

        epoch = end_all(app).epochs
        stepping.finish()

        assert not scene.is_live(bystander)
        live = scene.began if scene.is_live(scene.began) else None
        assert not scene.old.record.places or not scene.is_live(scene.old)
        if live:
            assert epochs(live) == epoch
            assert act is not log_in_with_epoch or epoch == scene.epochs
        assert [info.id for info in found(app)] == ([live.id] if live else [])


def test_a_revocation_that_died_anywhere_can_be_done_again(
    app: Flask, stepping: SteppingBackend
) -> None:
    for _ in stepping.positions(crash):
        scene = scene_of(app, stepping, anonymous=False)
        stepping.pause()
        other = store_of(app).create(assigning(app, user_id=42))
        stepping.begin()

        with suppress(Crash):
            revoke_all(app)
            stepping.finish()
        revoke_all(app)

        assert not scene.is_live(scene.old)
        assert not scene.is_live(other)
        assert found(app) == []
        assert listed(app, 42) == set()


@pytest.mark.parametrize("act", [rotate, log_in_again])
def test_a_revocation_that_died_after_its_first_step_is_outlived_by_nobody(
    app: Flask, stepping: SteppingBackend, act: Callable[[Scene], Any]
) -> None:
    """Who was bound to the epoch that ended is not carried into the next one."""
    scene = scene_of(app, stepping, anonymous=False)
    stepping.index.fence(index_name(app, 42))

    with pytest.raises(StaleLogin):
        act(scene)


def test_keep_current_never_logs_out_a_parallel_request_of_the_same_browser(
    app: Flask, stepping: SteppingBackend
) -> None:
    """Neither one that reads nor one that writes, at any step of the revocation."""
    counts: list[int] = []

    def visit() -> None:
        [browser] = kept
        response = browser.copy().do(
            lambda: str(session.compute("visits", lambda n: (n or 0) + 1))
        )
        assert response.status_code == 200
        counts.append(int(response.text))

    def sign_out_elsewhere() -> str:
        len(session)
        stepping.begin()
        return str(sessions.revoke_all(user_id=42, keep_current=True))

    for position in stepping.positions(visit):
        stepping.pause()
        revoke_all(app)
        kept, others = signed_in(app), signed_in(app)
        counts.clear()
        [browser] = kept

        response = browser.do(sign_out_elsewhere)
        stepping.finish()

        assert response.text == "1", position
        assert counts == [1], position
        assert browser.values()["user_id"] == 42, position
        assert others[0].values() == {}
        assert [info.id for info in found(app)] == [browser.id]


def test_a_request_that_began_before_keep_current_changes_nothing_after_it(
    app: Flask,
) -> None:
    [browser], [other] = signed_in(app), signed_in(app)

    with browser.in_flight(lambda: session.update(late=1)):
        browser.do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

    assert browser.values() == {"user_id": 42}
    assert other.values() == {}
    assert [info.id for info in found(app)] == [browser.id]
    assert revoke_all(app) == 1
    assert browser.values() == {}


def test_two_browsers_that_keep_only_themselves_do_not_both_live_unfound(
    app: Flask, stepping: SteppingBackend
) -> None:
    """Who is live when both are done is found, and ended by the next revocation."""
    browsers: list[Browser] = []

    def keep_second() -> None:
        browsers[1].do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

    def keep_first() -> str:
        len(session)
        stepping.begin()
        return str(sessions.revoke_all(user_id=42, keep_current=True))

    for _ in stepping.positions(keep_second):
        stepping.pause()
        revoke_all(app)
        browsers[:] = signed_in(app, count=2)

        browsers[0].do(keep_first)
        stepping.finish()

        live = {browser.id for browser in browsers if browser.values()}
        assert {info.id for info in found(app)} == live
        revoke_all(app)
        assert not any(browser.values() for browser in browsers)
