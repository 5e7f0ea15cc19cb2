"""``flask sessions``: what people see, what programs read, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from flask_srvsession.backends import backend_from_url
from tests.servers import running_redis
from tests.web import Browser

from ..devices import alive, found, signed_in
from .run import SAFE, flask, printed

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from tests.conftest import MakeApp

HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nID  \x9b31m\u202egnp.exe\x7f"

COMMANDS_ON_SESSIONS = [
    ["list", "user_id=42"],
    ["show", "f" * 32 + "_65f00000"],
    ["revoke", "f" * 32 + "_65f00000", "--yes"],
    ["revoke-all", "user_id=42", "--yes"],
]


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app(SRVSESSION_METADATA=True)


class TestList:
    @pytest.mark.every_storage
    def test_shows_a_line_for_each_session(self, app: Flask) -> None:
        browsers, others = signed_in(app, 42, 2), signed_in(app, 7)

        result = flask(app, "list", "user_id=42")

        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].split()[0] == "ID"
        ids = {line.split()[0] for line in lines[1:]}
        assert ids == {browser.id for browser in browsers}
        assert others[0].id not in result.output

    def test_cuts_what_a_client_says_at_length(self, make_app: MakeApp) -> None:
        app = make_app(SRVSESSION_METADATA=lambda request: {"agent": "x" * 200})
        signed_in(app)

        result = flask(app, "list", "user_id=42")

        assert "x" * 77 + "..." in result.stdout
        assert "x" * 78 not in result.stdout

    def test_says_that_it_does_not_see_the_memory_of_another_process(
        self, app: Flask
    ) -> None:
        result = flask(app, "list", "user_id=42")

        shared = app.extensions["srvsession"].backend.shared
        assert ("in the memory of each process" in result.stderr) is not shared

    def test_prints_json_for_programs(self, app: Flask) -> None:
        [browser] = signed_in(app)
        [info] = found(app)

        [entry] = printed(app, "list", "user_id=42")

        assert entry == {
            "id": browser.id,
            "created_at": info.created_at.isoformat(),
            "last_seen_at": info.last_seen_at.isoformat(),
            "expires_at": info.expires_at.isoformat(),
            "meta": {"ip": "127.0.0.0", "agent": info.meta["agent"]},
            "bound": False,
        }

    def test_of_nobody_is_empty_and_no_failure(self, app: Flask) -> None:
        result = flask(app, "list", "user_id=nobody")

        assert (result.exit_code, result.stdout) == (0, "No sessions.\n")
        assert printed(app, "list", "user_id=nobody") == []

    @pytest.mark.every_storage
    def test_takes_several_values_and_any_index(self, make_app: MakeApp) -> None:
        indexes = {n: (n,) for n in ("user_id", "tenant", "json", "yes", "key", "help")}
        app = make_app(SRVSESSION_INDEXES=indexes)
        browser = Browser(app)
        browser.set(user_id=1, tenant="a=b", json=2, yes=3, key=4, help=5)
        other = signed_in(app, 2)[0]

        for whose in ("user_id=1", "tenant=a=b", "json=2", "yes=3", "key=4", "help=5"):
            assert [e["id"] for e in printed(app, "list", whose)] == [browser.id]
        both = printed(app, "list", "user_id=1", "user_id=2")
        assert [entry["id"] for entry in both] == [browser.id, other.id]

    @pytest.mark.parametrize(
        ("args", "says", "shows"),
        [
            ([], "It is not said whose", "user_id=42"),
            (["7"], "'7' is not INDEX=VALUE", "user_id=7"),
            (["a b"], "'a b' is not INDEX=VALUE", "'user_id=a b'"),
            (["user_id"], "'user_id' is not INDEX=VALUE", "user_id=42"),
            (["tenent=7"], "'tenent' is not an index", "tenant=7"),
            (["user_id=7", "User_ID=8"], "'User_ID' is not an index", "user_id=8"),
            (["=7"], "'' is not an index", "user_id=7"),
            (["\x1b[2J"], "'\\x1b[2J' is not INDEX=VALUE", "user_id=\\x1b[2J"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("command", ["list", "revoke-all"])
    def test_wrong_usage_ends_with_2_and_shows_the_right_call(
        self, make_app: MakeApp, command: str, args: list[str], says: str, shows: str
    ) -> None:
        indexes = {"user_id": ("user_id",), "tenant": ("tenant",)}
        app = make_app(SRVSESSION_INDEXES=indexes)

        result = flask(app, command, *args)

        assert (result.exit_code, result.stdout) == (2, "")
        assert says in result.stderr
        assert f"flask sessions {command} " in result.stderr
        assert shows in result.stderr.splitlines()[-1]
        assert "\x1b" not in result.stderr

    @pytest.mark.parametrize("args", [["--user_id", "42"], ["--key", "user_id=42"]])
    def test_options_of_before_are_wrong_usage(
        self, app: Flask, args: list[str]
    ) -> None:
        result = flask(app, "list", *args)

        assert (result.exit_code, result.stdout) == (2, "")
        assert "INDEX=VALUE" in result.stderr

    def test_without_an_index_says_so(self, make_app: MakeApp) -> None:
        result = flask(make_app(SRVSESSION_INDEXES={}), "list", "user_id=42")

        assert result.exit_code == 2
        assert "SRVSESSION_INDEXES is empty" in result.stderr


class TestShow:
    @pytest.mark.every_storage
    def test_tells_what_is_known(self, app: Flask) -> None:
        [browser] = signed_in(app)

        result = flask(app, "show", browser.id)

        assert result.exit_code == 0
        assert f"id: {browser.id}" in result.stdout
        assert "client ip: 127.0.0.0" in result.stdout
        assert printed(app, "show", browser.id)["id"] == browser.id

    @pytest.mark.parametrize("session_id", ["f" * 32 + "_65f00000", "", "\x1b[2J"])
    def test_an_unknown_id_ends_with_1(self, app: Flask, session_id: str) -> None:
        result = flask(app, "show", session_id)

        assert result.exit_code == 1
        assert result.stdout == ""
        assert f"There is no session {session_id!r}." in result.stderr
        assert "\x1b" not in result.output


class TestRevoke:
    def test_asks_first(self, app: Flask) -> None:
        [browser] = signed_in(app)

        refused = flask(app, "revoke", browser.id, answer="n\n")
        assert refused.exit_code == 1
        assert alive([browser]) == [True]

        confirmed = flask(app, "revoke", browser.id, answer="y\n")
        assert confirmed.exit_code == 0
        assert alive([browser]) == [False]

    def test_does_nothing_where_nobody_can_be_asked(self, app: Flask) -> None:
        [browser] = signed_in(app)

        result = flask(app, "revoke", browser.id)

        assert result.exit_code == 1
        assert alive([browser]) == [True]

    @pytest.mark.every_storage
    def test_yes_skips_the_question(self, app: Flask) -> None:
        browsers = signed_in(app, 42, 3)

        result = flask(app, "revoke", browsers[0].id, browsers[2].id, "--yes")

        assert result.exit_code == 0
        assert result.stdout == "Ended 2 session(s).\n"
        assert alive(browsers) == [False, True, False]

    def test_what_is_not_there_ends_with_1_and_the_rest_is_done(
        self, app: Flask
    ) -> None:
        [browser] = signed_in(app)
        ids = ["f" * 32 + "_65f00000", browser.id]

        result = flask(app, "revoke", *ids, "--yes", "--json")

        assert result.exit_code == 1
        assert json.loads(result.stdout) == {"revoked": ids[1:], "not_found": ids[:1]}
        assert f"There is no such session: {ids[0]!r}\n" in result.stderr
        assert alive([browser]) == [False]

    @pytest.mark.every_storage
    def test_with_an_owner_ends_only_theirs(self, app: Flask) -> None:
        [browser] = signed_in(app, 42)

        wrong = flask(app, "revoke", browser.id, "user_id=7", "--yes")
        assert wrong.exit_code == 1
        assert alive([browser]) == [True]

        right = flask(app, "revoke", browser.id, "user_id=42", "--yes")
        assert right.exit_code == 0
        assert alive([browser]) == [False]

    @pytest.mark.parametrize(
        "args",
        [
            ["{id}", "user_id=42", "user_id=7"],
            ["user_id=42"],
            ["{id}", "userid=42"],
            [],
        ],
        ids=str,
    )
    def test_two_owners_an_unknown_index_or_no_id_are_wrong_usage(
        self, app: Flask, args: list[str]
    ) -> None:
        [browser] = signed_in(app, 42)
        args = [part.format(id=browser.id) for part in args]

        assert flask(app, "revoke", *args, "--yes").exit_code == 2
        assert alive([browser]) == [True]


class TestRevokeAll:
    @pytest.mark.every_storage
    def test_asks_and_says_how_many(self, app: Flask) -> None:
        browsers, others = signed_in(app, 42, 2), signed_in(app, 7)

        refused = flask(app, "revoke-all", "user_id=42", answer="n\n")
        assert refused.exit_code == 1
        assert "2 now" in refused.output
        assert alive(browsers) == [True, True]

        done = flask(app, "revoke-all", "user_id=42", answer="y\n")
        assert done.exit_code == 0
        assert alive([*browsers, *others]) == [False, False, True]

    @pytest.mark.every_storage
    def test_prints_json_and_nothing_else_on_stdout(self, app: Flask) -> None:
        signed_in(app, 42, 2)

        args = ["revoke-all", "user_id=42", "--json"]
        result = flask(app, *args, answer="y\n")

        assert json.loads(result.stdout) == {"revoked": 2}

    def test_of_nobody_ends_with_1(self, app: Flask) -> None:
        result = flask(app, "revoke-all", "user_id=nobody", "--yes", "--json")

        assert result.exit_code == 1
        assert json.loads(result.stdout) == {"revoked": 0}

    def test_without_an_owner_is_wrong_usage(self, app: Flask) -> None:
        browsers = signed_in(app)

        assert flask(app, "revoke-all", "--yes").exit_code == 2
        assert alive(browsers) == [True]


class TestSweepAndStats:
    def test_sweep_counts_what_it_removed(self, app: Flask, clock: Any) -> None:
        Browser(app).set(theme="dark")
        clock.advance(366 * 86400)

        assert printed(app, "sweep") == {"removed": 1}
        assert flask(app, "sweep").stdout == "Removed 0 expired record(s).\n"

    @pytest.mark.every_storage
    def test_stats_are_numbers_of_the_storage(self, app: Flask) -> None:
        signed_in(app, 42, 2)

        facts = printed(app, "stats")

        kind = facts.pop("backend")
        assert kind == type(app.extensions["srvsession"].backend).__name__
        assert facts.get("items", facts.get("keys")) >= 2
        assert all(type(value) is int for value in facts.values())
        assert flask(app, "stats").stdout.startswith(f"backend: {kind}\n")


class TestSecrecy:
    COMMANDS = (
        ("list", "user_id=42"),
        ("show", "{id}"),
        ("stats",),
        ("check",),
        ("revoke", "{id}", "--yes"),
        ("revoke-all", "user_id=42", "--yes"),
    )

    @pytest.mark.every_storage("stats", "check")
    @pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_neither_tokens_nor_content_nor_keys_are_shown(
        self, app: Flask, command: tuple[str, ...], as_json: bool
    ) -> None:
        browser = Browser(app)
        browser.set(user_id=42, note="a private note")
        _, _, token, signature = browser.cookie.split(".")
        args = [part.format(id=browser.id) for part in command]

        result = flask(app, *args, *(["--json"] if as_json else []))

        assert result.exit_code in (0, 1)
        for secret in (token, signature, "private", app.config["SECRET_KEY"]):
            assert secret not in result.output

    @pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda c: c[0])
    @pytest.mark.parametrize("as_json", [False, True])
    def test_what_clients_say_of_themselves_cannot_drive_the_terminal(
        self, make_app: MakeApp, command: tuple[str, ...], as_json: bool
    ) -> None:
        app = make_app(
            SRVSESSION_METADATA=lambda request: {HOSTILE: HOSTILE, "more": [HOSTILE]}
        )
        [browser] = signed_in(app)
        args = [part.format(id=browser.id) for part in command]

        result = flask(app, *args, *(["--json"] if as_json else []))

        assert result.exit_code == 0
        text = result.stdout.replace("\n", "")
        assert not [c for c in text if unicodedata.category(c)[0] == "C"]
        if command[0] == "list" and not as_json:
            assert len(result.stdout.splitlines()) == 2
        if as_json:
            entry = json.loads(result.stdout)
            entry = entry[0] if command[0] == "list" else entry
            assert entry["meta"] == {HOSTILE: HOSTILE, "more": [HOSTILE]}


class TestUnreachable:
    @pytest.fixture
    def lost(self, make_app: MakeApp, tmp_path: Path) -> Flask:
        with running_redis(tmp_path) as server:
            url = server.url
        return make_app(backend_from_url(url), **SAFE)

    @pytest.mark.parametrize(
        "args", [*COMMANDS_ON_SESSIONS, ["stats"], ["check"]], ids=lambda args: args[0]
    )
    def test_ends_with_3(self, lost: Flask, args: list[str]) -> None:
        result = flask(lost, *args)

        assert result.exit_code == 3
        assert "ConnectionError" in result.output
        assert "Traceback" not in result.output

    @pytest.mark.parametrize("command", COMMANDS_ON_SESSIONS, ids=lambda c: c[0])
    def test_a_key_of_flasks_that_cannot_work_is_named(
        self, make_app: MakeApp, command: list[str]
    ) -> None:
        app = make_app()
        app.config["PERMANENT_SESSION_LIFETIME"] = "3600"

        result = flask(app, *command)

        assert result.exit_code == 2
        assert "PERMANENT_SESSION_LIFETIME is '3600', but must be" in result.stderr

    def test_check_still_says_what_it_knows(self, lost: Flask) -> None:
        lost.config["SESSION_COOKIE_SECURE"] = False

        keys = {finding["key"] for finding in printed(lost, "check")}

        assert {"SESSION_COOKIE_SECURE", "SRVSESSION_BACKEND"} <= keys


APP = """
import os
from flask import Flask
from flask_srvsession import ServerSession
from flask_srvsession.backends import backend_from_url

