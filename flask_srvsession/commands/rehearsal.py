"""One real round of all that sessions ask of a storage, under throw-away keys."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from ..backends.base import Backend, Cell, Head, Index, ReadsHeads, ReadsMany
from ..backends.causes import describe
from ..backends.health import Finding, an_error
from ..errors import ConfigurationError

LIFE = 60
"""Seconds after which nothing of a round is left, except an epoch."""
_OVERHEAD = 1024
"""Bytes that a record has beside the values of its session, roughly."""


class _Wrong(Exception):
    """The storage did it, but not as sessions need it."""


def rehearse(backend: Backend, prefix: str, payload: int) -> Iterator[Finding]:
    """Yield the operations that the storage refuses, or does wrongly.

    `prefix` is that of the app's keys, `payload` how many bytes a session may have.
    Raises one of the backend's errors if not even a read succeeds.
    """
    name = f"check-{secrets.token_hex(8)}"
    size = payload + _OVERHEAD
    if backend.max_bytes is not None:
        size = min(size, backend.max_bytes)
    backend.get(prefix + name)
    for key, steps in (
        ("storage: records", _records(backend, prefix + name)),
        ("SRVSESSION_MAX_PAYLOAD", _largest(backend, f"{prefix}{name}-large", size)),
        ("storage: indexes", _indexes(backend, f"{prefix}index:{name}")),
    ):
        yield from _first_failure(backend, key, steps)


def _first_failure(
    backend: Backend, key: str, steps: Iterator[str]
) -> Iterator[Finding]:
    """Yield which of the `steps`, each named before it is done, was not done."""
    failures: tuple[type[Exception], ...] = (*backend.errors, ConfigurationError)
    done: list[str] = []
    try:
        done.extend(steps)
    except _Wrong:
        yield an_error(
            key,
            f"The storage was to {done[-1]}, and did something else.",
            "Set the server up for it; memcached without -C, for example. A backend of"
            " your own has to pass flask_srvsession.testing.BackendContract.",
        )
    except failures as error:
        yield an_error(
            key,
            f"The storage refuses to {done[-1]} ({describe(error)}).",
            "Have the server do it, or sessions do not work: it may lack rights or"
            " room, or be no primary.",
        )


def _records(backend: Backend, key: str) -> Iterator[str]:
    yield "store a record"
    first = backend.add(key, b"one", LIFE)
    _expect(first is not None)
    yield "change a record"
    second = backend.swap(key, b"two", first, LIFE)
    _expect(second is not None and not isinstance(second, Cell))
    yield "read a record that was changed"
    _expect_data(backend.get(key), b"two")
    if isinstance(backend, ReadsMany):
        yield "read several records"
        _expect_data(backend.get_many([key]).get(key), b"two")
    yield "refuse a change of what somebody else has changed"
    _expect_data(backend.swap(key, b"three", first, LIFE), b"two")
    yield "delete a record"
    _expect(backend.delete(key, second))
    yield "read that there is no record any more"
    _expect(backend.get(key) is None)


def _largest(backend: Backend, key: str, size: int) -> Iterator[str]:
    data = secrets.token_bytes(size)
    yield f"store a record of {size} bytes"
    _expect(backend.add(key, data, LIFE) is not None)
    yield f"read a record of {size} bytes"
    _expect_data(backend.get(key), data)
    yield "delete a record without reading it"
    _expect(backend.delete(key))


def _indexes(backend: Backend, name: str) -> Iterator[str]:
    index: Index = backend.index
    yield "begin an epoch"
    epoch = index.epoch(name)
    yield "list a session"
    _expect(index.add(name, "one", epoch, LIFE))
    yield "read a list of sessions"
    _expect(index.members(name, 2) == ["one"])
    yield "count a list of sessions"
    _expect(index.count(name) == 1)
    yield "end an epoch"
    present, former = index.fence(name, ["one"])
    _expect(present != epoch and former == Head(epoch))
    yield "read an epoch"
    head = index.head(name)
    _expect(head is not None and head == (present, ("one",)))
    if isinstance(backend, ReadsHeads):
        yield "read epochs together with a record"
        _, heads = backend.get_with_heads(name, [name])
        _expect(heads.get(name) == head)
    yield "refuse a login of an epoch that has ended"
    _expect(not index.add(name, "two", epoch, LIFE))
    yield "unlist a session"
    index.remove(name, ["one"])
    _expect(index.members(name, 2) == [])


def _expect(done: bool) -> None:
    if not done:
        raise _Wrong


def _expect_data(found: object, data: bytes) -> None:
    _expect(isinstance(found, Cell) and found.data == data)
