"""The shop: what there is, and the cart."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from flask_srvsession import session

WARES = {"tea": "Tea", "cups": "Two cups", "biscuits": "Biscuits"}
MOST = 20

bp = Blueprint("shop", __name__)


@bp.get("/")
def index() -> ResponseReturnValue:
    visits = session.compute("visits", lambda count: (count or 0) + 1)
    items = session.get("cart", {"items": []})["items"]
    return render_template("shop.html", visits=visits, wares=WARES, items=items)


@bp.post("/cart")
def add() -> ResponseReturnValue:
    if request.form["ware"] not in WARES:
        abort(400)
    session.setdefault("cart", {"items": []})
    if len(session["cart"]["items"]) < MOST:
        session["cart"]["items"].append(request.form["ware"])
    else:
        flash("Your cart is full.")
    return redirect(url_for("shop.index"), 303)
