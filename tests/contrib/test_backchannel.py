"""A provider's logout token ends the sessions that it names, no other token does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from flask_wtf.csrf import CSRFProtect
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt

from flask_srvsession import BackendError, ConfigurationError, ServerSession, session
from flask_srvsession.backends import Backend
from flask_srvsession.contrib import backchannel
from flask_srvsession.contrib.backchannel import EVENT, RETRY_AFTER, FetchedKeys, NotNow
from flask_srvsession.testing import FakeClock
from tests.conftest import MakeApp
from tests.integration.apps import LosingBackend, each_write
from tests.integration.marks import ON_MEMORY
from tests.web import served

from .conftest import INDEXES, Person, Shop, join
from .provider import CLIENT_ID, Provider, key, running


def segment(value: dict[str, Any]) -> str:
    text = json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def unsigned(provider: Provider, alg: str, secret: bytes | None = None) -> str:
    """Return a good token's claims with a header and a signature of somebody else's."""
    claims = provider.logout_token(sub="ann").split(".")[1]
    header = {"typ": "logout+jwt", "alg": alg, "kid": provider.key.kid}
    signed = f"{segment(header)}.{claims}"
    if secret is None:
        return f"{signed}."
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def of_another_key(provider: Provider, kid: str) -> str:
    claims = json.loads(base64.urlsafe_b64decode(good(provider).split(".")[1] + "=="))
    header = {"typ": "logout+jwt", "alg": "RS256", "kid": kid}
    return jwt.encode(header, claims, key("of somebody else"))


def good(provider: Provider, **claims: Any) -> str:
    return provider.logout_token(**{"sub": "ann", **claims})


def typed(provider: Provider, typ: str | None, **header: Any) -> str:
    return provider.logout_token(sub="ann", header={"typ": typ, **header})


REFUSED: dict[str, Callable[[Provider], str]] = {
    "another audience": lambda p: good(p, aud="another app"),
    "no audience": lambda p: good(p, aud=None),
    "another issuer": lambda p: good(p, iss="https://id.example.org"),
    "no issuer": lambda p: good(p, iss=None),
    "expired": lambda p: good(p, exp=int(p.clock()) - 61),
    "issued long ago": lambda p: good(p, iat=int(p.clock()) - 181, exp=None),
    "issued in the future": lambda p: good(p, iat=int(p.clock()) + 90),
    "issued at no time": lambda p: good(p, iat=None),
    "issued at a text": lambda p: good(p, iat="now"),
    "no jti": lambda p: good(p, jti=None),
    "an empty jti": lambda p: good(p, jti=""),
    "a jti that is no text": lambda p: good(p, jti=7),
    "a nonce": lambda p: good(p, nonce="n"),
    "a nonce of an ID token": lambda p: good(p, nonce="n", events=None),
    "no events": lambda p: good(p, events=None),
    "events as a list": lambda p: good(p, events=[EVENT]),
    "another event": lambda p: good(p, events={"urn:other": {}}),
    "an event that is no object": lambda p: good(p, events={EVENT: True}),
    "neither sid nor sub": lambda p: p.logout_token(),
    "an empty sub": lambda p: good(p, sub=""),
    "a sub that is no text": lambda p: good(p, sub=["ann"]),
    "a sid that is no text, and a sub": lambda p: good(p, sid=7),
    "a sid of two lines": lambda p: good(p, sid="a\nb"),
    "an ID token": lambda p: p.id_tokens[-1],
    "the type of an access token": lambda p: typed(p, "at+jwt"),
    "the type of any JWT": lambda p: typed(p, "JWT"),
    "no type": lambda p: typed(p, None),
    "an extension that is critical": lambda p: typed(
        p, "logout+jwt", crit=["b64"], b64=False
    ),
    "the name of a known key": lambda p: of_another_key(p, "first"),
    "no signature": lambda p: unsigned(p, "none"),
    "no signature, in another spelling": lambda p: unsigned(p, "None"),
    "the public key as a secret": lambda p: unsigned(
        p, "HS256", key("first").as_pem(private=False)
    ),
    "an algorithm that is not allowed": lambda p: unsigned(p, "RS512", b"any"),
    "a cut signature": lambda p: good(p)[:-8],
    "five parts": lambda p: good(p) + ".a.b",
    "nothing": lambda p: "",
    "no JWT": lambda p: "é.{}.💥",
    "a list in place of a header": lambda p: "W10.W10.W10",
}


def test_who_signs_out_at_the_provider_is_out_in_that_browser_and_in_no_other(
    shop: Shop,
) -> None:
    desk, phone = Person(shop).sign_in("ann"), Person(shop).sign_in("ann")
    other = Person(shop).sign_in("bob")

    desk.sign_out_at_the_provider()

    [answer] = shop.provider.answers
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert [desk.name, phone.name, other.name] == ["nobody", "ann", "bob"]


def test_the_audit_trail_names_the_provider(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_srvsession.audit")
    desk = Person(shop).sign_in("ann")

    desk.sign_out_at_the_provider()

    [line] = [json.loads(r.getMessage()) for r in caplog.records if "audit" in r.name]
    assert line["actor"] == shop.provider.issuer
    assert line["reason"] == "back-channel logout"
    assert "user_id" not in line


def test_a_sub_alone_ends_all_sessions_of_that_user(shop: Shop) -> None:
    desk, phone = Person(shop).sign_in("ann"), Person(shop).sign_in("ann")
    other = Person(shop).sign_in("bob")

    answer = shop.send(shop.provider.logout_token(sub="ann"))

    assert answer.status_code == 200
    assert [desk.name, phone.name, other.name] == ["nobody", "nobody", "bob"]


def test_a_sid_alone_is_enough(shop: Shop) -> None:
    desk, phone = Person(shop).sign_in("ann"), Person(shop).sign_in("ann")

    answer = shop.send(shop.provider.logout_token(sid=desk.claims["sid"]))

    assert answer.status_code == 200
    assert [desk.name, phone.name] == ["nobody", "ann"]


@ON_MEMORY
@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["another app", CLIENT_ID]},
        {"exp": None},
        {"trace_id": "a claim that nobody knows"},
        {"header": {"typ": "application/LOGOUT+JWT"}},
        {"header": {"kid": None}},
    ],
    ids=str,
)
def test_what_the_provider_may_do_otherwise_is_accepted(
    shop: Shop, changed: dict[str, Any]
) -> None:
    ann = Person(shop).sign_in("ann")

    assert shop.send(good(shop.provider, **changed)).status_code == 200

    assert ann.name == "nobody"


@ON_MEMORY
def test_who_is_logged_out_already_is_no_error(shop: Shop) -> None:
    assert shop.send(good(shop.provider, sid="of nobody")).status_code == 200


def test_a_token_that_is_not_as_it_must_be_is_refused_and_ends_nothing(
    shop: Shop,
) -> None:
    ann = Person(shop).sign_in("ann")
    assert shop.send(good(shop.provider, sub="bob")).status_code == 200

    for what, forge in REFUSED.items():
        answer = shop.send(forge(shop.provider))

        assert answer.status_code == 400, what
        assert answer.headers["Cache-Control"] == "no-store", what
        assert answer.json()["error"] == "invalid_request", what
        assert ann.name == "ann", what


@ON_MEMORY
def test_a_refusal_says_why_and_repeats_nothing_of_the_token(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    token = good(shop.provider, aud="another app")

    answer = shop.send(token)

    why = "invalid claim (aud)"
    assert answer.json()["error_description"] == f"The token is refused: {why}."
    assert why in caplog.text
    for secret in (*token.split("."), "another app"):
        assert secret not in answer.text + caplog.text


def test_a_used_token_is_refused_also_by_another_process(
    shop: Shop, make_app: MakeApp
) -> None:
    Person(shop).sign_in("ann")
    token = good(shop.provider)
    assert shop.send(token).status_code == 200
    later = Person(shop).sign_in("ann")
    other_process = make_app(
        SRVSESSION_INDEXES=INDEXES,
        SRVSESSION_KEY_PREFIX=shop.app.config["SRVSESSION_KEY_PREFIX"],
    )
    join(other_process, shop.provider)

    with served(other_process) as url:
        answers = [
            shop.send(token),
            Shop(other_process, url, shop.provider).send(token),
        ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "used before" in answers[1].json()["error_description"]
    assert later.name == "ann"


def test_of_the_same_token_many_times_at_once_one_is_accepted(shop: Shop) -> None:
    ann = Person(shop).sign_in("ann")
    token = good(shop.provider)

    with ThreadPoolExecutor(8) as executor:
        answers = list(executor.map(shop.send, [token] * 8))

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] == 1
    assert statuses.keys() <= {200, 400, 503}
    assert ann.name == "nobody"


@ON_MEMORY
def test_the_jti_is_that_of_its_issuer(
    make_app: MakeApp, provider: Provider, clock: FakeClock
) -> None:
    app = make_app(SRVSESSION_INDEXES=INDEXES)
    with running(clock) as second, served(app) as url:
        join(app, provider)
        join(app, second, at="/second")
        shop = Shop(app, url, provider)

        answers = [shop.send(good(provider, jti="1"))]
        answers.append(shop.send(good(second, jti="1"), at="/second"))

    assert [answer.status_code for answer in answers] == [200, 200]


def test_each_of_two_providers_ends_its_own_sessions_only(
    make_app: MakeApp, provider: Provider, clock: FakeClock
) -> None:
    app = make_app(SRVSESSION_INDEXES=INDEXES)
    with running(clock) as second, served(app) as url:
        join(app, provider)
        join(app, second, at="/second")
        shop = Shop(app, url, provider)
        one, other = Person(shop), Person(shop)
        one.sign_in("ann")
        other.sign_in("ann", at="/second", provider=second)

        assert shop.send(good(second)).status_code == 400
        assert [one.name, other.name] == ["ann", "ann"]
        assert shop.send(good(second), at="/second").status_code == 200
        assert [one.name, other.name] == ["ann", "nobody"]
        assert shop.send(good(provider, sub="ann")).status_code == 200
        assert [one.name, other.name] == ["nobody", "nobody"]


@ON_MEMORY
@pytest.mark.parametrize("only_answer", [False, True])
def test_after_an_outage_at_any_moment_the_same_token_ends_what_it_has_to_end(
    make_app: MakeApp,
    provider: Provider,
    backend: Backend,
    clock: FakeClock,
    only_answer: bool,
) -> None:
    losing = LosingBackend(backend)
    app = make_app(losing, SRVSESSION_INDEXES=INDEXES)
    join(app, provider)
    with served(app) as url:
        shop = Shop(app, url, provider)
        for nth in each_write(losing):
            ann = Person(shop).sign_in("ann")
            token = good(provider)
            losing.lose(at_write=nth, only_answer=only_answer)
            during = shop.send(token)
            losing.recover()
            if not losing.has_failed:
                break
            assert during.status_code in (200, 503)
            if during.status_code == 503:
                assert during.json()["error"] == "temporarily_unavailable"
                assert during.headers["Cache-Control"] == "no-store"
                ended = ann.name == "nobody"
                clock.advance(int(during.headers["Retry-After"]))
                assert shop.send(token).status_code == 200 or ended
            assert ann.name == "nobody"
            assert shop.send(token).status_code == 400
    assert nth > 3


def test_a_token_whose_logout_failed_is_good_at_once_when_the_storage_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Person(shop).sign_in("ann")
    token = good(shop.provider)

    with monkeypatch.context() as patch:
        patch.setattr(ServerSession, "revoke_all", fail)
        during = shop.send(token)
    afterwards = shop.send(token)

    assert (during.status_code, afterwards.status_code) == (503, 200)
    assert ann.name == "nobody"


def fail(*_: Any, **__: Any) -> None:
    raise BackendError("revoke", ambiguous=True)


@ON_MEMORY
def test_a_process_that_dies_in_the_middle_leaves_the_token_good_after_a_while(
    shop: Shop, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Person(shop).sign_in("ann")
    token = good(shop.provider)

    def die(*_: Any, **__: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(ServerSession, "revoke_all", die)
        with pytest.raises(SystemExit):
            shop.app.test_client().post(
                "/backchannel-logout", data={"logout_token": token}
            )
    meanwhile = shop.send(token)
    clock.advance(RETRY_AFTER)
    afterwards = shop.send(token)

    assert (meanwhile.status_code, afterwards.status_code) == (503, 200)
    assert ann.name == "nobody"


@ON_MEMORY
def test_a_token_is_remembered_for_as_long_as_it_is_good(
    shop: Shop, clock: FakeClock
) -> None:
    token = good(shop.provider, iat=int(clock()) + 60, exp=int(clock()) + 9999)
    assert shop.send(token).status_code == 200

    for _ in range(10):
        clock.advance(30)
        assert shop.send(token).status_code == 400


@ON_MEMORY
def test_an_unknown_key_is_asked_for_and_if_that_is_too_early_the_answer_is_503(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Person(shop).sign_in("ann")
    assert shop.send(good(shop.provider, sub="bob")).status_code == 200
    before = shop.provider.fetches
    shop.provider.key = key("second")
    token = good(shop.provider)

    early = [shop.send(token).status_code for _ in range(3)]
    assert (early, shop.provider.fetches) == ([503, 503, 503], before)
    assert ann.name == "ann"

    monkeypatch.setattr(backchannel, "ASK_AGAIN", 0)
    forged = shop.send(of_another_key(shop.provider, "unknown"))
    assert (forged.status_code, shop.provider.fetches) == (400, before + 1)
    assert ann.name == "ann"

    assert shop.send(token).status_code == 200
    assert ann.name == "nobody"


class Fetched:
    """A provider's keys, behind a clock and a line that may be cut."""

    def __init__(self) -> None:
        self.clock, self.times, self.is_cut = FakeClock(), 0, False
        self.names = ["first"]
        self.keys = FetchedKeys(self.fetch, self.clock)

    def fetch(self) -> dict[str, Any]:
        self.times += 1
        if self.is_cut:
            raise ConnectionError("http://user:secret@proxy cannot be reached")
        return {"keys": [key(name).as_dict(private=False) for name in self.names]}

    def find(self, kid: str) -> bool:
        token: Any = SimpleNamespace(headers=lambda: {"kid": kid})
        return any(key.kid == kid for key in self.keys.of(token).keys)


