"""The pages of one's own account: devices, password, and what a copied cookie gets."""

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_required
from ua_parser import parse
from werkzeug.test import TestResponse

from flask_srvsession import session

from . import accounts, auth

bp = Blueprint("account", __name__, url_prefix="/account")
bp.before_request(login_required(lambda: None))


@bp.app_template_filter()
def browser_name(agent: str) -> str:
    """Return "Firefox on Linux" for what a browser says of itself."""
    said = parse(agent)
    names = [part.family for part in (said.user_agent, said.os) if part]
    return " on ".join(names) or agent or "Unknown"


@bp.get("/")
def devices() -> ResponseReturnValue:
    found = auth.sessions.find(user_id=current_user.id)
    return render_template("devices.html", devices=found[::-1])


@bp.post("/devices/<session_id>/sign-out")
def sign_out_one(session_id: str) -> ResponseReturnValue:
    if not auth.sessions.revoke(session_id, user_id=current_user.id):
        abort(404, "That device is not signed in any more.")
    flash("The device is signed out.")
    return redirect(url_for(".devices"), 303)


@bp.post("/devices/sign-out-others")
def sign_out_others() -> ResponseReturnValue:
    ended = auth.sessions.revoke_all(user_id=current_user.id, keep_current=True)
    flash(f"Other devices signed out: {ended}.")
    return redirect(url_for(".devices"), 303)


@bp.post("/devices/sign-out-everywhere")
def sign_out_everywhere() -> ResponseReturnValue:
    auth.sessions.revoke_all(user_id=current_user.id)
    flash("You have signed out everywhere.")
    return redirect(url_for("shop.index"), 303)


@bp.route("/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    error = None
    if request.method == "POST":
        present, new = request.form["present"], request.form["new"]
        epoch = auth.sessions.epoch(user_id=current_user.id)  # first, as at sign-in
        verified = accounts.verify(current_user, present)
        if verified is None:
            error = "That is not your present password."
        elif len(new) < auth.SHORTEST:
            error = "The new password is too short."
        else:
            session.bind(user_id=current_user.id, epoch=epoch)  # or StaleLogin, a 409
            if not accounts.change_password(current_user, verified, new):
                abort(409, "Your password was changed meanwhile.")
            flash("Your password is changed.")
            return sign_out_others()  # after the new password is stored
    return render_template("password.html", error=error), 422 if error else 200


@bp.route("/replay", methods=["GET", "POST"])
def replay() -> ResponseReturnValue:
    """Show what a copy of this session's cookie gets, before and after signing out."""
    if request.method == "GET":
        return render_template("replay.html")
    before = _visit_with_copy()
    auth.sign_out()
    return render_template("replay.html", answers=[before, _visit_with_copy()])


def _visit_with_copy() -> TestResponse:
    """Open the list of devices as somebody would who has copied the cookie."""
    thief = current_app.test_client(use_cookies=False)
    copied = {"Cookie": request.headers["Cookie"]}
    return thief.get(url_for(".devices", _external=True), headers=copied)
