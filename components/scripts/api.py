"""Is the Kubernetes API of a control plane well, etcd with it: asked on the node itself, with its own credentials.

Not anonymously: k3s starts its API server with ``--anonymous-auth=false``, and Kubespray may be told to. Not by the
cluster's common address: another control plane would answer there.
"""

from __future__ import annotations

import re

from components.scripts.tools import Done

ASK = """PATH="$PATH:/usr/local/bin"
if sudo test -e /etc/rancher/k3s/k3s.yaml; then set -- k3s kubectl
elif sudo test -e /etc/kubernetes/admin.conf; then
  set -- kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://127.0.0.1:6443 --tls-server-name kubernetes
else echo "no control plane"; exit 0; fi
sudo env "PATH=$PATH" "$@" get --raw='/readyz?verbose' --request-timeout=20s
"""
"""What is run in the VM. ``--tls-server-name``: the API's certificate names ``kubernetes`` wherever it was made, and
the loopback address not everywhere."""

_FAILED = re.compile(r"\[-\](\S+)[^\n]*")


def trouble(done: Done) -> str | None:
    """Return what is wrong with the API of a node, from what ``ASK`` said; None where all is well, or there is none."""
    if done.status == 0:
        return None
    said = f"{done.out}\n{done.err}".replace("\\n", "\n")
    failed = list(dict.fromkeys(_FAILED.findall(said)))
    return f"not ready: {', '.join(failed)}" if failed else done.last