class TestFetchedKeys:
    def test_are_fetched_once_while_the_wanted_key_is_known(self) -> None:
        fetched = Fetched()

        assert all(fetched.find("first") for _ in range(3))

        assert fetched.times == 1

    def test_are_fetched_again_for_an_unknown_key_a_minute_later(self) -> None:
        fetched = Fetched()
        fetched.find("first")
        fetched.names = ["second"]

        with pytest.raises(NotNow):
            fetched.find("second")
        fetched.clock.advance(60)

        assert fetched.find("second")
        assert fetched.times == 2

    def test_are_not_believed_for_more_than_an_hour(self) -> None:
        fetched = Fetched()
        fetched.find("first")
        fetched.names = ["second"]

        fetched.clock.advance(3599)
        assert fetched.find("first")
        fetched.clock.advance(1)
        assert not fetched.find("first")

    def test_are_asked_for_once_a_minute_while_the_line_is_cut(self) -> None:
        fetched = Fetched()
        fetched.is_cut = True

        for _ in range(3):
            with pytest.raises(NotNow) as failure:
                fetched.find("first")
            assert "secret" not in str(failure.value)

        assert fetched.times == 1
        fetched.is_cut = False
        fetched.clock.advance(60)
        assert fetched.find("first")

    def test_are_fetched_once_for_many_requests_at_the_same_time(self) -> None:
        fetched = Fetched()

        with ThreadPoolExecutor(8) as executor:
            assert all(executor.map(fetched.find, ["first"] * 8))

        assert fetched.times == 1

    def test_keep_what_is_known_in_use_while_an_unknown_key_is_asked_for(self) -> None:
        fetched = Fetched()
        fetched.find("first")
        fetched.clock.advance(60)

        with fetched.keys._lock:  # somebody is asking
            assert fetched.find("first")


