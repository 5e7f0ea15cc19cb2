"""The shop: what there is, and the cart."""

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import generate_csrf

from flask_srvsession import session

WARES = {"tea": "Tea", "cups": "Two cups", "biscuits": "Biscuits"}
MOST = 20

bp = Blueprint("shop", __name__)


@bp.get("/")
def index() -> ResponseReturnValue:
    cart = session.get("cart", {})
    return render_template("shop.html", wares=WARES, cart=cart, most=MOST)


@bp.post("/cart")
def change_cart() -> ResponseReturnValue:
    ware, by = request.form["ware"], request.form.get("by", type=int)
    if ware not in WARES or by not in (1, -1):
        abort(400)

    def changed(cart: dict[str, int] | None) -> dict[str, int]:
        cart = cart or {}
        return {**cart, ware: min(max(cart.get(ware, 0) + by, 0), MOST)}

    session.compute("cart", changed)  # again if another tab was faster, on its cart
    return redirect(url_for(".index"), 303)


@bp.get("/me")
def me() -> ResponseReturnValue:
    """Say who asks, for programs: what a form has in it, and what a page shows."""
    name = current_user.name if current_user.is_authenticated else None
    cart = {ware: n for ware, n in session.get("cart", {}).items() if n}
    return {"name": name, "cart": cart, "csrf_token": generate_csrf()}
