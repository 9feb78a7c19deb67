"""``python -m cluster.steps STEP``: ``inventory`` writes the files that come as JSON on stdin, the others run plays.

Environment: ``Context.told``. What is done goes to stderr, the result to stdout; the kubeconfig is a secret and is the
only thing that its step prints. Exit status 1 with the reason and the remedy where a step failed, 2 for bad usage.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from cluster.problems import InputError
from cluster.steps.caller import end_with_caller
from cluster.steps.errors import StepError
from cluster.steps.files import write


def main(words: list[str]) -> int:
    """Run one step."""
    # The engine ends a cancelled command by SIGKILL (components.base makes this process that command). Who is killed
    # says nothing: what is left is seen to by the next run (cluster.steps.turn).
    signal.signal(signal.SIGTERM, _leave)
    end_with_caller(os.environ)
    os.umask(0o077)
    try:
        return _run(words)
    except (StepError, InputError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"kubernetes step {' '.join(words)} was interrupted; run the same again to go on", file=sys.stderr)
        return 130


def _run(words: list[str]) -> int:
    from cluster.steps.turn import turn

    run_dir = Path(os.environ.get("RUN_DIR", ""))
    if words == ["inventory"]:
        from cluster.steps.left import remember

        files = json.load(sys.stdin)
        with turn(run_dir, "inventory", _say):
            remember(run_dir, files)
            write(run_dir / "inventory", files)
        return 0
    from cluster.steps.context import Context
    from cluster.steps.steps import STEPS, run

    if len(words) != 1 or words[0] not in STEPS:
        print(f"no such step: {' '.join(words) or 'none given'}; one of inventory, {', '.join(STEPS)}", file=sys.stderr)
        return 2
    with turn(run_dir, words[0], _say):
        print(run(words[0], Context.told(os.environ), _say))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _leave(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
