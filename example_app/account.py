"""The pages of one's own account: devices, password, and what a copied cookie gets."""

from flask import Blueprint, abort, current_app, flash, redirect, request, url_for
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


@bp.route("/", methods=["GET", "POST"])
def devices() -> ResponseReturnValue:
    """List the devices; sign some out for those who know the password (ASVS 7.5.2)."""
    errors = {}
    if request.method == "POST":
        if accounts.verify(current_user, request.form["password"]):
            return _sign_out(request.form["device"])
        errors = {"password": "That is not your password."}
    found = auth.sessions.find(user_id=current_user.id)
    return auth.page("devices.html", errors, devices=found[::-1])


def _sign_out(device: str) -> ResponseReturnValue:
    """End the session of one device, of all others, or of all."""
    user = current_user.id
    if device == "all":
        auth.sessions.revoke_all(user_id=user)
        flash("You have signed out everywhere.")
        return redirect(url_for("shop.index"), 303)
    if device == "others":
        ended = auth.sessions.revoke_all(user_id=user, keep_current=True)
        flash(f"Other devices signed out: {ended}.")
    elif not auth.sessions.revoke(device, user_id=user):
        abort(404, "That device is not signed in any more.")
    else:
        flash("The device is signed out.")
    return redirect(url_for(".devices"), 303)


@bp.route("/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    errors = {}
    if request.method == "POST":
        present, new = request.form["present"], request.form["new"]
        epoch = auth.sessions.epoch(user_id=current_user.id)  # first, as at sign-in
        verified = accounts.verify(current_user, present)
        if verified is None:
            errors = {"present": "That is not your present password."}
        elif len(new) < auth.SHORTEST:
            errors = {"new": "The new password is too short."}
        else:
            session.bind(user_id=current_user.id, epoch=epoch)  # or StaleLogin, a 409
            if not accounts.change_password(current_user, verified, new):
                abort(409, "Your password was changed meanwhile.")
            flash("Your password is changed.")
            return _sign_out("others")  # after the new password is stored
    return auth.page("password.html", errors)


@bp.route("/replay", methods=["GET", "POST"])
def replay() -> ResponseReturnValue:
    """Show what a copy of this session's cookie gets, before and after signing out."""
    answers = []
    if request.method == "POST":
        answers = [_visit_with_copy()]
        auth.sign_out()
        answers += [_visit_with_copy()]
    return auth.page("replay.html", answers=answers)


def _visit_with_copy() -> TestResponse:
    """Open the list of devices as somebody would who has copied the cookie."""
    thief = current_app.test_client(use_cookies=False)
    copied = {"Cookie": request.headers["Cookie"]}
    return thief.get(url_for(".devices", _external=True), headers=copied)