@ON_MEMORY
def test_keys_that_cannot_be_fetched_are_an_outage(shop: Shop) -> None:
    ann = Person(shop).sign_in("ann")
    fetched = Fetched()
    fetched.is_cut = True
    cut = trusted(issuer=shop.provider.issuer, jwks=fetched.fetch)
    shop.app.view_functions["logout"] = backchannel.view(ServerSession(), cut)

    answer = shop.send(good(shop.provider))

    assert answer.status_code == 503
    assert answer.json()["error"] == "temporarily_unavailable"
    assert ann.name == "ann"


@ON_MEMORY
def test_with_flask_wtf_the_view_is_exempt_by_one_line(
    make_app: MakeApp, provider: Provider, clock: FakeClock
) -> None:
    app = make_app(SRVSESSION_INDEXES=INDEXES)
    csrf = CSRFProtect(app)
    trusted = backchannel.Provider(
        issuer=provider.issuer, client_id=CLIENT_ID, jwks=provider.jwks()
    )
    logout = backchannel.view(ServerSession(), trusted)
    app.add_url_rule("/backchannel-logout", view_func=logout, methods=["POST"])
    data = {"logout_token": good(provider)}

    unprepared = app.test_client().post("/backchannel-logout", data=data)
    csrf.exempt(logout)
    answer = app.test_client().post("/backchannel-logout", data=data)

    assert (unprepared.status_code, answer.status_code) == (400, 200)
    assert "CSRF" in unprepared.text


