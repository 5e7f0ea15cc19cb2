"""A configuration that is wrong is refused, with key, value and remedy."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from flask_srvsession import (
    ConfigurationError,
    ServerSession,
    session,
)
from flask_srvsession.backends.memory import MemoryBackend
from flask_srvsession.config import Settings
from tests.integration.bad_input.forged import read
from tests.web import Browser

from .probes import KEY

WRONG: list[tuple[str, Any]] = [
    ("BACKEND", 5),
    ("BACKEND", None),
    ("BACKEND", NotImplemented),
    ("BACKEND", b"redis://localhost"),
    ("KEY_PREFIX", 5),
    ("KEY_PREFIX", ""),
    ("KEY_PREFIX", "with blank:"),
    ("KEY_PREFIX", "umläut:"),
    ("KEY_PREFIX", "line\n"),
    ("KEY_PREFIX", "x" * 101),
    ("KEY_PREFIX", "{brace}:"),
    ("IDLE_TIMEOUT", "1 hour"),
    ("IDLE_TIMEOUT", 0),
    ("IDLE_TIMEOUT", -1),
    ("IDLE_TIMEOUT", True),
    ("IDLE_TIMEOUT", timedelta(0)),
    ("IDLE_TIMEOUT", timedelta(days=401)),
    ("IDLE_TIMEOUT", float("nan")),
    ("IDLE_TIMEOUT", float("inf")),
    ("ABSOLUTE_LIFETIME", None),
    ("ABSOLUTE_LIFETIME", 0),
    ("ABSOLUTE_LIFETIME", [90]),
    ("ENCRYPTION_KEYS", "a key"),
    ("ENCRYPTION_KEYS", [5]),
    ("TOUCH_INTERVAL", 0),
    ("TOUCH_INTERVAL", "often"),
    ("INDEXES", None),
    ("INDEXES", "user_id"),
    ("INDEXES", ["user_id"]),
    ("INDEXES", {"user_id": "user_id"}),
    ("INDEXES", {"user_id": 5}),
    ("INDEXES", {"user_id": (5,)}),
    ("INDEXES", {"user id": ("user_id",)}),
    ("INDEXES", {"epoch": ("epoch",)}),
    ("INDEXES", {5: ("user_id",)}),
    ("LOGIN_KEYS", "user_id"),
    ("LOGIN_KEYS", 5),
    ("LOGIN_KEYS", (5,)),
    ("LOGIN_KEYS", None),
    ("DROP_AT_LOGIN", "csrf_token"),
    ("DROP_AT_LOGIN", 5),
    ("DROP_AT_LOGIN", None),
    ("ROTATE_EVERY", "never"),
    ("ROTATE_EVERY", 0),
    ("ROTATE_EVERY", 239),
    ("ROTATE_GRACE", None),
    ("ROTATE_GRACE", -5),
    ("ROTATE_GRACE", 451),
    ("ON_REPLAY", None),
    ("ON_REPLAY", "ignore"),
    ("ON_REPLAY", ["revoke"]),
    ("MAX_PER_KEY", 5),
    ("MAX_PER_KEY", {"user_id": 0}),
    ("MAX_PER_KEY", {"user_id": "5"}),
    ("MAX_PER_KEY", {"user_id": True}),
    ("MAX_PER_KEY", {"nobody": 5}),
    ("ANONYMOUS_TIMEOUT", 0),
    ("NOT_LOGIN_KEYS", "email"),
    ("MAX_PER_KEY_POLICY", None),
    ("MAX_PER_KEY_POLICY", "evict"),
    ("SERIALIZER", None),
    ("SERIALIZER", "pickle"),
    ("SERIALIZER", NotImplemented),
    ("MAX_PAYLOAD", None),
    ("MAX_PAYLOAD", 0),
    ("MAX_PAYLOAD", "1 MB"),
    ("METADATA", None),
    ("METADATA", "yes"),
    ("METADATA", 1),
    ("SWEEP_EVERY", 0),
    ("SWEEP_EVERY", "hourly"),
    ("FENCED_LOAD", "no"),
    ("FENCED_LOAD", 1),
    ("DBSC", None),
    ("DBSC", 1),
    ("DBSC", "always"),
    ("DBSC_PATH", "dbsc"),
    ("DBSC_PATH", "/dbsc/"),
    ("DBSC_PATH", "/"),
    ("DBSC_PATH", '/a"b'),
    ("DBSC_PATH", None),
    ("DBSC_WINDOW", 179),
    ("DBSC_WINDOW", 3601),
    ("DBSC_WINDOW", None),
    ("DBSC_EXCLUDE", "/images/"),
    ("DBSC_EXCLUDE", ("images",)),
    ("DBSC_INITIATORS", "*"),
    ("DBSC_INITIATORS", (5,)),
]


SECRET_URLS = [
    "redis://:hunter2@localhost:port/0",
    "redis://:hunter2@localhost:6379/0?socket_timeout=hunter2",
    "redis://user:hunter2@[::1/0",
    "redis://user:hunter2@localhost:99999999/0",
    "memcached://user:hunter2@localhost:11211",
    "memcached://localhost:11211?password=hunter2",
    "memcached://localhost:11211?timeout=hunter2",
    "postgres+x://user:hunter2@localhost/db",
    "user:hunter2@localhost:6379",
    "hunter2",
    "//:hunter2@localhost",
    ("redis://:hunter2@localhost:6379/0",),
    "",
]


class TestConfiguration:
    @pytest.mark.parametrize(("key", "value"), WRONG, ids=lambda x: repr(x)[:40])
    def test_that_is_wrong_is_refused_with_key_value_and_remedy(
        self, key: str, value: Any
    ) -> None:
        app = _app(**{f"SRVSESSION_{key}": value})

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        message = str(refused.value)
        assert f"SRVSESSION_{key}" in message
        if key == "BACKEND":
            assert type(value).__name__ in message or repr(value) in message
        elif key == "ENCRYPTION_KEYS":  # they are secrets
            assert "a key" not in message
        elif key not in ("ROTATE_EVERY", "ROTATE_GRACE"):
            assert repr(value) in message or repr(_blamed(value)) in message
        else:
            assert str(value) in message
        assert "must be" in message
        assert "srvsession" not in app.extensions

    def test_has_a_wrong_value_for_every_key_in_these_tests(self) -> None:
        declared = {name.upper() for name in Settings.__dataclass_fields__}

        assert declared == {key for key, _ in WRONG}

    @pytest.mark.parametrize(
        ("unknown", "nearest"),
        [
            ("SRVSESSION_BACKENDS", "SRVSESSION_BACKEND"),
            ("SRVSESSION_URL", "SRVSESSION_"),
            ("SRVSESSION_ROTATE_EVER", "SRVSESSION_ROTATE_EVERY"),
            ("SRVSESSION_IDLE_TIME", "SRVSESSION_IDLE_TIMEOUT"),
            ("SRVSESSION_idle_timeout", "SRVSESSION_"),
            ("SRVSESSION_KEYPREFIX", "SRVSESSION_KEY_PREFIX"),
            ("SRVSESSION_SERIALISER", "SRVSESSION_SERIALIZER"),
            ("SRVSESSION_", "SRVSESSION_"),
        ],
    )
    def test_with_an_unknown_key_names_the_nearest(
        self, unknown: str, nearest: str
    ) -> None:
        app = _app(**{unknown: 1})

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        assert str(refused.value).startswith(f"{unknown} is not a key")
        assert f"did you mean {nearest}" in str(refused.value)

    @pytest.mark.parametrize("url", SECRET_URLS)
    def test_with_a_url_that_does_not_work_tells_no_secret(self, url: Any) -> None:
        app = _app(SRVSESSION_BACKEND=url)

        with pytest.raises(ConfigurationError) as refused:
            ServerSession(app)

        error: BaseException | None = refused.value
        assert "://" in str(error)
        while error is not None:
            assert "hunter2" not in str(error)
            error = error.__cause__

    def test_is_checked_where_a_backend_object_is_given(self) -> None:
        app = _app(SRVSESSION_IDLE_TIMEOUT=-1)

        with pytest.raises(ConfigurationError):
            ServerSession().init_app(app, MemoryBackend())

        assert "srvsession" not in app.extensions

    def test_is_a_value_error_too(self) -> None:
        with pytest.raises(ValueError, match="SRVSESSION_MAX_PAYLOAD"):
            ServerSession(_app(SRVSESSION_MAX_PAYLOAD=-1))

    def test_of_others_is_none_of_our_business(self) -> None:
        app = _app(SESSION_TYPE="redis", SRVSESSIONS_X=1, srvsession_backend="x")

        ServerSession(app)

        assert "srvsession" in app.extensions

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("BACKEND", "memory://"),
            ("BACKEND", MemoryBackend()),
            ("KEY_PREFIX", None),
            ("KEY_PREFIX", "my-app.v2:s_"),
            ("IDLE_TIMEOUT", None),
            ("IDLE_TIMEOUT", timedelta(days=400)),
            ("IDLE_TIMEOUT", 1.5),
            ("TOUCH_INTERVAL", None),
            ("INDEXES", {}),
            ("INDEXES", {"org": ["org_id"]}),
            ("LOGIN_KEYS", ()),
            ("LOGIN_KEYS", ["user_id"]),
            ("ROTATE_EVERY", None),
            ("ROTATE_EVERY", 240),
            ("ROTATE_GRACE", timedelta(seconds=450)),
            ("ON_REPLAY", "reject"),
            ("ON_REPLAY", print),
            ("MAX_PER_KEY", None),
            ("MAX_PER_KEY", {"user_id": 1}),
            ("ANONYMOUS_TIMEOUT", 60),
            ("NOT_LOGIN_KEYS", ["email"]),
            ("MAX_PER_KEY_POLICY", "reject"),
            ("SERIALIZER", "json"),
            ("METADATA", True),
            ("METADATA", lambda request: {"path": request.path}),
            ("FENCED_LOAD", None),
            ("FENCED_LOAD", True),
            ("DBSC", False),
            ("DBSC", "required"),
            ("DBSC_PATH", "/auth/device"),
            ("DBSC_WINDOW", timedelta(minutes=5)),
            ("DBSC_EXCLUDE", ["/images/"]),
            ("DBSC_INITIATORS", ("*",)),
        ],
        ids=lambda x: repr(x)[:40],
    )
    def test_that_is_right_is_taken(self, key: str, value: Any) -> None:
        app = _app(**{f"SRVSESSION_{key}": value})

        ServerSession(app)

        browser = Browser(app)
        browser.does(lambda: session.update(a=1))
        assert browser.does(read) == "1"


def _app(**config: Any) -> Flask:
    app = Flask("testapp")
    app.config.update({"TESTING": True, "SECRET_KEY": KEY, **config})
    return app


def _blamed(value: Any) -> Any:
    """The part of a dict that the message is about."""
    return next(iter(value.values())) if isinstance(value, dict) else value


class CountedBackend(MemoryBackend):
    """One that is false while it is empty, as any container is."""

    def __bool__(self) -> bool:
        return len(self) > 0


def app_with(**config: object) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long random text", TESTING=True, **config)
    return app


def test_an_empty_backend_that_is_passed_in_is_the_one_that_is_used() -> None:
    app, backend = app_with(), CountedBackend()
    ServerSession(app, backend)
    app.add_url_rule("/", "set", lambda: session.update(a=1) or "")

    app.test_client().get("/")

    assert len(backend) == 1


@pytest.mark.parametrize("indexes", [{"user_id": ()}, {"self": ("user_id",)}])
def test_an_index_that_could_not_work_is_refused(indexes: object) -> None:
    with pytest.raises(ConfigurationError, match="SRVSESSION_INDEXES"):
        ServerSession(app_with(SRVSESSION_INDEXES=indexes))


@pytest.mark.parametrize("key", ["IDLE_TIMEOUT", "INDEXES"])
def test_a_key_that_is_set_too_late_is_refused_by_the_first_use(key: str) -> None:
    """It would have no effect: a limit that nobody keeps, say."""
    ServerSession(app := app_with())
    app.config[f"SRVSESSION_{key}"] = {"user_id": ("id",)} if key == "INDEXES" else 60

    with app.test_request_context(), pytest.raises(ConfigurationError, match=key):
        len(session)


@pytest.mark.parametrize(("shared", "warnings"), [(False, 1), (True, 0)])
def test_several_processes_that_do_not_share_their_sessions_are_warned_of_once(
    caplog: pytest.LogCaptureFixture, shared: bool, warnings: int
) -> None:
    backend = MemoryBackend()
    backend.shared = shared
    ServerSession(app := app_with(), backend)
    client = app.test_client()

    client.get("/")
    assert caplog.messages == []
    for _ in range(2):
        client.get("/", environ_overrides={"wsgi.multiprocess": True})

    assert sum("runs several" in text for text in caplog.messages) == warnings
