"""Sign in, register, sign out."""

import re

from flask import Blueprint, Flask, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from flask_srvsession import ServerSession, session

from . import accounts

NAME = re.compile(r"[A-Za-z0-9_.-]{3,30}")
SHORTEST = 8
PATH = re.compile(r"/(?!/)[!-\[\]-~]*")
"""A path on this site. Browsers take a backslash for a slash and skip control
characters, so ``/\\evil.example`` would be another site."""

bp = Blueprint("auth", __name__)
sessions = ServerSession()
login_manager = LoginManager()


def init_app(app: Flask) -> None:
    """Give the app sessions and users."""
    sessions.init_app(app)
    # Only the pages that show the user ask for it: the error page does not.
    login_manager.init_app(app, add_context_processor=False)
    login_manager.user_loader(accounts.by_id)
    login_manager.unauthorized_handler(_to_sign_in)
    app.add_template_global(current_user, "current_user")


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    errors = {}
    if request.method == "POST":
        account = accounts.by_name(request.form["name"])
        # Before the password is read: if it is changed and this user's sessions are
        # ended from here on, this login is refused, too.
        epoch = sessions.epoch(user_id=account.id)
        if accounts.verify(account, request.form["password"]):
            session.permanent = "stay" in request.form
            login_user(account)
            session.bind(user_id=account.id, epoch=epoch)  # or StaleLogin, a 409
            return redirect(_came_for(), 303)
        errors = {"password": "That is not a name and its password."}
    return page("sign_in.html", errors, demo=accounts.DEMO)


@bp.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    errors = {}
    if request.method == "POST":
        name, password = request.form["name"], request.form["password"]
        if not NAME.fullmatch(name):
            errors = {"name": "The name is not as described."}
        elif len(password) < SHORTEST:
            errors = {"password": "The password is too short."}
        elif (account := accounts.create(name, password)) == accounts.NOBODY:
            errors = {"name": "That name is taken."}
        else:
            login_user(account)
            return redirect(_came_for(), 303)
    return page("register.html", errors)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    logout_user()
    session.destroy()  # from here on every copy of the cookie is worthless
    flash("You have signed out.")
    return redirect(url_for("shop.index"), 303)


def page(
    template: str, errors: dict[str, str] | None = None, **shown: object
) -> ResponseReturnValue:
    """Show a page, and what is wrong in which field of its form: it gets the focus."""
    html = render_template(template, errors=errors or {}, **shown)
    return html, 422 if errors else 200


def _to_sign_in() -> ResponseReturnValue:
    came_for = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.sign_in", next=came_for), 303)


def _came_for() -> str:
    target = request.args.get("next", "")
    return target if PATH.fullmatch(target) else url_for("shop.index")
