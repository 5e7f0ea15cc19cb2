"""The pages of one's own account: devices, password, and what a copied cookie gets."""

from flask import Blueprint, abort, current_app, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue as Answer
from ua_parser import parse

from flask_srvsession import session

from . import accounts, auth

bp = Blueprint("account", __name__, url_prefix="/account")
bp.add_app_template_filter(parse, "parsed")  # the browser and its system


@bp.before_request
def only_for_users() -> None:
    if "user_id" not in session:
        session["next"] = request.path  # where to go after signing in
        abort(redirect(url_for("auth.sign_in"), 303))


@bp.get("/")
def devices(errors: dict[str, str] | None = None) -> Answer:
    found = auth.sessions.find(user_id=session["user_id"])
    return auth.page("devices.html", errors or {}, devices=found[::-1])


@bp.post("/")
def sign_out_device() -> Answer:
    """End the session of one device, of all others, or of all.

    Only for those who know the password (ASVS 7.5.2): somebody at an unlocked computer
    cannot lock its owner out.
    """
    user, device = session["user_id"], request.form["device"]
    if not accounts.verify(user, request.form["password"]):
        return devices({"password": "That is not your password."})
    if device in ("all", "others"):
        ended = auth.sessions.revoke_all(user_id=user, keep_current=device == "others")
    else:
        ended = auth.sessions.revoke(device, user_id=user)  # True, if it is this user's
    flash(f"Devices signed out: {ended:d}.")
    return redirect(url_for(".devices"), 303)


@bp.route("/password", methods=["GET", "POST"])
def password() -> Answer:
    if request.method == "GET":
        return auth.page("password.html", {})
    user, new = session["user_id"], request.form["new"]
    epoch = auth.sessions.epoch(user_id=user)  # first, as at sign-in
    if not accounts.verify(user, request.form["present"]):
        return auth.page("password.html", {"present": "That is not your password."})
    if len(new) < 8:
        return auth.page("password.html", {"new": "The new password is too short."})
    session.bind(user_id=user, epoch=epoch)  # or StaleLogin, a 409
    accounts.change_password(user, new)
    auth.sessions.revoke_all(user_id=user, keep_current=True)  # after it is stored
    flash("Your password is changed, and all other devices are signed out.")
    return redirect(url_for(".devices"), 303)


@bp.post("/replay")
def replay() -> Answer:
    """Show what a copy of this session's cookie gets, before and after signing out."""
    thief = current_app.test_client(use_cookies=False)
    copied = {"Cookie": request.headers["Cookie"]}
    before = thief.get(url_for(".devices"), headers=copied)
    auth.sign_out()
    after = thief.get(url_for(".devices"), headers=copied)
    return auth.page("replay.html", {}, answers=[before, after])
