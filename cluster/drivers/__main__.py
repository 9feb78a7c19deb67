"""``python -m cluster.drivers bring``: every GPU node gets the wanted driver, one at a time, and CUDA is seen to work.
``check``: only the latter, with whatever driver is there; nothing is changed.

Environment: KUBECONFIG (a path), GPU_NODES (``gpu-1=1 gpu-2=2``: node and how many cards it has), CUDA_IMAGE,
DRIVER_VERSION (empty: the image carries the driver, and there is nothing to roll); DRIVER_TIMEOUT, EVICT_TIMEOUT,
CHECK_TIMEOUT (seconds, optional). Tells on standard error what it does, prints a line for each node, and ends with 1
and a remedy where something is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from cluster.drivers.kubectl import Kubectl
from cluster.drivers.patience import Patience
from cluster.drivers.rollout import Drivers, Wish
from cluster.drivers.tools import DriverError, SilentError, Tools

AGAIN = "what was done stays; the same again goes on from there"
USAGE = "usage: python -m cluster.drivers bring|check"


def main(words: Sequence[str], environment: Mapping[str, str], tools: Tools) -> int:
    """Do what the words say; return the exit status: 0, 1 where something is wrong, 2 for words that mean nothing."""
    if len(words) != 1 or words[0] not in ("bring", "check"):
        tools.say(USAGE)
        return 2
    drivers = Drivers(Kubectl(tools, environment["KUBECONFIG"]), wish(environment))
    try:
        done = drivers.bring() if words[0] == "bring" else drivers.check()
        left = drivers.unfinished() if words[0] == "check" and drivers.wish.version is not None else None
    except SilentError as error:
        tools.say(f"{error}\n{AGAIN}")
        return 1
    except KeyboardInterrupt:
        tools.say(f"interrupted; {AGAIN}")
        return 130
    except DriverError as error:
        tools.say(str(error))
        return 1
    print("\n".join([*map(str, done), *([left] if left else [])]))
    return 1 if left or any(each.problem for each in done) else 0


def wish(environment: Mapping[str, str]) -> Wish:
    """Return what the environment asks for."""
    pairs = (each.partition("=") for each in environment["GPU_NODES"].split())
    return Wish(
        gpus={name: int(gpus) for name, _, gpus in pairs},
        version=environment.get("DRIVER_VERSION") or None,
        image=environment["CUDA_IMAGE"],
        patience=Patience.told(environment),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, Tools()))
