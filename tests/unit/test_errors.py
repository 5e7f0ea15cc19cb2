"""What the errors are to Flask, and what they say."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from flask_srvsession import errors
from flask_srvsession.errors import (
    BackendError,
    ConfigurationError,
    SessionError,
    SessionRefused,
    SessionTooLarge,
    StaleCredential,
    StaleLogin,
    TooManySessions,
)

ALL = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and each.__module__ == errors.__name__
]
REFUSALS = [StaleLogin, StaleCredential, TooManySessions]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_has_one_root_and_says_what_it_means(
    error: type[Exception],
) -> None:
    assert issubclass(error, SessionError)
    assert error.__doc__


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_a_409(refusal: type[SessionRefused]) -> None:
    assert issubclass(refusal, SessionRefused)
    assert refusal().code == 409
    assert refusal.description != SessionRefused.description


@pytest.mark.parametrize("error", [ConfigurationError, SessionTooLarge])
def test_a_wrong_value_is_a_value_error(error: type[Exception]) -> None:
    assert issubclass(error, ValueError)
    assert not issubclass(error, HTTPException)


@pytest.mark.parametrize("operation", ["load", "save", "destroy"])
def test_an_outage_is_a_503(operation: str) -> None:
    error = BackendError(operation)

    assert error.code == 503
    assert error.operation == operation
    assert (error.ambiguous, error.quick) == (False, False)


@pytest.mark.parametrize(
    ("ambiguous", "known"),
    [(True, "it may have been done"), (False, "it was not done")],
)
def test_an_outage_says_whether_it_was_done(ambiguous: bool, known: str) -> None:
    text = str(BackendError("destroy", ambiguous=ambiguous))

    assert "'destroy'" in text
    assert known in text


def test_what_is_too_large_says_by_how_much_and_what_to_do() -> None:
    error = SessionTooLarge(300_000, 262_144)

    assert (error.size, error.limit) == (300_000, 262_144)
    assert "300000" in str(error)
    assert "262144" in str(error)
    assert "SRVSESSION_MAX_PAYLOAD" in str(error)


@pytest.mark.parametrize(
    ("error", "status"),
    [(BackendError("load"), 503), *((refusal(), 409) for refusal in REFUSALS)],
    ids=lambda each: type(each).__name__,
)
def test_a_view_that_does_not_catch_one_answers_with_it(
    error: Exception, status: int
) -> None:
    app = Flask(__name__)

    @app.get("/")
    def view() -> str:
        raise error

    assert app.test_client().get("/").status_code == status
