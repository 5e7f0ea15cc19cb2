"""``python -m tests.benchmark``: measure, print, and write the documentation."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.servers import running_memcached, running_redis

from . import report, runner
from .contenders import BARE, Stores, all_contenders
from .memory import memory
from .outage import outage
from .scale import scale
from .serving import Rates, requests_per_second
from .store_cost import costs
from .targets import targets

ROUNDS, QUICK_ROUNDS, SERVED_ROUNDS = 40, 8, 9


def main() -> None:
    options = _options()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {options.core})  # the servers inherit it
    with (
        tempfile.TemporaryDirectory() as name,
        running_redis(Path(name)) as redis_server,
        running_memcached() as memcached_server,
    ):
        stores = Stores(redis_server, memcached_server, Path(name))
        if options.scale:
            text = report.scale(scale(all_contenders(stores), stores, _tell))
            _publish(options, "scale", text)
        elif options.only:
            print(_some(options, stores))
        else:
            _publish(options, "results", _measured(options, stores, cores))


def _measured(options: argparse.Namespace, stores: Stores, cores: set[int]) -> str:
    contenders = all_contenders(stores)
    results = runner.prepare(contenders)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    runner.measure(results, rounds, _tell)
    counted, used = costs(results, stores), memory(contenders, stores)
    hangs = outage(contenders, stores)
    rates: Rates = {}
    if not options.quick:
        os.sched_setaffinity(0, cores)
        rates = requests_per_second(SERVED_ROUNDS, _tell)
    found = targets(results, counted, used, hangs, rates)
    pieces = [
        report.circumstances("python -m tests.benchmark"),
        report.targets(found),
        report.times(results),
        report.own_time(results),
        report.wire(counted),
        report.memory(used),
    ]
    if not options.quick:
        pieces.append(report.serving(rates))
        report.CHART.write_text(report.chart(results), "utf-8")
    return "\n".join(pieces)


def _some(options: argparse.Namespace, stores: Stores) -> str:
    """Measure those contenders only, beside bare Flask."""
    chosen = [
        each
        for each in all_contenders(stores)
        if each.name == BARE or any(text in str(each) for text in options.only)
    ]
    results = runner.prepare(chosen)
    runner.measure(results, QUICK_ROUNDS if options.quick else ROUNDS, _tell)
    return f"{report.times(results)}\n{report.cpu(results)}"


def _publish(options: argparse.Namespace, name: str, text: str) -> None:
    print(text)
    if not options.quick:
        report.write(name, text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmark", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, no gunicorn, nothing written"
    )
    parser.add_argument(
        "--scale", action="store_true", help="only this: up to a million sessions"
    )
    parser.add_argument(
        "--only",
        metavar="TEXT",
        action="append",
        help="measure only contenders with this in their name; nothing written",
    )
    parser.add_argument(
        "--core",
        type=int,
        default=max(os.sched_getaffinity(0)),
        help="the core that client and storages share",
    )
    return parser.parse_args()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


main()