@ON_MEMORY
class TestBind:
    def bound(self, make_app: MakeApp, *logins: dict[str, Any]) -> dict[str, Any]:
        """Return what the session holds after a request with these logins."""
        app = make_app(SRVSESSION_INDEXES=INDEXES)
        provider = trusted()
        with app.test_request_context():
            for claims in logins:
                provider.bind({"iss": "https://id.example.org", **claims})
            return dict(session)

    def test_keeps_sid_and_sub_with_their_issuer(self, make_app: MakeApp) -> None:
        assert self.bound(make_app, {"sid": "s", "sub": "ann"}) == {
            "oidc_sid": "https://id.example.org s",
            "oidc_sub": "https://id.example.org ann",
        }

    def test_forgets_the_sid_of_a_login_before(self, make_app: MakeApp) -> None:
        logins = {"sid": "s", "sub": "ann"}, {"sub": "ann"}
        assert "oidc_sid" not in self.bound(make_app, *logins)

    def test_refuses_an_id_token_of_another_issuer(self, make_app: MakeApp) -> None:
        with pytest.raises(ValueError, match=r"evil\.example"):
            self.bound(make_app, {"iss": "https://evil.example", "sub": "ann"})

    def test_says_which_index_is_missing(self, make_app: MakeApp) -> None:
        app = make_app()
        claims = {"iss": "https://id.example.org", "sub": "ann"}
        with (
            app.test_request_context(),
            pytest.raises(ConfigurationError, match="SRVSESSION_INDEXES has no 'sid'"),
        ):
            trusted().bind(claims)


