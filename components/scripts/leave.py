"""Let a worker's pods leave before its VM is deleted: run by the engine right before it does, whoever asked for that.

Environment: VM, UUID, URI, KUBECONFIG_FILE (see ``components.scripts.node``). With ``goes`` it ends with 1 where the
pods do not leave; the engine then leaves the VM alone. Nobody is asked where the whole stack is destroyed, where the VM
does not run or its node is not Ready (nothing there would end a pod), and where no cluster answers. With ``stays``, run
once the VM can be used, it does nothing: what counts is that it can be deleted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from cluster.leaving import is_whole_destroy
from components.scripts.node import Node
from components.scripts.tools import ScriptError, Tools, Virsh, carry_out


def stays(tools: Tools, environment: Mapping[str, str]) -> str:
    """Return what will be done."""
    return f"{environment['VM']} is drained before it goes"


def goes(tools: Tools, environment: Mapping[str, str]) -> str:
    """Drain; return what there is to say. Raises ScriptError where pods do not leave."""
    virsh = Virsh.told(tools, environment)
    if is_whole_destroy(environment):
        return f"{virsh.vm} goes with the whole stack"
    if virsh.state() != "running":
        return f"{virsh.vm} does not run: nothing there would end a pod"
    node = Node.told(tools, environment)
    if node is None:
        return f"{virsh.vm} goes with its pods on it, as it was told to"
    if not node.ready():
        return f"{virsh.vm} goes: it has no node that is Ready in a cluster that answers"
    try:
        node.leave("deleted", "let it go")
    except ScriptError:
        if node.ready():
            raise
        return f"{virsh.vm} goes: its node, or the cluster, has gone meanwhile"
    return f"{virsh.vm} goes: its pods have left"


if __name__ == "__main__":
    sys.exit(carry_out(stays if sys.argv[1:] == ["stays"] else goes))
