"""README and documentation are in step with what they describe.

Their Python blocks run as tests of their own, see conftest.py in the root.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import os
import re
import shlex
import subprocess
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask

import flask_srvsession
from docs.conf_table import PAGE, with_table
from docs.mistakes import MISTAKE, with_messages
from docs.mistakes import PAGE as MISTAKES
from flask_srvsession import ServerSession, ServerSideSession, SessionInfo
from flask_srvsession.backends.sql import SQLBackend
from flask_srvsession.commands.group import COMMANDS
from flask_srvsession.config import Settings
from flask_srvsession.take_over import FlaskSessionSource

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"
SEVERAL_APPS = ROOT / "docs" / "howto" / "several-apps.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page."""
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Return what can be linked to within a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    words = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {word.replace(" ", "-") for word in words}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page

        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, unread = set(), [README]
    while unread:
        page = unread.pop()
        if page in seen:
            continue
        seen.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(page.read_text()))
        targets = ((page.parent / link).resolve() for link in links)
        unread += [target for target in targets if target.suffix == ".md"]

    assert set(PAGES) - seen == set()


def test_the_pictures_that_the_pages_show_are_the_pictures_that_there_are() -> None:
    shown = {
        name
        for page in PAGES
        for name in re.findall(r"/([\w-]+\.png)", page.read_text())
    }

    assert shown == {path.name for path in (ROOT / "docs" / "images").iterdir()}


def test_the_quickstart_is_the_same_in_the_readme_and_on_its_page() -> None:
    assert blocks(QUICKSTART, "python") == blocks(README, "python")


def test_the_app_of_the_quickstart_signs_in_and_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # for its sessions.db
    namespace: dict[str, Any] = {"__name__": "quickstart"}
    exec(blocks(README, "python")[0], namespace)
    app = namespace["app"]
    browser, copy = app.test_client(), app.test_client()

    browser.post("/login", data={"name": "ann", "password": "wrong"})
    assert "Sign in" in browser.get("/").text
    browser.post("/login", data={"name": "ann", "password": "correct horse"})
    copy.set_cookie("session", browser.get_cookie("session").value)
    assert "You are ann." in copy.get("/").text
    browser.post("/logout")

    assert "Sign in" in copy.get("/").text
    app.extensions["srvsession"].backend.close()


@pytest.mark.parametrize("shares", [True, False])
def test_a_second_app_shares_the_login_of_the_first_or_has_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    sources = [blocks(page, "python")[0] for page in (QUICKSTART, SEVERAL_APPS)]
    both, second = blocks(SEVERAL_APPS, "bash")[:2]
    monkeypatch.chdir(tmp_path)
    apps, settings = [], [both, both if shares else both + second]
    for name, source, exports in zip(["app", "shop"], sources, settings, strict=True):
        for variable, value in re.findall(r"(FLASK_\w+)=(\S+)", exports):
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("FLASK_SRVSESSION_BACKEND", "sqlite:///shared.db")
        namespace: dict[str, Any] = {"__name__": name}
        exec(source, namespace)
        apps.append(namespace["app"])
    first, shop = (app.test_client() for app in apps)

    first.post("/login", data={"name": "ann", "password": "correct horse"})
    cookie = first.get_cookie("session").value
    shop.set_cookie("session", cookie)
    shop.set_cookie("shop", cookie)

    assert shop.get("/").text == ("ann" if shares else "nobody")
    for app in apps:
        app.extensions["srvsession"].backend.close()


def test_a_package_index_shows_a_readme_without_links_that_lead_nowhere() -> None:
    described = metadata("flask-srvsession").json["description"]

    assert isinstance(described, str)
    assert "## Quickstart" in described
    assert LINK.findall(described) == []


