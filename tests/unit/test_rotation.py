"""What a presented token means, case by case, and how one token follows another."""

from __future__ import annotations

import math
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_srvsession.ids import Credential, new_id, new_token, token_hash
from flask_srvsession.store import rotation
from flask_srvsession.store.record import (
    DUE,
    PERMANENT,
    PRESENTED,
    Record,
    RecordCodec,
)
from flask_srvsession.store.rotation import (
    ADMITTED,
    FRESH,
    FURTHEST,
    Verdict,
    advance,
    due_at,
    judge,
    successor,
)
from tests.records import BLANK

SINCE = 1_750_000_000
GRACE = 120
EVERY = 900
GENERATION = 5

SESSION_ID = new_id(SINCE)
CHAIN_KEY = bytes(range(16))
FIRST = Credential(SESSION_ID, 1, "0123456789abcdef0123456789abcdef")

OPENED = {
    "before": SINCE - 5000,
    "same second": SINCE + 0.9,
    "next second": SINCE + 1,
    "end of grace": SINCE + GRACE - 0.001,
    "after grace": SINCE + GRACE,
    "hours later": SINCE + 20_000,
}
"""When the request was opened, seen from when the current token was promoted."""

MEANINGS = {
    "C": Verdict.CURRENT,
    "S": Verdict.SUCCESSOR,
    "G": Verdict.GRACE,
    "R": Verdict.REPLAYED,
    "L": Verdict.LATE,
    "A": Verdict.AHEAD,
    "F": Verdict.FORGED,
}

TABLE = {
    # generation - current, does its token fit, was a successor handed out:
    # one letter for each moment of OPENED
    (+2, True, True): "AAAAAA",
    (+2, True, False): "AAAAAA",
    (+2, False, True): "AAAAAA",
    (+2, False, False): "AAAAAA",
    (+1, True, True): "SSSSSS",
    (+1, True, False): "AAAAAA",
    (+1, False, True): "FFFFFF",
    (+1, False, False): "AAAAAA",
    (0, True, True): "CCCCCC",
    (0, True, False): "CCCCCC",
    (0, False, True): "FFFFFF",
    (0, False, False): "FFFFFF",
    (-1, True, True): "GGGGRR",
    (-1, True, False): "GGGGRR",
    (-1, False, True): "FFFFFF",
    (-1, False, False): "FFFFFF",
    (-2, True, True): "LLRRRR",
    (-2, True, False): "LLRRRR",
    (-2, False, True): "FFFFFF",
    (-2, False, False): "FFFFFF",
    (-4, True, True): "LLRRRR",
    (-4, True, False): "LLRRRR",
    (-4, False, True): "FFFFFF",
    (-4, False, False): "FFFFFF",
}

CASES = [
    pytest.param(*case, opened, MEANINGS[letter], id=f"{case}-{moment}")
    for case, letters in TABLE.items()
    for (moment, opened), letter in zip(OPENED.items(), letters, strict=True)
]


def make_record(generation: int = GENERATION, *, pending: bool = False) -> Record:
    """Return a record that has come to `generation` by the chain from FIRST."""
    record = BLANK._replace(
        generation=generation,
        chain=CHAIN_KEY,
        since=SINCE,
        last_seen=SINCE,
        flags=PERMANENT | PRESENTED,
    )
    hashes = [token_hash(each.token) for each in chain(record, generation + 1)]
    following = hashes[generation] if pending else None
    return record._replace(token_hash=hashes[generation - 1], pending=following)


def chain(record: Record, length: int) -> list[Credential]:
    """Return the first `length` credentials of the session."""
    credentials = [FIRST]
    while len(credentials) < length:
        credentials.append(successor(record, credentials[-1]))
    return credentials


def flagged(record: Record) -> Record:
    """Return the record with a rotation that does not wait for the token's age."""
    return record._replace(flags=record.flags | DUE)


def credential_of(generation: int) -> Credential:
    return chain(make_record(), generation)[-1]


def advanced(
    record: Record, credential: Credential, *, age: int = 0, every: int | None = EVERY
) -> Record:
    return advance(record, credential, now=record.since + age, every=every, grace=GRACE)


