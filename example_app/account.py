"""The pages of one's own account."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from . import auth

bp = Blueprint("account", __name__, url_prefix="/account")
bp.before_request(auth.signed_in_only)


@bp.get("/")
def index() -> ResponseReturnValue:
    return render_template("account.html")