def test_the_first_two_shell_blocks_serve_the_example_and_run_the_tests() -> None:
    serve, test = blocks(README, "sh")[:2]

    assert serve == "bash .ci/setup example && .venv/bin/flask --app example_app run\n"
    assert (
        test
        == "bash .ci/setup test && .venv/bin/python -m pytest -n auto --dist loadfile"
        " --no-loadscope-reorder\n"
    )


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    awk = re.search(r"\$\((awk .+ README\.md)\)", script)
    assert awk

    found = subprocess.run(
        ["bash", "-c", awk[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert found.stdout == blocks(README, "sh")[1]
    assert 'bash -euo pipefail -c "$command"' in script
    assert "SRVSESSION_TEST_REQUIRE=1" in script


@pytest.mark.parametrize("script", ["run", "setup"])
def test_the_scripts_are_executable_and_have_no_syntax_error(script: str) -> None:
    path = ROOT / ".ci" / script

    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_table_of_configuration_keys_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")

    assert page == with_table(page), "run: .venv/bin/python docs/conf_table.py"
    assert page.count("`SRVSESSION_") >= page.count('<a id="srvsession_') >= 17


def test_the_environment_of_the_page_configures_an_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for line in blocks(PAGE, "bash")[0].splitlines():
        key, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(key, *shlex.split(value))
    app = Flask("shop")
    app.config.from_prefixed_env()

    settings = Settings.from_config(app.config, app.name)

    assert settings.backend == "redis://localhost:6379/0"
    assert (settings.idle_timeout, settings.rotate_every) == (28800, None)
    assert settings.max_per_key == {"user_id": 5}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_has_the_marks_of_a_merge(page: Path) -> None:
    assert re.findall(r"^[<>]{7} .*$", page.read_text("utf-8"), re.M) == []


def test_no_two_pages_have_the_same_title() -> None:
    titles = [page.read_text("utf-8").splitlines()[0] for page in PAGES]

    assert [title for title in titles if not title.startswith("# ")] == []
    assert sorted(titles) == sorted(set(titles))


def test_each_mistake_gives_the_message_that_its_page_shows() -> None:
    page = MISTAKES.read_text("utf-8")

    assert with_messages(page) == page, "run: .venv/bin/python docs/mistakes.py"
    assert len(MISTAKE.findall(page)) == page.count("\n### ") >= 40


API = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
OBJECTS = {"sessions": ServerSession, "session": ServerSideSession}
INDEXES = {"user_id", "tenant", "sid", "sub"}  # of the examples
CALL = re.compile(r"`((?:sessions|session)\.[a-z_]+\([^`]*\))`")


def calls(page: Path) -> list[str]:
    """Return the calls of our objects that a page mentions in its text."""
    return CALL.findall(page.read_text("utf-8"))


def public(kind: type) -> set[str]:
    """Return what a class offers beyond a mapping, without what Flask gives it."""
    return {name for name in vars(kind) if not name.startswith("_")}


@pytest.mark.parametrize("page", [page for page in PAGES if calls(page)], ids=name)
def test_every_call_in_the_text_fits_its_signature(page: Path) -> None:
    for text in calls(page):
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Attribute)
        assert isinstance(call.func.value, ast.Name)
        method = getattr(OBJECTS[call.func.value.id], call.func.attr)
        signature = inspect.signature(method)
        keywords = {str(keyword.arg): ... for keyword in call.keywords}

        if call.args or keywords:  # else it is the method's name
            signature.bind(..., *call.args, **keywords)
            assert keywords.keys() <= signature.parameters.keys() | INDEXES


def test_everything_public_is_in_the_api_reference() -> None:
    fields = {field.name for field in dataclasses.fields(SessionInfo)}
    offered = vars(flask_srvsession).items()
    names = {n for n, value in offered if not isinstance(value, ModuleType)}
    names = {name for name in names if not name.startswith("_")} | fields
    names |= public(ServerSession) | public(ServerSideSession)

    assert {name for name in names if not re.search(rf"\b{name}\b", API)} == set()


def test_the_page_of_commands_has_all_of_them() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
    described = re.findall(r"^\| `([a-z-]+)", page.partition("\n## ")[0], re.M)

    assert sorted(described) == sorted(COMMANDS)


def test_every_session_command_in_the_text_is_used_rightly(tmp_path: Path) -> None:
    app = Flask("shop")
    app.config["SECRET_KEY"] = "a key that is only used by these tests"
    backend = SQLBackend(f"sqlite:///{tmp_path}/sessions.db")
    former = FlaskSessionSource(lambda key: None, lambda key: None, lambda prefix: [])
    ServerSession(app, backend, take_over=[former])
    text = "".join(page.read_text("utf-8") for page in PAGES)
    commands = set(re.findall(r"(?:`|/)flask (sessions [^`\n]+)", text))
    assert commands

    for command in commands:
        done = app.test_cli_runner().invoke(args=shlex.split(command, comments=True))

        assert done.exit_code in (0, 1), done.output  # 2 is wrong usage

    backend.close()


def test_every_module_is_in_the_map_for_contributors() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    package = ROOT / "flask_srvsession"
    names = {path.stem for path in package.iterdir() if path.suffix in ("", ".py")}

    missing = {name for name in names if f"`{name}`" not in contributing}

    assert missing <= {"__init__", "__pycache__"}


def test_the_documentation_is_built_by_the_command_that_is_documented() -> None:
    command = ".venv/bin/sphinx-build -q -W --keep-going -c docs . build/docs"

    assert command in blocks(ROOT / "CONTRIBUTING.md", "sh")[0]
    assert command in (ROOT / ".ci" / "run").read_text("utf-8")