class TestJudge:
    def test_the_table_has_every_case(self) -> None:
        differences = {difference for difference, _, _ in TABLE}

        assert set(TABLE) == set(product(differences, [True, False], [True, False]))

    @pytest.mark.parametrize(
        ("difference", "fits", "pending", "opened", "meaning"), CASES
    )
    def test_each_credential_means_what_the_table_says(
        self,
        difference: int,
        fits: bool,
        pending: bool,
        opened: float,
        meaning: Verdict,
    ) -> None:
        record = make_record(pending=pending)
        credential = credential_of(GENERATION + difference)
        if not fits:
            credential = credential._replace(token=new_token())

        assert judge(record, credential, opened=opened, grace=GRACE) is meaning

    def test_only_the_current_token_and_its_neighbours_are_served(self) -> None:
        assert {Verdict.CURRENT, Verdict.SUCCESSOR, Verdict.GRACE} == ADMITTED

    @pytest.mark.parametrize("presented", range(1, GENERATION + 2))
    def test_a_right_token_under_a_wrong_generation_is_forged(
        self, presented: int
    ) -> None:
        record = make_record(pending=True)
        for actual in set(range(1, GENERATION + 2)) - {presented}:
            wrong = credential_of(actual)._replace(generation=presented)

            verdict = judge(record, wrong, opened=SINCE, grace=GRACE)

            assert verdict is Verdict.FORGED

    def test_a_token_of_another_chain_is_forged(self) -> None:
        record = make_record(pending=True)
        other = record._replace(chain=bytes(16))
        strangers = [FIRST]
        for _ in range(GENERATION):
            strangers.append(successor(other, strangers[-1]))

        verdicts = [
            judge(record, stranger, opened=SINCE + 9_999, grace=GRACE)
            for stranger in strangers[1:]
        ]

        assert verdicts == [Verdict.FORGED] * GENERATION

    def test_the_first_generation_has_no_predecessor(self) -> None:
        record = make_record(1)
        too_early = Credential(SESSION_ID, 0, FIRST.token)

        verdict = judge(record, too_early, opened=SINCE, grace=GRACE)

        assert verdict is Verdict.FORGED

    @pytest.mark.parametrize(
        ("age", "verdict"),
        [
            (1, Verdict.REPLAYED),
            (FURTHEST, Verdict.REPLAYED),
            (FURTHEST + 1, Verdict.ANCIENT),
            (100 * FURTHEST, Verdict.ANCIENT),
        ],
    )
    def test_an_old_cookie_costs_a_bounded_number_of_steps(
        self, monkeypatch: pytest.MonkeyPatch, age: int, verdict: Verdict
    ) -> None:
        """Anybody who has it can present it again and again."""
        current = chain(make_record(), FURTHEST + 2)[min(age, FURTHEST + 1)]
        record = make_record()._replace(
            generation=1 + age, token_hash=token_hash(current.token)
        )
        steps: list[Credential] = []

        def counted(record: Record, credential: Credential) -> Credential:
            steps.append(credential)
            return successor(record, credential)

        monkeypatch.setattr(rotation, "successor", counted)

        assert judge(record, FIRST, opened=SINCE + GRACE, grace=GRACE) is verdict
        assert len(steps) == (age if verdict is Verdict.REPLAYED else 0)

    def test_a_forged_cookie_costs_no_more(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = make_record()._replace(generation=10**8)
        steps: list[Credential] = []

        def counted(record: Record, credential: Credential) -> Credential:
            steps.append(credential)
            return successor(record, credential)

        monkeypatch.setattr(rotation, "successor", counted)
        verdicts = {
            judge(
                record,
                Credential(SESSION_ID, generation, new_token()),
                opened=SINCE + GRACE,
                grace=GRACE,
            )
            for generation in (1, 10**8 - FURTHEST - 1, 10**8 - FURTHEST, 10**8 + 2)
        }

        assert verdicts == {Verdict.ANCIENT, Verdict.FORGED, Verdict.AHEAD}
        assert len(steps) == FURTHEST


class TestAdvance:
    def test_a_presented_successor_becomes_the_current_token(self) -> None:
        record = make_record(pending=True)
        credential = credential_of(GENERATION + 1)

        after = advanced(record, credential, age=77)

        assert after == record._replace(
            generation=GENERATION + 1,
            token_hash=token_hash(credential.token),
            pending=None,
            since=SINCE + 77,
        )

    def test_a_promotion_hands_out_nothing_by_itself(self) -> None:
        """However old the token is: its own predecessor has just begun its grace."""
        record = flagged(make_record(pending=True))

        after = advanced(record, credential_of(GENERATION + 1), age=50 * EVERY)

        assert after.pending is None

    def test_an_old_enough_token_gets_a_successor(self) -> None:
        record, credential = make_record(), credential_of(GENERATION)

        after = advanced(record, credential, age=EVERY)

        following = token_hash(successor(record, credential).token)
        assert after == record._replace(pending=following)

    def test_a_younger_token_gets_none(self) -> None:
        record, credential = make_record(), credential_of(GENERATION)

        assert advanced(record, credential, age=EVERY - 1) is record

    def test_a_successor_that_is_there_stays(self) -> None:
        """And so does the time of the promotion: lost responses change nothing."""
        record, credential = make_record(pending=True), credential_of(GENERATION)

        assert advanced(record, credential, age=50 * EVERY) is record

    @pytest.mark.parametrize("pending", [True, False])
    @pytest.mark.parametrize("difference", [-4, -2, -1, 2])
    def test_no_other_credential_moves_anything(
        self, difference: int, pending: bool
    ) -> None:
        record = flagged(make_record(pending=pending))
        credential = credential_of(GENERATION + difference)

        assert advanced(record, credential, age=50 * EVERY) is record

    def test_a_successor_that_was_not_handed_out_promotes_nothing(self) -> None:
        record = make_record()

        assert advanced(record, credential_of(GENERATION + 1), age=EVERY) is record

    def test_without_rotation_nobody_gets_a_successor(self) -> None:
        record = flagged(make_record())

        after = advanced(record, credential_of(GENERATION), age=10**7, every=None)

        assert after is record

    def test_without_rotation_what_was_handed_out_is_still_promoted(self) -> None:
        record = make_record(pending=True)

        after = advanced(record, credential_of(GENERATION + 1), every=None)

        assert after.generation == GENERATION + 1

    def test_a_rotation_that_is_due_does_not_wait_for_the_age(self) -> None:
        record, credential = make_record(1), FIRST

        after = advanced(flagged(record), credential)

        assert after.pending is not None
        assert not after.flags & DUE
        assert (after.permanent, after.presented) == (True, True)

    @pytest.mark.parametrize("age", [0, 1, GRACE - 1, GRACE])
    def test_nothing_is_handed_out_while_a_predecessor_is_in_its_grace(
        self, age: int
    ) -> None:
        """And for a moment more: a request of its last instant has to read yet."""
        record = flagged(make_record())

        assert advanced(record, credential_of(GENERATION), age=age) is record

    def test_what_is_due_is_handed_out_when_the_grace_is_over(self) -> None:
        record = flagged(make_record())

        after = advanced(record, credential_of(GENERATION), age=GRACE + FRESH)

        assert after.pending is not None

    def test_what_is_due_stays_due_over_a_promotion(self) -> None:
        """The successor may have left before the reason for another one arose."""
        record = flagged(make_record(pending=True))

        assert advanced(record, credential_of(GENERATION + 1)).flags & DUE

    def test_a_clock_that_is_behind_makes_nothing_due(self) -> None:
        record = make_record()

        assert advanced(record, credential_of(GENERATION), age=-3600) is record


@pytest.mark.parametrize(
    ("record", "every", "moment"),
    [
        pytest.param(make_record(), EVERY, SINCE + EVERY, id="by age"),
        pytest.param(make_record(), None, math.inf, id="never without rotation"),
        pytest.param(flagged(make_record()), None, math.inf, id="not even if flagged"),
        pytest.param(
            flagged(make_record(pending=True)), EVERY, math.inf, id="has a successor"
        ),
        pytest.param(flagged(make_record(1)), EVERY, SINCE, id="at once"),
        pytest.param(
            flagged(make_record()), EVERY, SINCE + GRACE + FRESH, id="after the grace"
        ),
    ],
)
def test_the_moment_at_which_a_successor_is_due_is_known_before(
    record: Record, every: int | None, moment: float
) -> None:
    assert due_at(record, every=every, grace=GRACE) == moment


@given(
    age=st.integers(-10, 2 * EVERY),
    generation=st.integers(1, 3),
    pending=st.booleans(),
    flags=st.integers(0, 7),
    every=st.none() | st.just(EVERY),
)
def test_a_successor_is_made_from_that_moment_on_and_not_before(
    age: int, generation: int, pending: bool, flags: int, every: int | None
) -> None:
    record = make_record(generation, pending=pending)._replace(flags=flags)

    after = advanced(record, credential_of(generation), age=age, every=every)

    moment = due_at(record, every=every, grace=GRACE)
    assert (after is not record) == (SINCE + age >= moment)
    assert after.flags == (flags if after is record else flags & ~DUE)


keys = st.binary(min_size=16, max_size=16)
tokens = st.binary(min_size=16, max_size=16).map(bytes.hex)
generations = st.integers(1, 10**6)


class TestChain:
    @given(key=keys, token=tokens, generation=generations)
    def test_each_token_has_one_successor(
        self, key: bytes, token: str, generation: int
    ) -> None:
        """It looks like any other token and belongs to the same session."""
        record = make_record()._replace(chain=key)
        credential = Credential(SESSION_ID, generation, token)

        following = successor(record, credential)

        assert following == successor(
            record._replace(since=0, pending=b"x"), credential
        )
        assert following.id == credential.id
        assert following.generation == generation + 1
        assert re.fullmatch(r"[0-9a-f]{32}", following.token)
        assert following.token != token

    @given(key=keys, other=keys, token=tokens, generation=generations)
    def test_it_depends_on_the_key_the_token_and_the_generation(
        self, key: bytes, other: bytes, token: str, generation: int
    ) -> None:
        record = make_record()._replace(chain=key)
        credential = Credential(SESSION_ID, generation, token)
        varied = [
            (record, credential._replace(generation=generation + 1)),
            (record, credential._replace(token=token_hash(token).hex()[:32])),
        ]
        if other != key:
            varied.append((record._replace(chain=other), credential))

        following = successor(record, credential).token

        assert following not in [successor(*each).token for each in varied]

    def test_it_does_not_repeat(self) -> None:
        seen = {credential.token for credential in chain(make_record(), 2000)}

        assert len(seen) == 2000

    def test_nothing_usable_is_stored(self) -> None:
        """No token of the chain is in the record, neither as text nor as bytes."""
        record = make_record(pending=True)
        codec = RecordCodec(["a secret key"], "app:session:", "msgpack")

        stored = codec.seal(f"app:session:{SESSION_ID}", record)

        for credential in chain(record, GENERATION + 2):
            assert credential.token.encode() not in stored
            assert bytes.fromhex(credential.token) not in stored

    @pytest.mark.parametrize("shown", [repr, str])
    def test_nothing_secret_is_shown(self, shown: type) -> None:
        record = make_record(pending=True)
        credential = credential_of(GENERATION)

        text = shown(record) + shown(credential)

        assert credential.token not in text
        assert repr(record.token_hash) not in text
        assert repr(record.pending) not in text
        assert repr(record.chain) not in text


presentations = st.lists(
    st.tuples(st.integers(-2, 1), st.integers(0, 2 * EVERY)), max_size=60
)


@given(presentations=presentations, is_due=st.booleans())
def test_a_session_moves_one_step_at_a_time_and_serves_at_most_two_tokens(
    presentations: list[tuple[int, int]], is_due: bool
) -> None:
    """Whoever comes, and whenever: generations only grow, a successor is made only
    after the grace, and of all tokens at most two neighbours are admitted."""
    now, record = SINCE, make_record(1)
    if is_due:
        record = flagged(record)
    known = chain(record, 2 * len(presentations) + 4)

    for difference, pause in presentations:
        now += pause
        credential = known[max(1, record.generation + difference) - 1]
        if judge(record, credential, opened=now, grace=GRACE) not in ADMITTED:
            continue
        before = record
        record = advance(before, credential, now=now, every=EVERY, grace=GRACE)

        admitted = [
            each.generation
            for each in known
            if judge(record, each, opened=now, grace=GRACE) in ADMITTED
        ]
        current = record.generation
        assert current - before.generation in (0, 1)
        assert admitted in ([current - 1, current], [current, current + 1], [current])
        if record.pending and not before.pending and before.generation > 1:
            assert now - before.since >= GRACE
