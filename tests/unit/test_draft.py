"""A draft against a plain dict, under any sequence of operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_srvsession.draft import NO_CHANGES, Draft
from flask_srvsession.serializers import MsgpackSerializer, Undecodable

SERIALIZER = MsgpackSerializer()
Values = dict[str, Any]
Operation = Callable[[Any], None]

keys = st.sampled_from("abcd")
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=1), inner, max_size=2)
    ),
    max_leaves=4,
)
bases = st.dictionaries(keys, values)


def stored(content: Values) -> dict[str, bytes]:
    return {key: SERIALIZER.dumps(value) for key, value in content.items()}


def restored(content: dict[str, bytes]) -> Values:
    return {key: SERIALIZER.loads(data) for key, data in content.items()}


def begun(content: Values) -> Draft:
    return Draft(stored(content), SERIALIZER)


def assign(key: str, value: Any) -> Operation:
    return lambda mapping: mapping.__setitem__(key, copy.deepcopy(value))


def remove(key: str) -> Operation:
    return lambda mapping: mapping.pop(key, None)


def change_in_place(key: str, value: Any) -> Operation:
    """Change what is inside the value of `key`, if it has an inside."""

    def operation(mapping: Any) -> None:
        inside = mapping.get(key)
        while isinstance(inside, (list, dict)):
            deeper = list(inside.values()) if isinstance(inside, dict) else inside
            if not deeper or not isinstance(deeper[-1], (list, dict)):
                break
            inside = deeper[-1]
        if isinstance(inside, list):
            inside.append(copy.deepcopy(value))
        elif isinstance(inside, dict):
            inside["new"] = copy.deepcopy(value)

    return operation


def one_more(value: Any) -> int:
    return (value if isinstance(value, int) else 0) + 1


def compute(key: str) -> Operation:
    def operation(mapping: Any) -> None:
        if isinstance(mapping, Draft):
            mapping.compute(key, one_more)
        else:
            mapping[key] = one_more(mapping.get(key))

    return operation


def read(key: str) -> Operation:
    return lambda mapping: mapping.get(key)


def clear(mapping: Any) -> None:
    mapping.clear()


gentle = (
    st.builds(assign, keys, values)
    | st.builds(remove, keys)
    | st.builds(change_in_place, keys, values)
    | st.builds(read, keys)
)
computing = gentle | st.builds(compute, keys)
anything = computing | st.just(clear)


@settings(max_examples=100)
@given(bases, st.lists(anything, max_size=12))
def test_a_draft_behaves_like_a_dict(base: Values, operations: list[Operation]) -> None:
    draft, model = begun(base), copy.deepcopy(base)

    for operation in operations:
        operation(draft)
        operation(model)

        assert len(draft) == len(model)
        assert set(draft) == set(model)
        assert all(key in draft for key in model)
        assert dict(draft) == model


@settings(max_examples=100)
@given(bases, st.lists(anything, max_size=12))
def test_its_changes_make_the_base_what_the_dict_is(
    base: Values, operations: list[Operation]
) -> None:
    draft, model = begun(base), copy.deepcopy(base)

    for operation in operations:
        operation(draft)
        operation(model)

    assert restored(draft.changes().apply(stored(base))) == model


@given(bases, st.lists(gentle, max_size=8))
def test_there_are_changes_only_if_something_is_different(
    base: Values, operations: list[Operation]
) -> None:
    draft, model = begun(base), copy.deepcopy(base)

    for operation in operations:
        operation(draft)
        operation(model)

    assert (draft.changes() is NO_CHANGES) == (stored(model) == stored(base))


@given(bases)
def test_an_identical_assignment_is_no_change(base: Values) -> None:
    draft = begun(base)

    for key in base:
        draft[key] = copy.deepcopy(draft[key])

    assert draft.changes() is NO_CHANGES


@given(bases)
def test_reading_is_no_change(base: Values) -> None:
    draft = begun(base)

    assert dict(draft) == base
    assert draft.changes() is NO_CHANGES


@settings(max_examples=100)
@given(bases, st.lists(gentle, max_size=6), st.lists(gentle, max_size=6), st.booleans())
def test_two_drafts_over_one_base_keep_both_sides_keys(
    base: Values, ours: list[Operation], theirs: list[Operation], ours_first: bool
) -> None:
    results, touched = [], []
    for operations in (ours, theirs):
        draft, model = begun(base), copy.deepcopy(base)
        for operation in operations:
            operation(draft)
            operation(model)
        changes = draft.changes()
        results.append((changes, model))
        touched.append({*changes.assigned, *changes.removed})
    order = (0, 1) if ours_first else (1, 0)

    merged = stored(base)
    for side in order:
        merged = results[side][0].apply(merged)

    for key in "abcd":
        last = [side for side in order if key in touched[side]]
        expected = results[last[-1]][1] if last else base
        assert (key in merged) == (key in expected)
        if key in merged:
            assert SERIALIZER.loads(merged[key]) == expected[key]


@given(st.integers(0, 5), st.integers(0, 5))
def test_computations_over_one_base_add_up(ours: int, theirs: int) -> None:
    drafts = [begun({"n": 7}), begun({"n": 7})]
    for draft, times in zip(drafts, (ours, theirs), strict=True):
        for _ in range(times):
            draft.compute("n", one_more)

    merged = stored({"n": 7})
    for draft in drafts:
        merged = draft.changes().apply(merged)

    assert restored(merged) == {"n": 7 + ours + theirs}


@given(bases, st.lists(anything, max_size=8), st.lists(anything, max_size=8))
def test_after_a_rebase_it_goes_on_from_what_was_stored(
    base: Values, before: list[Operation], after: list[Operation]
) -> None:
    draft, model = begun(base), copy.deepcopy(base)
    for operation in before:
        operation(draft)
        operation(model)

    changes = draft.changes()
    saved = changes.apply(stored(base))
    draft.saved_as(saved, changes)

    assert draft.changes() is NO_CHANGES
    for operation in after:
        operation(draft)
        operation(model)
    assert dict(draft) == model
    assert restored(draft.changes().apply(saved)) == model


@given(bases, bases, st.lists(anything, max_size=8))
def test_a_rebase_shows_what_others_had_stored(
    base: Values, others: Values, operations: list[Operation]
) -> None:
    draft = begun(base)
    for operation in operations:
        operation(draft)

    changes = draft.changes()
    saved = changes.apply(stored(others))
    draft.saved_as(saved, changes)

    assert dict(draft) == restored(saved)


@given(bases, bases, st.lists(anything, max_size=8))
def test_a_move_makes_the_same_changes_to_another_base(
    base: Values, other: Values, operations: list[Operation]
) -> None:
    """What was assigned counts there, even if it changed nothing here."""
    draft = begun(base)
    for operation in operations:
        operation(draft)
    expected = restored(draft.changes().apply(stored(other)))
    expected.update(restored(dict(draft.alone().assigned)))

    draft.rebase(stored(other))

    assert restored(draft.changes().apply(stored(other))) == expected
    if not draft.changes().computed:
        assert dict(draft) == expected


def test_what_was_only_read_shows_what_others_have_stored() -> None:
    draft = begun({"cart": [1]})
    assert draft["cart"] == [1]
    draft["own"] = True

    changes = draft.changes()
    draft.saved_as(changes.apply(stored({"cart": [2]})), changes)

    assert dict(draft) == {"cart": [2], "own": True}


def test_objects_in_the_callers_hands_stay_the_same_after_a_rebase() -> None:
    draft = begun({"cart": [1]})
    cart = draft["cart"]
    cart.append(2)

    changes = draft.changes()
    draft.saved_as(changes.apply(stored({"cart": [1]})), changes)
    cart.append(3)

    assert draft["cart"] is cart
    assert restored(dict(draft.changes().assigned)) == {"cart": [1, 2, 3]}


def test_a_change_deep_inside_is_the_only_one_found() -> None:
    draft = begun({"a": {"b": [{"c": 1}]}, "other": [1]})

    draft["a"]["b"][0]["c"] = 2
    _ = draft["other"]

    assert draft.changes().assigned.keys() == {"a"}


def test_clear_also_removes_what_others_store_until_then() -> None:
    draft = begun({"a": 1})

    draft.clear()
    draft["b"] = 2

    changes = draft.changes()
    assert restored(changes.apply(stored({"a": 1, "theirs": 3}))) == {"b": 2}


def test_what_was_removed_is_a_key_error() -> None:
    draft = begun({"a": 1})

    del draft["a"]

    with pytest.raises(KeyError):
        draft["a"]
    with pytest.raises(KeyError):
        del draft["a"]
    with pytest.raises(KeyError):
        del draft["never there"]


def test_a_computation_runs_again_on_what_others_have_stored() -> None:
    draft = begun({"n": 1})
    seen = []

    def add_ten(value: int) -> int:
        seen.append(value)
        return value + 10

    assert draft.compute("n", add_ten) == 11
    merged = draft.changes().apply(stored({"n": 5}))

    assert restored(merged) == {"n": 15}
    assert seen == [1, 5]


def test_a_value_is_decoded_when_it_is_used_and_not_before() -> None:
    draft = Draft({"good": SERIALIZER.dumps(1), "bad": b"\xc1"}, SERIALIZER)

    assert draft["good"] == 1
    assert "bad" in draft
    with pytest.raises(Undecodable, match="'bad'"):
        draft["bad"]


def test_changes_do_not_show_what_is_stored() -> None:
    draft = begun({"n": 1})
    draft["password"] = "hunter2"
    draft.compute("n", lambda n: "hunter2")

    assert "hunter2" not in repr(draft.changes())


def test_what_cannot_be_stored_is_refused_with_its_path() -> None:
    draft = begun({})
    draft["cart"] = {"items": [1, 2, 3, {4}]}

    with pytest.raises(TypeError) as refused:
        draft.changes()

    assert "session['cart']['items'][3]" in str(refused.value)


def test_a_value_that_is_stored_in_no_bytes_is_computed_as_what_it_is() -> None:
    class Terse:
        def dumps(self, value: Any) -> bytes:
            return b"" if value == 0 else b"%d" % value

        def loads(self, data: bytes) -> Any:
            return int(data or b"0")

    draft = Draft({"n": b""}, Terse())

    assert draft.compute("n", lambda n: "none" if n is None else n + 1) == 1