def trusted(**changed: Any) -> backchannel.Provider:
    options = {
        "issuer": "https://id.example.org",
        "client_id": CLIENT_ID,
        "jwks": {"keys": [key("first").as_dict(private=False)]},
        **changed,
    }
    return backchannel.Provider(**options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("issuer", ""),
        ("issuer", "https://id.example.org/ a"),
        ("algorithms", ()),
        ("algorithms", ("HS256",)),
        ("algorithms", ("RS256", "none")),
        ("algorithms", "RS256"),
        ("jwks", {}),
        ("jwks", {"keys": []}),
        ("jwks", {"keys": [{"kty": "of tomorrow"}]}),
    ],
)
def test_a_wrong_option_names_itself(option: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=option):
        trusted(**{option: value})


def test_one_odd_key_of_the_provider_does_not_spoil_the_others() -> None:
    odd = [{"kty": "EC", "crv": "P-0", "x": "a", "y": "b"}, {"kid": 7}, "no key"]

    provider = trusted(jwks={"keys": [*odd, key("first").as_dict(private=False)]})

    assert provider.check(signed(), now=1000).whose == {
        "sub": "https://id.example.org ann"
    }


GOOD = {
    "iss": "https://id.example.org",
    "aud": CLIENT_ID,
    "iat": 1000,
    "jti": "1",
    "sub": "ann",
    "events": {EVENT: {}},
}
HEADER = {"typ": "logout+jwt", "alg": "RS256", "kid": "first"}


def signed() -> str:
    return jwt.encode(HEADER, GOOD, key("first"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=6,
)
CLAIMS = st.sampled_from(
    ["iss", "aud", "iat", "exp", "nbf", "jti", "sub", "sid", "events", "nonce", "typ"]
)
TRUSTED = trusted()


@given(st.dictionaries(CLAIMS, JSON))
def test_any_claims_that_the_provider_signs_are_accepted_or_refused(
    changed: dict[str, Any],
) -> None:
    claims = {**GOOD, **changed}
    body = json.dumps(claims).encode()
    token = jws.serialize_compact(HEADER, body, key("first"))

    with suppress(backchannel.LogoutRefused):
        accepted = TRUSTED.check(token, now=1000)
        assert set(accepted.whose) <= {"sid", "sub"}
        assert "nonce" not in changed


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64"]), JSON))
def test_any_header_is_accepted_or_refused(changed: dict[str, Any]) -> None:
    _, body, signature = signed().split(".")
    token = f"{segment({**HEADER, **changed})}.{body}.{signature}"

    with suppress(backchannel.LogoutRefused):
        TRUSTED.check(token, now=1000)
        assert changed.items() <= HEADER.items()


@given(
    st.text()
    | st.binary().map(lambda raw: raw.hex())
    | st.lists(st.text()).map(".".join)
)
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(backchannel.LogoutRefused):
        TRUSTED.check(text, now=1000)