app = Flask("testapp")
app.config["SECRET_KEY"] = os.environ["TEST_SECRET_KEY"]
app.config["SRVSESSION_KEY_PREFIX"] = os.environ["TEST_PREFIX"]
app.config["SRVSESSION_BACKEND"] = os.environ["TEST_URL"]
ServerSession(app)
"""


class Shell:
    """Runs the command in a process of its own, on the sessions of an app."""

    def __init__(self, app: Flask, url: str, directory: Path) -> None:
        (directory / "wsgi.py").write_text(APP, encoding="ascii")
        self._directory = directory
        self._environment = {
            **os.environ,
            "TEST_SECRET_KEY": app.config["SECRET_KEY"],
            "TEST_PREFIX": app.config["SRVSESSION_KEY_PREFIX"],
            "TEST_URL": url,
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def run(
        self, *args: str, stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "sessions", *args]
        return subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def shell(request: pytest.FixtureRequest, tmp_path: Path, app: Flask) -> Shell:
    app.extensions["srvsession"].clock = time.time
    kind = type(app.extensions["srvsession"].backend).__name__.lower()
    server = request.getfixturevalue(f"{kind.removesuffix('backend')}_server")
    return Shell(app, server.url, tmp_path)


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_works_as_a_command_of_the_shell(app: Flask, shell: Shell) -> None:
    [browser] = signed_in(app)

    listing = shell.run("list", "user_id=42", "--json")
    assert [e["id"] for e in json.loads(listing.stdout)] == [browser.id]
    assert shell.run("revoke", browser.id).returncode == 1
    assert shell.run("revoke", browser.id, "--yes").returncode == 0
    assert shell.run("show", browser.id).returncode == 1
    assert alive([browser]) == [False]


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
@pytest.mark.parametrize("command", ["revoke", "revoke-all"])
def test_a_progress_bar_is_shown_to_people_only(
    app: Flask, shell: Shell, command: str
) -> None:
    def chosen(browsers: list[Browser], user: int) -> list[str]:
        if command == "revoke":
            return [browser.id for browser in browsers]
        return [f"user_id={user}"]

    first = chosen(signed_in(app, 42, 2), 42)
    second = chosen(signed_in(app, 7, 2), 7)
    reader, terminal = os.openpty()

    watched = shell.run(command, *first, "--yes", stderr=terminal)
    os.write(terminal, b".")  # or else there might be nothing to read
    shown = os.read(reader, 10_000).decode()
    piped = shell.run(command, *second, "--yes")

    os.close(reader)
    os.close(terminal)
    assert "100%" in shown
    assert watched.stdout == piped.stdout == "Ended 2 session(s).\n"
    assert piped.stderr == ""
