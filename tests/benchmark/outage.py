"""What a request gets, and when, while Redis does not answer."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable

from .contenders import KINDS, OURS, PEER, SMALL, Contender, Stores

Answer = tuple[int, float]
"""Status, and seconds until it came."""


def outage(
    contenders: Iterable[Contender], stores: Stores
) -> dict[tuple[str, str], Answer]:
    """Stop Redis for a while; return the answers by contender and kind of request."""
    answers = {}
    logging.disable()  # it is known what fails
    for contender in contenders:
        if contender.store == "Redis" and contender.name in (PEER, OURS):
            browser = contender.make(SMALL).test_client()
            assert browser.get(f"/fill/{SMALL}").status_code == 200
            os.kill(stores.redis.pid, signal.SIGSTOP)
            try:
                for kind in KINDS:
                    began = time.perf_counter()
                    status = browser.get(f"/{kind}").status_code
                    took = time.perf_counter() - began
                    answers[contender.name, kind] = (status, took)
            finally:
                os.kill(stores.redis.pid, signal.SIGCONT)
    logging.disable(logging.NOTSET)
    return answers
