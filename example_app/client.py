"""A command-line client of the shop: a login in one process is a login in the next.

::

    python -m example_app.client login ada     # asks for the password
    python -m example_app.client update tea    # in this process and in any later one
    python -m example_app.client whoami
    python -m example_app.client logout        # ends it for all copies of the cookie

The password comes from the environment variable SHOP_PASSWORD, from a prompt, or as a
line of standard input; never from the command line, which other users can see.

Exit codes: 0 done; 1 refused, or nobody is signed in; 2 wrong usage; 3 the shop does
not answer as it should; 4 the cookie file cannot be used.
"""

from __future__ import annotations

import fcntl
import os
import platform
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from http import HTTPStatus
from http.cookiejar import CookieJar, LoadError, LWPCookieJar
from pathlib import Path
from typing import Any

import click
import requests

from .shop import WARES

TIMEOUT = 10
"""Seconds to wait for the shop."""


class Refused(click.ClickException):
    """The shop said no, or nobody is signed in."""

    exit_code = 1


class Unavailable(click.ClickException):
    """The shop does not answer as it should."""

    exit_code = 3


class CookieFileError(click.ClickException):
    """The cookie file cannot be read or written, or not be trusted."""

    exit_code = 4


class CookieFile:
    """Cookies that outlive the process, in a file that only its owner can read.

    Whoever reads it is signed in. So it has mode 0600 from its creation on, it is
    refused where others may have read it, and it is replaced as a whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self) -> Iterator[CookieJar]:
        """Yield the cookies, and store what becomes of them, also after an error.

        Invocations that use the same file take turns: none stores outdated cookies
        over newer ones.
        """
        with self._turn():
            jar = self._load()
            try:
                yield jar
            finally:
                self._store(jar)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._explained():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            lock = os.open(f"{self.path}.lock", flags, mode=0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _load(self) -> LWPCookieJar:
        jar = LWPCookieJar(self.path)
        with self._explained():
            if os.path.lexists(self.path):
                self._check(self.path.lstat())
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a LoadError says it
                    jar.load(ignore_discard=True)
        return jar

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise CookieFileError(f"{self.path} is not a file of yours: name another.")
        if found.st_mode & 0o077:
            mode = stat.filemode(found.st_mode)
            raise CookieFileError(
                f"{self.path} is open to others ({mode}): delete it, sign in again, "
                "and sign out all other devices."
            )

    def _store(self, jar: LWPCookieJar) -> None:
        with self._explained():
            if not len(jar):
                self.path.unlink(missing_ok=True)
                return
            with tempfile.NamedTemporaryFile(  # with mode 0600
                dir=self.path.parent, prefix=f"{self.path.name}.", delete=False
            ) as new:
                try:
                    jar.save(new.name, ignore_discard=True)
                    os.fsync(new.fileno())
                    Path(new.name).replace(self.path)
                except BaseException:
                    Path(new.name).unlink()
                    raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (LoadError, UnicodeDecodeError):
            raise CookieFileError(
                f"{self.path} is damaged: delete it and sign in again."
            ) from None
        except OSError as error:
            raise CookieFileError(f"{self.path}: {error.strerror}.") from None


class Client:
    """The shop at `url`, as whoever the cookies belong to."""

    def __init__(self, url: str, cookies: CookieJar) -> None:
        self._url = url.rstrip("/")
        self._http = requests.Session()
        self._http.cookies = cookies  # type: ignore[assignment]  # any jar will do
        self._http.headers["User-Agent"] = f"shop-client on {platform.node()}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def login(self, name: str, password: str) -> None:
        """Sign in, in place of whoever was."""
        self._submit("/sign-in", name=name, password=password, stay="on")

    def update(self, ware: str, by: int) -> None:
        """Put one into the cart, or take it out."""
        self.name()
        self._submit("/cart", ware=ware, by=by)

    def name(self) -> str:
        """Return who is signed in."""
        name = self._me("name")
        if name is None:
            raise Refused("Nobody is signed in.")
        return str(name)

    def cart(self) -> dict[str, int]:
        """Return what is in the cart, and how many of each."""
        return dict(self._me("cart"))

    def logout(self) -> None:
        """End the session for everybody who has a copy of its cookie."""
        self._submit("/sign-out")
        self._http.cookies.clear()

    def _submit(self, path: str, **form: str | int) -> None:
        form["csrf_token"] = self._me("csrf_token")
        self._ask("POST", path, form)

    def _me(self, key: str) -> Any:
        try:
            return self._ask("GET", "/me").json()[key]
        except (ValueError, LookupError, TypeError):
            raise Unavailable(f"{self._url} is not the shop.") from None

    def _ask(
        self, method: str, path: str, form: Mapping[str, str | int] | None = None
    ) -> requests.Response:
        try:
            answer = self._http.request(
                method,
                self._url + path,
                data=form,
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            kind = type(error).__name__
            raise Unavailable(f"{self._url} cannot be reached: {kind}.") from None
        match answer.status_code:
            case HTTPStatus.OK | HTTPStatus.SEE_OTHER:
                return answer
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                raise Refused("That is not a name and its password.")
            case HTTPStatus.CONFLICT:
                raise Refused("You were signed out meanwhile: please sign in again.")
            case status:
                raise Unavailable(f"{self._url} answers {status} {answer.reason}.")


Connect = Callable[[], AbstractContextManager[Client]]


@click.group()
@click.option("--url", default="http://127.0.0.1:5000", envvar="SHOP_URL")
@click.option(
    "--cookies",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SHOP_COOKIES",
    help="The file that keeps you signed in; by default in XDG_STATE_HOME.",
)
@click.pass_context
def main(context: click.Context, url: str, cookies: Path | None) -> None:
    """The shop, from the command line."""
    file = CookieFile(cookies or _default_path())

    @contextmanager
    def connect() -> Iterator[Client]:
        with file.opened() as jar, closing(Client(url, jar)) as client:
            yield client

    context.obj = connect


@main.command()
@click.argument("name")
@click.pass_obj
def login(connect: Connect, name: str) -> None:
    """Sign in; the password comes from SHOP_PASSWORD, a prompt or standard input."""
    password = _password()
    with connect() as client:
        client.login(name, password)
        click.echo(f"Signed in as {client.name()}.")


@main.command()
@click.argument("ware", type=click.Choice(list(WARES)))
@click.option("--remove", is_flag=True, help="Take one out instead.")
@click.pass_obj
def update(connect: Connect, ware: str, remove: bool) -> None:
    """Put something into the cart and show it."""
    with connect() as client:
        client.update(ware, -1 if remove else 1)
        for ware, number in client.cart().items():
            click.echo(f"{number} x {ware}")


@main.command()
@click.pass_obj
def whoami(connect: Connect) -> None:
    """Say who is signed in."""
    with connect() as client:
        click.echo(client.name())


@main.command()
@click.pass_obj
def logout(connect: Connect) -> None:
    """Sign out: here, and whoever has a copy of the cookie file."""
    with connect() as client:
        client.logout()
        click.echo("Signed out.")


def _default_path() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "tea-and-cups" / "cookies"


def _password() -> str:
    if given := os.environ.get("SHOP_PASSWORD"):
        return given
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    main(prog_name="python -m example_app.client")
