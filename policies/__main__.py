"""Starts the policy pack: the engine runs this file for ``pulumi preview --policy-pack policies``."""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The engine starts a pack inside its own folder; `cluster` and `policies` are packages of the folder above.
sys.path[:] = [str(_HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != _HERE)]

from policies import NAME, POLICIES, VERSION  # noqa: E402
from policies.server import Pack, serve  # noqa: E402

serve(Pack(NAME, VERSION, POLICIES))
