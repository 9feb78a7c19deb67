"""A cluster's outside on nodes of a site: pods with networks of their own, routed; services; and what kubectl says.

Stand-ins: kubectl and etcdctl, which print what a test lays down. Real: the pods' network namespaces where containerd
puts them, routing and address translation between them, a DNS server that answers in one of them.
"""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from tests.network.site import Node, Site

API, DNS = "10.233.0.1", "10.233.0.3"

_DNS_SERVER = """
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(("0.0.0.0", 53))
while True:
    asked, peer = line.recvfrom(512)
    name = asked[12:-4]
    known = b"kubernetes" in name and b"cluster" in name
    head = asked[:2] + (b"\\x81\\x80\\0\\1\\0\\1" if known else b"\\x81\\x83\\0\\1\\0\\0") + b"\\0" * 4
    answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x1e\\0\\4" + socket.inet_aton("10.233.0.1") if known else b""
    line.sendto(head + asked[12:] + answer, peer)
"""

_KUBECTL = """#!/bin/sh
# What is asked for is the word after get; raw paths are the API's own checks.
for word in "$@"; do
  case "$word" in
    --raw=/version) cat /etc/kube/version; exit ;;
    --raw=*) cat /etc/kube/ready; exit $(cat /etc/kube/ready.status) ;;
    nodes | pods) cat "/etc/kube/$word.json"; exit ;;
    k8s-app=kube-dns) cat /etc/kube/dns.json; exit ;;
    component=apiserver) cat /etc/kube/api.json; exit ;;
  esac
done
exit 1
"""


class Kube:
    """What of a cluster can be had here."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.nodes = list(site.nodes.values())
        self.control = self.nodes[0]
        self.pods = {node.name: f"10.233.{64 + number}.2" for number, node in enumerate(self.nodes)}
        self._running: list[subprocess.Popen[bytes]] = []
        for node in self.nodes:
            self._pod(node)
        self._running.append(self.control.start("ip", "netns", "exec", "cni-1", "/usr/bin/python3", "-c", _DNS_SERVER))
        self._running.append(
            self.control.start("/usr/bin/python3", "-m", "http.server", "--bind", self.control.address, "6443")
        )
        self.control.sh(f"mkdir -p /etc/kube && cat > /usr/local/bin/kubectl <<'END'\n{_KUBECTL}\nEND")
        self.control.sh("chmod +x /usr/local/bin/kubectl")
        self.etcd([{"endpoint": f"https://{self.control.address}:2379", "health": True, "took": "9ms"}])
        self.say("ready", "[+]ping ok\n[+]etcd ok\nreadyz check passed\n")
        self.say("ready.status", "0")
        self.say("version", '{"gitVersion": "v1.34.3"}')
        self.say("dns.json", json.dumps({"items": [service(DNS, 53)]}))
        self.say("api.json", json.dumps({"items": [service(API, 443)]}))
        self.say("nodes.json", json.dumps({"items": [node_item(node.name) for node in self.nodes]}))
        self.say("pods.json", json.dumps({"items": self.pod_items()}))
        self._wait()

    def _pod(self, node: Node) -> None:
        address = self.pods[node.name]
        node.sh("ip netns add cni-1 && ip link add name cali1 type veth peer name eth0 netns cni-1")
        node.sh(f"ip address add {address[:-1]}1/24 dev cali1 && ip link set cali1 up")
        node.sh(f"ip -n cni-1 address add {address}/24 dev eth0 && ip -n cni-1 link set eth0 up")
        node.sh(f"ip -n cni-1 link set lo up && ip -n cni-1 route add default via {address[:-1]}1")
        node.sh("sysctl -q -w net.ipv4.ip_forward=1")
        for other in self.nodes:
            if other is not node:
                node.sh(f"ip route add {self.pods[other.name][:-1]}0/24 via {other.address}")
        # as kube-proxy does it for a pod that is its own service's answer
        node.sh(f"iptables -t nat -A POSTROUTING -s {address} -d {address} -j MASQUERADE")
        for chain in ("PREROUTING", "OUTPUT"):
            rule = f"iptables -t nat -A {chain}"
            node.sh(f"{rule} -d {DNS} -p udp --dport 53 -j DNAT --to {self.pods[self.control.name]}:53")
            node.sh(f"{rule} -d {API} -p tcp --dport 443 -j DNAT --to {self.control.address}:6443")

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while "6443" not in self.control.run("ss", "-ltn") or "53" not in self.control.sh(
            "ip netns exec cni-1 ss -lun"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def say(self, name: str, text: str) -> None:
        """Lay down what kubectl says."""
        self.control.sh(f"cat > /etc/kube/{name} <<'END'\n{text}\nEND")

    def etcd(self, members: list[dict[str, Any]]) -> None:
        """Lay down what etcdctl says."""
        said = json.dumps(members)
        self.say("etcd.json", said)
        self.control.sh("printf '#!/bin/sh\\ncat /etc/kube/etcd.json\\n' > /usr/local/bin/etcdctl")
        self.control.sh("chmod +x /usr/local/bin/etcdctl")

    def pod_items(self, **changes: Any) -> list[dict[str, Any]]:
        """Return the pods: on each node one with a network of its own, and what runs on every node."""
        items = [
            pod_item(f"coredns-{number}", node, self.pods[node], app="kube-dns")
            for number, node in enumerate(self.pods)
        ]
        for node in self.nodes:
            for app in ("calico-node", "kube-proxy"):
                items.append(pod_item(f"{app}-{node.name}", node.name, node.address, app=app, host_network=True))
        return items


def node_item(
    name: str, *, ready: bool = True, version: str = "v1.34.3", why: str = "kubelet is posting ready status"
) -> Any:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "message": why}]
    return {
        "metadata": {"name": name},
        "spec": {},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": version}},
    }


def pod_item(
    name: str,
    node: str,
    address: str,
    *,
    ready: bool = True,
    waiting: str = "",
    app: str = "",
    host_network: bool = False,
) -> Any:
    state: dict[str, Any] = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": app}},
        "spec": {"nodeName": node, "hostNetwork": host_network},
        "status": {
            "phase": "Pending" if waiting else "Running",
            "podIP": address,
            "containerStatuses": [{"ready": ready and not waiting, "state": state}],
        },
    }


def service(address: str, port: int) -> Any:
    return {"metadata": {}, "spec": {"clusterIP": address, "ports": [{"port": port}]}}
