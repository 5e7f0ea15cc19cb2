"""Sign in, register, sign out."""

import re

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flask_srvsession import ServerSession, SessionRefused, session

from . import accounts

NAME = re.compile(r"[A-Za-z0-9_.-]{3,30}")
PATH = re.compile(r"/(?!/)[!-\[\]-~]*")
"""A path on this site. Browsers take a backslash for a slash and skip control
characters, so ``/\\evil.example`` would be another site."""

bp = Blueprint("auth", __name__)
sessions = ServerSession()


@bp.app_template_global()
def user_name() -> str:
    """Return the name of who is signed in, empty for nobody."""
    return accounts.name_of(session.get("user_id", accounts.NOBODY))


def signed_in_only() -> ResponseReturnValue | None:
    """Send away who is not signed in: for a blueprint's ``before_request``."""
    if user_name():
        return None
    came_for = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.sign_in", next=came_for), 303)


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    error = None
    if request.method == "POST":
        user_id = accounts.id_of(request.form["name"])
        # Before the password is read: if it is changed and this user's sessions are
        # ended from here on, this login is refused, too.
        epoch = sessions.epoch(user_id=user_id)
        error = "That is not a name and its password."
        if accounts.has_password(user_id, request.form["password"]):
            try:
                session.bind(user_id=user_id, epoch=epoch)
                return redirect(_came_for(), 303)
            except SessionRefused as refusal:  # StaleLogin or TooManySessions
                error = refusal.description
    page = render_template("sign_in.html", demo=accounts.DEMO, error=error)
    return page, 422 if error else 200


@bp.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    error = None
    if request.method == "POST":
        name, password = request.form["name"], request.form["password"]
        if not NAME.fullmatch(name) or len(password) < 8:
            error = "The name or the password is not as described."
        elif user_id := accounts.register(name, password):
            session.bind(user_id=user_id)
            return redirect(_came_for(), 303)
        else:
            error = "That name is taken."
    return render_template("register.html", error=error), 422 if error else 200


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    session.destroy()
    flash("You have signed out.")
    return redirect(url_for("shop.index"), 303)


def _came_for() -> str:
    target = request.args.get("next", "")
    return target if PATH.fullmatch(target) else url_for("shop.index")
