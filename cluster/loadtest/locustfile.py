"""What locust runs: requests at a constant rate, or as fast as they are answered, each written down as it ends.

A program of its own: locust loads it as a file, ``drive.py`` starts it. ``BENCH_PLAN`` names a JSON file:

``method url headers body expects``  the request, and text that a right answer holds
``rate``       requests a second, or null: every user asks again as soon as it has its answer
``seconds warm_up``  how long to measure, and how long to ask before that
``timeout_s``  what is later than this has failed
``ca_file``    the authority of the server's certificate, or null
``log``        where a line for each request goes: intended start and lateness in s, duration in ms, status, error
``summary``    where locust's own figures go, with the processor's share that this process used

Requests have their moment from one schedule for all users, as with k6's constant-arrival-rate: a slow answer does not
put off the next request while a user is free. ``late`` says how long a request waited for one.
"""

# mypy: disallow-untyped-calls=False
import itertools
import json
import os
import ssl
import time
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.exception import StopUser

PLAN = json.loads(Path(os.environ["BENCH_PLAN"]).read_text())
LOG = Path(PLAN["log"]).open("w", buffering=1 << 16)  # noqa: SIM115
TURNS = itertools.count()
CLOCK = {"begin": 0.0, "processor": 0.0, "unix": 0.0}
BROKEN: list[str] = []


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=PLAN["ca_file"])


def _begin(**_: Any) -> None:
    CLOCK.update(processor=time.process_time(), unix=time.time())
    CLOCK["begin"] = time.monotonic()


def _limit(environment: Any, **_: Any) -> None:
    gevent.spawn(_quit_in_time, environment.runner)


def _quit_in_time(runner: Any) -> None:
    while not CLOCK["begin"] or time.monotonic() - CLOCK["begin"] < PLAN["warm_up"] + PLAN["seconds"]:
        gevent.sleep(0.1)
    # waits for the answers that are still out, as long as --stop-timeout says
    runner.quit()


def _broken(exception: BaseException, **_: Any) -> None:
    BROKEN.append(repr(exception))


def _end(environment: Any, **_: Any) -> None:
    wall = time.monotonic() - CLOCK["begin"]
    total = environment.stats.total
    figures = {
        "requests": total.num_requests,
        "failures": total.num_failures,
        "broken": BROKEN[:3],
        "measured_from": CLOCK["unix"] + PLAN["warm_up"],
        "processor_percent": 100 * (time.process_time() - CLOCK["processor"]) / wall,
        "locust": {f"p{round(share * 100)}": total.get_response_time_percentile(share) for share in (0.5, 0.95, 0.99)},
    }
    LOG.close()
    Path(PLAN["summary"]).write_text(json.dumps(figures))


class Asker(FastHttpUser):
    """A user that takes its turns from the schedule."""

    host = PLAN["url"]
    network_timeout = connection_timeout = PLAN["timeout_s"]
    max_retries = 0
    insecure = False
    ssl_context_factory = staticmethod(_tls)

    @task
    def ask(self) -> None:
        while not CLOCK["begin"]:
            gevent.sleep(0.01)
        length, rate = PLAN["warm_up"] + PLAN["seconds"], PLAN["rate"]
        moment = next(TURNS) / rate if rate else time.monotonic() - CLOCK["begin"]
        if moment >= length:
            raise StopUser
        wait = CLOCK["begin"] + moment - time.monotonic()
        if wait > 0:
            gevent.sleep(wait)
        self._send(moment)

    def _send(self, moment: float) -> None:
        sent = time.monotonic()
        error = ""
        with self.client.request(
            PLAN["method"],
            PLAN["url"],
            data=PLAN["body"],
            headers=PLAN["headers"],
            catch_response=True,
            name="model",
        ) as answer:
            broken = getattr(answer, "error", None)
            if answer.status_code != 200:
                error = f"HTTP {answer.status_code}" if answer.status_code else f"no answer: {broken}"
            elif PLAN["expects"] not in (answer.text or ""):
                error = f"200 without {PLAN['expects']}"
            if error:
                answer.failure(error)
            else:
                answer.success()
            took = answer.request_meta["response_time"]
        late = max(0.0, sent - CLOCK["begin"] - moment)
        line = [round(moment - PLAN["warm_up"], 4), round(late, 4), round(took, 3), answer.status_code, error]
        LOG.write(json.dumps(line) + "\n")


events.init.add_listener(_limit)
events.spawning_complete.add_listener(_begin)
events.user_error.add_listener(_broken)
events.quitting.add_listener(_end)
