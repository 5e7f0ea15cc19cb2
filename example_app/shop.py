"""The shop: what there is, and the cart."""

from collections import Counter

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue as Answer
from flask_wtf.csrf import generate_csrf

from flask_srvsession import session

from .auth import page

WARES = {"tea": "Tea", "cups": "Two cups", "biscuits": "Biscuits"}
bp = Blueprint("shop", __name__)


@bp.get("/")
def index() -> Answer:
    return page("shop.html", {}, wares=WARES)


@bp.post("/cart")
def change_cart() -> Answer:
    ware, by = request.form["ware"], request.form.get("by", 0, type=int)
    if ware not in WARES or by not in (1, -1):
        abort(400)
    # Again if another tab was faster, on its cart. Less than one is none.
    session.compute("cart", lambda cart: dict(Counter(cart) + Counter({ware: by})))
    return redirect(url_for(".index"), 303)


@bp.get("/me")
def me() -> Answer:
    """Say who asks, for programs: what a form has in it, and what a page shows."""
    name, cart = session.get("user_id"), session.get("cart", {})
    return {"name": name, "cart": cart, "csrf_token": generate_csrf()}
