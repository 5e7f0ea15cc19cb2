"""The long proof tells what held from what did not, and from what was not tried."""

from __future__ import annotations

from tests.proof import PARTS, ROOT, TESTS, judged

GREEN = "....\ntried 14 cases\ntried 3 states\n4 passed in 1.20s\n"
RED = "..FE\ntried 14 cases\n1 failed, 2 passed, 1 error in 1.20s\n"
INTERRUPTED = ".\ntried 1 cases\n!!! KeyboardInterrupt !!!\n1 passed in 1.20s\n"


def test_a_green_run_is_good_and_says_how_much_it_tried() -> None:
    result = judged(GREEN, 0)

    assert result.good
    assert result.tried == "14 cases, 3 states"


def test_each_test_that_fails_is_a_violation() -> None:
    result = judged(RED, 1)

    assert not result.good
    assert (result.violations, result.finished) == (2, True)


def test_a_run_that_did_not_get_to_its_end_proves_nothing() -> None:
    assert not judged(INTERRUPTED, 2).good
    assert not judged("", -9).good


def test_every_test_that_can_try_more_is_part_of_the_proof() -> None:
    named = {ROOT / f"{TESTS}{name}.py" for p in PARTS.values() for name in p.tests}
    knobs = {knob for part in PARTS.values() for knob in part.long}

    for path in ROOT.glob("tests/**/test_*.py"):
        text = path.read_text()
        assert path in named or not any(knob in text for knob in knobs), path
