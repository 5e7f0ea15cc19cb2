"""The command-line client: a login in one process is a login in the next."""

from __future__ import annotations

import os
import re
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from tests.web import served

from .visitor import PASSWORDS, Visitor

ROOT = Path(__file__).parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the client of these tests keeps its cookies."""
    return tmp_path / "state" / "tea-and-cups" / "cookies"


@pytest.fixture
def environment(shop: str, tmp_path: Path) -> dict[str, str]:
    """The environment of the client: nothing of the user who runs the tests."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "SHOP_URL": shop,
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Run the client as a process of its own."""

    def call(
        *arguments: str, password: str = PASSWORDS["ada"], typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "example_app.client", *arguments],
            cwd=tmp_path,
            env={**environment, "SHOP_PASSWORD": password},
            input=typed,
            umask=0,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


# -- one after the other ------------------------------------


def test_a_login_in_one_process_is_a_login_in_the_next(run: Run) -> None:
    login = run("login", "ada")
    first, second = run("update", "tea"), run("update", "cups")
    whoami = run("whoami")

    assert (login.returncode, login.stdout) == (0, "Signed in as ada.\n"), login.stderr
    assert (first.stdout, second.stdout) == ("1 x tea\n", "1 x cups\n1 x tea\n")
    assert (whoami.returncode, whoami.stdout) == (0, "ada\n")


def test_what_was_put_into_the_cart_can_be_taken_out(run: Run) -> None:
    run("login", "ada")
    run("update", "tea")

    assert run("update", "tea", "--remove").stdout == ""


def test_a_logout_ends_it_for_all_copies_of_the_cookie_file(
    run: Run, file: Path, tmp_path: Path
) -> None:
    run("login", "ada")
    copy = Path(shutil.copy2(file, tmp_path / "copy"))
    assert run("--cookies", str(copy), "whoami").stdout == "ada\n"

    logout = run("logout")

    assert (logout.returncode, logout.stdout) == (0, "Signed out.\n")
    assert not file.exists()
    after = run("--cookies", str(copy), "whoami")
    assert (after.returncode, after.stderr) == (1, "Error: Nobody is signed in.\n")


def test_a_login_takes_the_place_of_the_one_before(run: Run) -> None:
    run("login", "ada")

    run("login", "grace", password=PASSWORDS["grace"])

    assert run("whoami").stdout == "grace\n"


def test_the_client_is_one_of_the_devices(run: Run, app: Flask) -> None:
    run("login", "ada")
    browser = Visitor(app, "my browser")
    browser.sign_in("ada")
    assert any(name.startswith("shop-client on") for name in browser.devices())

    browser.sign_out_others()

    assert run("whoami").returncode == 1
    assert run("update", "tea").returncode == 1


# -- at once ------------------------------------


def test_processes_that_run_at_once_lose_nothing(run: Run) -> None:
    run("login", "ada")

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run("update", "tea"), range(8)))

    assert [process.returncode for process in done] == [0] * 8
    assert run("update", "cups").stdout == "1 x cups\n8 x tea\n"


def test_of_logins_that_run_at_once_one_is_left_and_no_session_without_its_cookie(
    run: Run, app: Flask
) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run("login", "ada"), range(4)))

    browser = Visitor(app, "my browser")
    browser.sign_in("ada")
    assert [process.returncode for process in done] == [0] * 4
    assert len(browser.devices()) == 2


# -- the cookie file ------------------------------------


def test_only_the_user_can_read_the_cookies(run: Run, file: Path) -> None:
    """The processes of these tests have no umask that would help."""
    run("login", "ada")

    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()
    }
    assert modes == {"cookies": 0o600, "cookies.lock": 0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_file_is_replaced_and_never_written_in_place(run: Run, file: Path) -> None:
    """A hard link keeps what was there; so would a reader who has it open."""
    run("login", "ada")
    kept = file.with_name("kept")
    kept.hardlink_to(file)
    before = kept.read_bytes()

    run("login", "grace", password=PASSWORDS["grace"])

    assert kept.read_bytes() == before
    assert file.read_bytes() != before


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_file_that_others_may_have_opened_is_refused(
    run: Run, file: Path, mode: int
) -> None:
    run("login", "ada")
    file.chmod(mode)

    refused = run("whoami")

    assert refused.returncode == 4
    assert "is open to others" in refused.stderr
    assert str(file) in refused.stderr


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"secret", b"#LWP-Cookies-2.0\nSet-Cookie3: session=secret\n"],
)
def test_a_damaged_file_is_refused_and_not_shown(
    run: Run, file: Path, content: bytes
) -> None:
    run("login", "ada")
    file.write_bytes(content)

    refused = run("whoami")

    assert refused.returncode == 4
    assert refused.stderr == f"Error: {file} is damaged: delete it and sign in again.\n"
    assert file.read_bytes() == content


def test_a_symlink_or_folder_in_place_of_the_file_is_refused(
    run: Run, file: Path, tmp_path: Path
) -> None:
    run("login", "ada")
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert "is not a file of yours" in run("whoami").stderr

    file.unlink()
    file.mkdir()
    assert run("whoami").returncode == 4


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "occupied").touch()

    refused = run("--cookies", "occupied/cookies", "whoami")

    assert refused.returncode == 4
    assert "occupied/cookies" in refused.stderr
    assert "Traceback" not in refused.stderr


# -- what is said, and what is not ------------------------------------


def test_a_wrong_password_is_refused_and_leaves_nobody_signed_in(run: Run) -> None:
    refused = run("login", "ada", password="wrong")

    assert refused.returncode == 1
    assert refused.stderr == "Error: That is not a name and its password.\n"
    assert run("whoami").returncode == 1


def test_a_wrong_password_does_not_end_the_login_of_before(run: Run) -> None:
    run("login", "ada")

    run("login", "grace", password="wrong")

    assert run("whoami").stdout == "ada\n"


def test_a_shop_that_does_not_answer_is_no_logout(run: Run, file: Path) -> None:
    run("login", "ada")
    before = file.read_bytes()

    for command in ("whoami", "logout"):
        failed = run("--url", "http://127.0.0.1:1", command)
        assert failed.returncode == 3
        assert "http://127.0.0.1:1 cannot be reached" in failed.stderr

    assert file.read_bytes() == before
    assert run("whoami").stdout == "ada\n"


def test_something_else_than_the_shop_is_told_apart(run: Run) -> None:
    other = Flask("other")
    other.add_url_rule("/me", "me", lambda: "Hello")
    with served(other) as url:
        hello, missing = run("--url", url, "whoami"), run("--url", f"{url}/x", "whoami")

    assert (hello.returncode, missing.returncode) == (3, 3)
    assert "is not the shop" in hello.stderr
    assert "answers 404 NOT FOUND" in missing.stderr


def test_what_the_shop_does_not_have_is_wrong_usage(run: Run) -> None:
    assert run("update", "gold").returncode == 2


def test_the_password_can_be_a_line_of_standard_input(run: Run) -> None:
    login = run("login", "ada", password="", typed=f"{PASSWORDS['ada']}\n")

    assert login.stdout == "Signed in as ada.\n"


def test_at_a_terminal_the_password_is_asked_for_and_not_shown(
    environment: dict[str, str],
) -> None:
    keyboard, terminal = os.openpty()
    command = [sys.executable, "-m", "example_app.client", "login", "ada"]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stderr.read(len("Password: ")) == b"Password: "
        os.write(keyboard, f"{PASSWORDS['ada']}\n".encode())
        said = process.stdout.read()
    something_shown, _, _ = select.select([keyboard], [], [], 0)
    os.close(terminal)
    os.close(keyboard)

    assert said == b"Signed in as ada.\n"
    assert not something_shown


def test_no_command_takes_a_password_as_an_argument(run: Run) -> None:
    assert run("login", "ada", PASSWORDS["ada"]).returncode == 2
    assert run("login", "ada", "--password", PASSWORDS["ada"]).returncode == 2


def test_nothing_that_is_said_holds_the_cookie_or_the_password(
    run: Run, file: Path
) -> None:
    done = [run("login", "ada")]
    [cookie] = re.findall(r'session="?([^";]+)', file.read_text())
    done += [run("whoami"), run("update", "tea"), run("--url", "http://[", "whoami")]
    file.chmod(0o644)
    done += [run("whoami")]

    said = "".join(process.stdout + process.stderr for process in done)

    assert "Error" in said
    assert cookie not in said
    assert PASSWORDS["ada"] not in said
