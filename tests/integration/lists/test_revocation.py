"""An app sees and ends the sessions of a user, on every storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import flash, get_flashed_messages

from flask_srvsession import BackendError, StaleLogin, session
from flask_srvsession.store.records import Records
from tests.web import Browser

from ..apps import (
    LosingBackend,
    deletes_cookie,
    each_write,
    listed,
    sets_cookie,
)
from ..devices import (
    alive,
    found,
    result_of,
    revoke_all,
    rotate,
    sessions,
    signed_in,
    user_of,
)

if TYPE_CHECKING:
    from flask import Flask

    from flask_srvsession.backends import Backend
    from flask_srvsession.testing import FakeClock
    from tests.conftest import MakeApp

pytestmark = pytest.mark.every_storage


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


class TestFind:
    def test_gives_a_long_list_in_parts(self, app: Flask, clock: FakeClock) -> None:
        signed_in(app, 42, count=70)
        clock.advance(1)
        signed_in(app, 42, count=60)
        whole = [info.id for info in found(app, user_id=42)]
        with app.app_context():
            sessions.revoke(whole[9])
            sessions.revoke(whole[50])

        parts, last = list[str](), None
        while part := found(app, user_id=42, limit=10, after=last):
            assert len(part) <= 10
            last = part[-1]
            parts += [info.id for info in part]

        assert parts == [i for i in whole if i not in (whole[9], whole[50])]
        later = found(app, user_id=42, after=whole[-1])
        assert later == []
        ended = found(app, user_id=42, after=whole[50])
        assert [info.id for info in ended] == parts

    def test_leaves_out_none_that_was_listed_late_where_the_last_has_ended(
        self, make_app: MakeApp, clock: FakeClock
    ) -> None:
        teams = {"team": ["team"]}
        app = make_app(SRVSESSION_NOT_LOGIN_KEYS=("team",), SRVSESSION_INDEXES=teams)
        late, browser = Browser(app), Browser(app)
        late.set(cart="tea")
        clock.advance(5)
        browser.set(team=7)
        late.set(team=7)
        [first] = found(app, team=7, limit=1)
        browser.do(lambda: session.destroy())

        [later] = found(app, team=7, limit=1, after=first)

        assert later.id == late.id

    @pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": -1}, {"after": "x"}])
    def test_refuses_a_part_that_cannot_be(
        self, app: Flask, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="must be"):
            found(app, user_id=42, **wrong)

    def test_shows_all_devices_oldest_first_with_the_current_one_marked(
        self, app: Flask, clock: FakeClock
    ) -> None:
        browsers = []
        for _ in range(5):
            browsers += signed_in(app, 42)
            clock.advance(1)
        signed_in(app, 7)

        infos = result_of(browsers[2], lambda: sessions.find(user_id=42))

        assert [info.id for info in infos] == [browser.id for browser in browsers]
        marked = [info.is_current for info in infos]
        assert marked == [False, False, True, False, False]

    def test_of_nobody_is_empty(self, app: Flask) -> None:
        assert found(app, user_id="nobody") == []

    def test_forgets_who_logged_out(self, app: Flask) -> None:
        first, second = signed_in(app, count=2)

        first.do(lambda: session.destroy())

        assert listed(app, 42) == {second.id}
        assert [info.id for info in found(app)] == [second.id]

    def test_shows_a_renewed_session_once_under_its_new_id(self, app: Flask) -> None:
        [browser] = signed_in(app)
        old = browser.id

        browser.do(lambda: session.rotate())

        assert browser.id != old
        assert [info.id for info in found(app)] == [browser.id]

    def test_follows_a_session_to_another_user(self, app: Flask) -> None:
        [browser] = signed_in(app, 42)

        browser.set(user_id=7)

        assert found(app, user_id=42) == []
        assert [info.id for info in found(app, user_id=7)] == [browser.id]

    def test_leaves_out_and_unlists_what_has_expired(self, make_app: MakeApp) -> None:
        app = make_app()
        lost, kept = signed_in(app, count=2)
        backend = app.extensions["srvsession"].backend
        backend.delete(app.config["SRVSESSION_KEY_PREFIX"] + lost.id)

        assert [info.id for info in found(app)] == [kept.id]
        assert listed(app, 42) == {kept.id}

    def test_any_session_key_can_feed_an_index(self, make_app: MakeApp) -> None:
        app = make_app(
            SRVSESSION_INDEXES={"user_id": ("user_id",), "tenant": ("org", "tenant")}
        )
        first, second = Browser(app), Browser(app)
        first.set(user_id=1, org="acme")
        second.set(user_id=2, tenant="acme")

        assert {i.id for i in found(app, tenant="acme")} == {first.id, second.id}
        assert revoke_all(app, tenant="acme") == 2
        assert alive([first, second]) == [False, False]
        assert found(app, user_id=1) == []

    def test_an_index_that_is_no_login_key_is_filled_without_a_new_id(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(
            SRVSESSION_INDEXES={"device": ("device",)},
            SRVSESSION_NOT_LOGIN_KEYS=("device",),
        )
        browser = Browser(app)
        browser.set(theme="dark")
        before = browser.id

        browser.set(device="tv")

        assert browser.id == before
        assert [info.id for info in found(app, device="tv")] == [before]

    def test_follows_a_session_whose_index_key_changes(self, make_app: MakeApp) -> None:
        app = make_app(
            SRVSESSION_INDEXES={"device": ("device",)},
            SRVSESSION_NOT_LOGIN_KEYS=("device",),
        )
        browser = Browser(app)
        browser.set(device="tv")

        browser.set(device="phone")

        assert listed(app, "tv", "device") == set()
        assert found(app, device="tv") == []
        assert [info.id for info in found(app, device="phone")] == [browser.id]
        with app.app_context():
            assert sessions.revoke(browser.id, device="tv") is False

    def test_leaves_out_who_left_but_could_not_be_unlisted(
        self, make_app: MakeApp, backend: Backend
    ) -> None:
        losing = LosingBackend(backend)
        app = make_app(
            losing,
            SRVSESSION_INDEXES={"device": ("device",)},
            SRVSESSION_NOT_LOGIN_KEYS=("device",),
        )
        browser = Browser(app)
        browser.set(device="tv")

        losing.lose(at_write=4)  # after epoch, add and swap
        response = browser.set(device="phone")
        losing.recover()

        assert response.status_code == 200
        assert listed(app, "tv", "device") == {browser.id}
        assert found(app, device="tv") == []


class TestGet:
    def test_tells_of_a_session_and_whether_it_is_this_one(self, app: Flask) -> None:
        mine, other = signed_in(app, count=2)

        infos = result_of(mine, lambda: [sessions.get(b.id) for b in (mine, other)])

        assert [info.id for info in infos] == [mine.id, other.id]
        assert [info.is_current for info in infos] == [True, False]

    def test_is_none_for_a_session_that_was_ended(self, app: Flask) -> None:
        [browser] = signed_in(app)
        ended = browser.id
        browser.do(lambda: session.destroy())

        with app.app_context():
            assert sessions.get(ended) is None


class TestRevoke:
    def test_ends_exactly_that_session(self, app: Flask) -> None:
        browsers, others = signed_in(app, 42, count=5), signed_in(app, 7, count=2)
        victim = browsers[3].id

        assert result_of(browsers[0], lambda: sessions.revoke(victim, user_id=42))

        assert alive(browsers) == [True, True, True, False, True]
        assert alive(others) == [True, True]
        assert len(found(app)) == 4
        assert victim not in listed(app, 42)

    def test_tells_whether_the_session_lived(self, app: Flask) -> None:
        [browser] = signed_in(app)

        with app.app_context():
            assert sessions.revoke(browser.id) is True
            assert sessions.revoke(browser.id) is False

    @pytest.mark.parametrize("owner", [7, "4", "042"])
    def test_with_a_wrong_owner_ends_nothing(self, app: Flask, owner: object) -> None:
        [browser] = signed_in(app, 42)

        with app.app_context():
            assert sessions.revoke(browser.id, user_id=owner) is False

        assert alive([browser]) == [True]

    def test_of_ones_own_session_deletes_its_cookie(self, app: Flask) -> None:
        [browser] = signed_in(app)

        def view() -> str:
            sessions.revoke(browser.id, user_id=42)
            return str(dict(session))

        response = browser.do(view)

        assert response.text == "{}"
        assert deletes_cookie(response)
        assert not browser.has_cookie

    def test_ends_a_session_that_a_request_still_works_on(self, app: Flask) -> None:
        [browser], [admin] = signed_in(app), signed_in(app, 1)
        victim = browser.id

        with browser.in_flight(lambda: session.update(late=1)) as late:
            result_of(admin, lambda: sessions.revoke(victim))

        assert not sets_cookie(late.response)
        assert alive([browser]) == [False]
        assert found(app) == []


class TestRevokeAll:
    def test_leaves_none_and_does_not_touch_others(self, app: Flask) -> None:
        browsers, others = signed_in(app, 42, count=5), signed_in(app, 7, count=2)

        ended = result_of(browsers[0], lambda: sessions.revoke_all(user_id=42))

        assert ended == 5
        assert alive(browsers) == [False] * 5
        assert alive(others) == [True, True]
        assert found(app) == []
        assert listed(app, 42) == set()

    def test_does_not_touch_who_has_left_for_another_value(
        self, make_app: MakeApp
    ) -> None:
        indexes = {name: (name,) for name in ("user_id", "tenant")}
        app = make_app(SRVSESSION_INDEXES=indexes)
        browser = Browser(app)
        browser.set(user_id=42, tenant="red")
        browser.set(tenant="blue")

        with app.app_context():
            ended = sessions.revoke_all(tenant="red")

        assert ended == 0
        assert listed(app, "red", "tenant") == set()
        assert listed(app, 42) == listed(app, "blue", "tenant") == {browser.id}
        assert browser.values() == {"user_id": 42, "tenant": "blue"}

    def test_works_outside_a_request(self, app: Flask) -> None:
        browsers = signed_in(app, 42, count=2)

        assert revoke_all(app) == 2
        assert revoke_all(app) == 0
        assert alive(browsers) == [False, False]

    def test_the_user_can_log_in_again(self, app: Flask) -> None:
        [browser] = signed_in(app)
        revoke_all(app)

        browser.set(user_id=42)

        assert alive([browser]) == [True]
        assert [info.id for info in found(app)] == [browser.id]

    def test_keep_current_leaves_exactly_this_one(self, app: Flask) -> None:
        browsers, others = signed_in(app, 42, count=5), signed_in(app, 7)

        ended = result_of(
            browsers[2], lambda: sessions.revoke_all(user_id=42, keep_current=True)
        )

        assert ended == 4
        assert alive(browsers) == [False, False, True, False, False]
        assert alive(others) == [True]
        assert [info.id for info in found(app)] == [browsers[2].id]

    def test_keep_current_spares_nobody_outside_a_session(self, app: Flask) -> None:
        browsers = signed_in(app, 42, count=2)

        with app.app_context():
            ended = sessions.revoke_all(user_id=42, keep_current=True)
        assert ended == 2
        assert alive(browsers) == [False, False]

    def test_who_was_kept_is_found_and_ended_by_the_next(self, app: Flask) -> None:
        [browser] = signed_in(app)
        for _ in range(3):
            result_of(
                browser, lambda: sessions.revoke_all(user_id=42, keep_current=True)
            )

        assert alive([browser]) == [True]
        assert revoke_all(app) == 1
        assert alive([browser]) == [False]

    def test_keep_current_does_not_save_who_belongs_to_somebody_else(
        self, app: Flask
    ) -> None:
        [admin], victims = signed_in(app, 1), signed_in(app, 42, count=2)

        ended = result_of(
            admin, lambda: sessions.revoke_all(user_id=42, keep_current=True)
        )

        assert ended == 2
        assert alive([admin, *victims]) == [True, False, False]

    def test_keep_current_keeps_what_this_request_has_changed(self, app: Flask) -> None:
        [browser] = signed_in(app)

        def view() -> None:
            session["theme"] = "dark"
            sessions.revoke_all(user_id=42, keep_current=True)
            session["size"] = 12

        browser.do(view)

        assert browser.values() == {"user_id": 42, "theme": "dark", "size": 12}

    def test_a_request_that_began_before_keep_current_rotates_nothing(
        self, app: Flask
    ) -> None:
        kept, other = signed_in(app, 42, 2)

        with kept.in_flight(lambda: session.rotate()) as late:
            kept.do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

        assert late.response.status_code == 200
        assert not sets_cookie(late.response)
        assert alive([kept, other]) == [True, False]
        assert len(found(app)) == 1

    def test_a_copy_of_the_cookie_that_is_kept_ends_with_the_others(
        self, app: Flask
    ) -> None:
        kept, other = signed_in(app, 42, 2)
        copied = kept.copy()

        kept.do(lambda: str(sessions.revoke_all(user_id=42, keep_current=True)))

        assert alive([kept, copied, other]) == [True, False, False]
        assert [info.id for info in found(app)] == [kept.id]

    def test_a_flash_after_signing_out_everywhere_arrives(self, app: Flask) -> None:
        browser, other = signed_in(app, count=2)
        old = browser.id

        def sign_out() -> None:
            sessions.revoke_all(user_id=42)
            flash("Bye")

        response = browser.do(sign_out)

        assert sets_cookie(response)
        assert browser.id != old
        assert result_of(browser, get_flashed_messages) == ["Bye"]
        assert browser.values() == {}
        assert alive([other]) == [False]

    def test_without_a_flash_it_deletes_the_cookie(self, app: Flask) -> None:
        [browser] = signed_in(app)

        response = browser.do(lambda: str(sessions.revoke_all(user_id=42)))

        assert deletes_cookie(response)
        assert not sets_cookie(response)

    def test_can_be_repeated_wherever_the_storage_was_lost(
        self, backend: Backend, make_app: MakeApp
    ) -> None:
        losing = LosingBackend(backend)
        app = make_app(losing)

        for nth in each_write(losing):
            browsers = signed_in(app, 42, count=2)
            losing.lose(at_write=nth)
            try:
                revoke_all(app)
            except BackendError:
                losing.recover()
                losing.has_failed = True
                revoke_all(app)
            assert alive(browsers) == [False, False]
            assert found(app) == []


class TestEpoch:
    def test_refuses_a_login_that_was_checked_before(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> Any:
            epoch = sessions.epoch(user_id=42)
            sessions.revoke_all(user_id=42)  # the password is being changed meanwhile
            with pytest.raises(StaleLogin):
                session.bind(user_id=42, epoch=epoch)
            return dict(session)

        assert result_of(browser, login) == {}
        assert not browser.has_cookie
        assert found(app) == []

    def test_a_refused_login_is_a_409_and_leaves_the_session(self, app: Flask) -> None:
        browser = Browser(app)
        browser.set(cart=["book"])
        before = browser.id

        def login() -> None:
            epoch = sessions.epoch(user_id=42)
            sessions.revoke_all(user_id=42)
            session.bind(user_id=42, epoch=epoch)

        assert browser.do(login).status_code == 409
        assert browser.id == before
        assert browser.values() == {"cart": ["book"]}

    def test_a_login_that_was_checked_afterwards_goes_through(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> None:
            sessions.revoke_all(user_id=42)
            session.bind(user_id=42, epoch=sessions.epoch(user_id=42))

        browser.do(login)

        assert browser.values() == {"user_id": 42}
        assert [info.id for info in found(app)] == [browser.id]

    def test_of_others_refuses_nobody(self, app: Flask) -> None:
        browser = Browser(app)

        def login() -> None:
            epoch = sessions.epoch(user_id=42)
            sessions.revoke_all(user_id=7)
            session.bind(user_id=42, epoch=epoch)

        browser.do(login)

        assert browser.values() == {"user_id": 42}


def test_a_session_is_revoked_by_its_former_id_just_after_a_rotation(
    app: Flask,
) -> None:
    [browser] = signed_in(app)
    former = browser.id
    rotate(browser)

    with app.app_context():
        assert not sessions.revoke(former, user_id=7)
        assert user_of(browser) == 42
        assert sessions.revoke(former, user_id=42)

    assert browser.values() == {}
    assert found(app) == []


@pytest.mark.parametrize("keep", [True, False])
def test_of_all_spares_who_is_somebody_else_by_now(
    app: Flask, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    """Another user logs in when the list was read, and the records were not."""
    browser, other = signed_in(app, 42, 2)
    lines = Records.lines

    def late(*args: Any) -> Any:
        monkeypatch.undo()
        browser.set(user_id=7)
        return lines(*args)

    monkeypatch.setattr(Records, "lines", late)
    with app.test_request_context(headers={"Cookie": f"session={browser.cookie}"}):
        sessions.revoke_all(keep_current=keep, user_id=42)

    assert browser.values()["user_id"] == 7
    assert alive([other]) == [False]
    assert found(app, user_id=42) == []
