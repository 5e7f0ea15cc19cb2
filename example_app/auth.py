"""Sign in, sign out."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue as Answer

from flask_srvsession import ServerSession, session

from . import accounts

bp = Blueprint("auth", __name__)
sessions = ServerSession()


@bp.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> Answer:
    if request.method == "GET":
        return page("sign_in.html", {})
    name = request.form["name"].lower()
    # Before the password is read: if it is changed and this user's sessions are ended
    # from here on, this login is refused, too.
    epoch = sessions.epoch(user_id=name)
    if not accounts.verify(name, request.form["password"]):
        return page(
            "sign_in.html", {"password": "That is not a name and its password."}
        )
    session.permanent = "stay" in request.form
    session.bind(user_id=name, epoch=epoch)  # or StaleLogin, a 409
    return redirect(session.pop("next", url_for("shop.index")), 303)


@bp.post("/sign-out")
def sign_out() -> Answer:
    session.destroy()  # from here on every copy of the cookie is worthless
    flash("You have signed out.")
    return redirect(url_for("shop.index"), 303)


def page(template: str, errors: dict[str, str], **shown: object) -> Answer:
    """Show a page, and what is wrong in which field of its form: it gets the focus."""
    return render_template(template, errors=errors, **shown), 422 if errors else 200
