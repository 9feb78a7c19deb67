"""Stand-ins for what a node runs: kubeadm, kubelet, kubectl, k3s, containerd, systemctl and the kernel's tools.

One file for all of them, run in a node's root by small scripts: ``node_tools.py SHARED NAME VERSION ARGUMENT...``. They
keep the laws of the real ones as far as the playbooks meet them: kubeadm init refuses where something lies already,
join wants a token that is known and a certificate key that was uploaded, an upgrade goes up one minor at a time, a
kubelet is never newer than the API server, a drain waits for PodDisruptionBudgets, and on a node that is not Ready for
ever, etcd gives no member up without whom it would lose its quorum, k3s takes no node whose name another VM has had.
What no tool refuses and nobody should do (a kubelet changed under its pods, a node deleted with pods on it) is written
down as a violation.

The cluster is one JSON file in SHARED. This runs with the system's Python: the standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ETC = Path("/etc/kubernetes")
MANIFESTS = ETC / "manifests"
UNITS = Path("/etc/systemd/system")
HERE = Path("/var/lib/standin.json")
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
STATIC = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

State = dict[str, Any]


class RefusedError(Exception):
    """What a tool says before it exits with 1."""


# ---- state -----------------------------------------------------------------------------------------------------------


def read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default


def write(path: Path, value: Any) -> None:
    """Replace a file at once: whoever is killed here leaves the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(value, indent=1))
    fresh.replace(path)


def put(path: Path, text: str = "made\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def empty() -> State:
    return {"version": "", "nodes": {}, "etcd": [], "tokens": {}, "key": "", "pods": [], "calls": [], "violations": []}


@contextmanager
def cluster() -> Iterator[State]:
    """Yield the cluster for changing; nobody else does meanwhile."""
    with (SHARED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = {**empty(), **read(SHARED / "cluster.json", {})}
        yield state
        write(SHARED / "cluster.json", state)


def address(name: str) -> str:
    """Return the address of a node's VM, or of the one that has had its name."""
    return str(read(SHARED / "addresses.json", {}).get(name, ""))


def me() -> str:
    return Path("/etc/hostname").read_text().strip()


def units() -> State:
    value: State = read(HERE, {})
    return value


def faulty(what: str) -> bool:
    """Whether a fault of that name is to happen now; each happens once."""
    path = SHARED / "faults.json"
    faults = read(path, [])
    if what not in faults:
        return False
    faults.remove(what)
    write(path, faults)
    return True


def minor(version: str) -> int:
    return int(version.lstrip("v").split(".")[1])


def parts(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:3])


def binary_version(name: str) -> str:
    """Return the version of a binary in place; the scripts that stand for them hold it."""
    found = re.search(rf"^# {name} (\S+)$", Path(f"/usr/local/bin/{name}").read_text(), re.MULTILINE)
    return found[1] if found else ""


def running(state: State, name: str) -> None:
    """Keep the law that a changed kubelet has no pods under it."""
    if any(pod["node"] == name and not pod.get("daemon") for pod in state["pods"]):
        state["violations"].append(f"kubelet of {name} changed under its pods")


def node(name: str, version: str, *, labels: State, taints: list[State]) -> State:
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {}},
        "spec": {"taints": taints},
        "status": {
            "nodeInfo": {"kubeletVersion": version},
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address(name)}],
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
        },
    }


# ---- the system ------------------------------------------------------------------------------------------------------


def systemctl(words: list[str]) -> None:
    verbs = [word for word in words if not word.startswith("-")]
    verb, unit = verbs[0], (verbs[1] if len(verbs) > 1 else "")
    name = unit.removesuffix(".service")
    file = UNITS / (unit if "." in unit else f"{unit}.service")
    known = units()
    mine = known.setdefault(name, {"enabled": False, "active": False})
    if verb == "show":
        print(f"Id={unit}\nLoadState={'loaded' if file.exists() else 'not-found'}")
        print(f"ActiveState={'active' if mine['active'] else 'inactive'}\nSubState=running")
        return
    if verb == "is-enabled":
        print("enabled" if mine["enabled"] else "disabled")
        sys.exit(0 if mine["enabled"] else 1)
    if verb == "daemon-reload":
        return
    if not file.exists():
        raise RefusedError(f"Failed to {verb} {unit}: Unit {unit} not found.")
    if verb in ("enable", "disable"):
        mine["enabled"] = verb == "enable"
    elif verb == "stop":
        mine["active"] = False
    elif verb in ("start", "restart"):
        started(name)
        mine["active"] = True
    with cluster() as state:
        state["calls"].append([me(), "systemctl", verb, name])
    write(HERE, known)


def started(name: str) -> None:
    if name == "kubelet" and (ETC / "kubelet.conf").exists():
        with cluster() as state:
            kubelet_started(state)
    elif name in ("k3s", "k3s-agent"):
        k3s_started(name)


def kubelet_started(state: State) -> None:
    version = f"v{binary_version('kubelet')}"
    if parts(version) > parts(state["version"]):
        state["violations"].append(f"kubelet {version} of {me()} is newer than the API server, {state['version']}")
    there = state["nodes"].get(me())
    if there is None:
        return
    if there["status"]["nodeInfo"]["kubeletVersion"] != version:
        running(state, me())
    there["status"]["nodeInfo"]["kubeletVersion"] = version


def swapon(words: list[str]) -> None:
    if not Path("/etc/swap-off").exists():
        print("/swapfile")


def swapoff(words: list[str]) -> None:
    put(Path("/etc/swap-off"))


def modprobe(words: list[str]) -> None:
    Path(f"/sys/module/{words[-1]}").mkdir(parents=True)


def sysctl(words: list[str]) -> None:
    path = Path("/etc/sysctl-now.json")
    values = read(path, {})
    if words[0] == "--values":
        for key in words[1:]:
            print(values.get(key, "0"))
        return
    for line in Path(words[-1]).read_text().splitlines():
        key, _, value = line.partition("=")
        values[key.strip()] = value.strip()
    write(path, values)


def containerd(words: list[str]) -> None:
    print(f"containerd github.com/containerd/containerd/v2 v{VERSION} 0123456789abcdef")


def kubelet(words: list[str]) -> None:
    print(f"Kubernetes v{VERSION}")


# ---- kubeadm ---------------------------------------------------------------------------------------------------------


def kubeadm(words: list[str]) -> None:
    with cluster() as state:
        state["calls"].append([me(), "kubeadm", *words[:2]])
    actions = {
        "init": kubeadm_init,
        "join": kubeadm_join,
        "reset": kubeadm_reset,
        "token": kubeadm_token,
        "upgrade": kubeadm_upgrade,
        "certs": kubeadm_certs,
    }
    actions[words[0]](words[1:])


def system_wrong() -> Iterator[str]:
    if not Path("/etc/swap-off").exists():
        yield "[ERROR Swap]: running with swap on is not supported"
    if not units().get("containerd", {}).get("active"):
        yield "[ERROR CRI]: container runtime is not running"
    if not Path("/sys/module/br_netfilter").exists():
        yield "[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]: does not exist"
    if read(Path("/etc/sysctl-now.json"), {}).get("net.ipv4.ip_forward") != "1":
        yield "[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: contents are not set to 1"
    if not units().get("kubelet", {}).get("enabled"):
        yield "[WARNING Service-Kubelet]: kubelet service is not enabled"


def preflight(ignored: str) -> None:
    wrong = list(system_wrong())
    if MANIFESTS.exists() and any(MANIFESTS.iterdir()) and "DirAvailable--etc-kubernetes-manifests" not in ignored:
        wrong.append("[ERROR DirAvailable--etc-kubernetes-manifests]: /etc/kubernetes/manifests is not empty")
    files = [MANIFESTS / f"{name}.yaml" for name in STATIC]
    files += [ETC / name for name in ("kubelet.conf", "bootstrap-kubelet.conf", "pki/ca.crt")]
    files.append(Path("/var/lib/etcd/member"))
    wrong += [f"[ERROR FileAvailable-{str(path).replace('/', '-')}]: already exists" for path in files if path.exists()]
    if wrong:
        raise RefusedError("[preflight] Some fatal errors occurred:\n\t" + "\n\t".join(wrong))


def control_plane_files(version: str) -> None:
    for name in STATIC:
        put(MANIFESTS / f"{name}.yaml", f"metadata:\n  labels:\n    component: {name}\nimage: {name}:v{version}\n")
    put(Path("/var/lib/etcd/member"), "data\n")
    put(ETC / "admin.conf", f"server: https://{me()}:6443\n")


def kubelet_begins(state: State, labels: State, taints: list[State]) -> None:
    put(ETC / "kubelet.conf")
    put(Path("/var/lib/kubelet/config.yaml"))
    state["nodes"][me()] = node(me(), f"v{binary_version('kubelet')}", labels=labels, taints=taints)
    known = units()
    known["kubelet"]["active"] = True
    write(HERE, known)


def option(words: list[str], name: str) -> str:
    for index, word in enumerate(words):
        if word == name:
            return words[index + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def field(text: str, name: str) -> str:
    found = re.search(rf'^\s*(?:- )?{name}: "?([^"\n]*)"?$', text, re.MULTILINE)
    return found[1] if found else ""


MASTER_TAINT = {"key": CONTROL_PLANE, "effect": "NoSchedule"}


def kubeadm_init(words: list[str]) -> None:
    if words[:1] == ["phase"]:
        upload_certificates()
        return
    text = Path(option(words, "--config")).read_text()
    version = field(text, "kubernetesVersion").lstrip("v")
    preflight(" ".join(words))
    if minor(version) != minor(VERSION):
        raise RefusedError(f"this version of kubeadm only supports deploying clusters with 1.{minor(VERSION)}")
    put(ETC / "pki/ca.crt", hashlib.sha256(me().encode()).hexdigest())
    put(ETC / "super-admin.conf")
    if faulty("init"):
        raise RefusedError("error: timed out waiting for the condition")
    with cluster() as state:
        if state["nodes"]:
            state["violations"].append(f"{me()} began a second cluster")
        control_plane_files(version)
        state["etcd"] = [me()]
        state["version"] = version
        state["ca"] = (ETC / "pki/ca.crt").read_text()
        state["endpoint"] = field(text, "controlPlaneEndpoint")
        kubelet_begins(state, {CONTROL_PLANE: ""}, [MASTER_TAINT])
    if "--skip-token-print" not in words:
        print("kubeadm join --token secret.secretsecretsecr")


def upload_certificates() -> None:
    if not (ETC / "admin.conf").exists():
        raise RefusedError("could not load admin.conf")
    with cluster() as state:
        state["key"] = secrets.token_hex(32)
        print(f"[upload-certs] Using certificate key:\n{state['key']}")


def kubeadm_token(words: list[str]) -> None:
    if not (ETC / "admin.conf").exists():
        raise RefusedError("could not load admin.conf")
    with cluster() as state:
        if words[0] == "delete":
            if state["tokens"].pop(words[1], None) is None:
                raise RefusedError(f"token {words[1]} not found")
            return
        name = secrets.token_hex(32)
        state["tokens"][name[:6]] = name[8:24]
        print(f"kubeadm join {state['endpoint']} --token {name[:6]}.{name[8:24]} ", end="")
        print(f"--discovery-token-ca-cert-hash sha256:{state['ca']}")


def join_wrong(state: State, text: str) -> str:
    name, _, secret = field(text, "token").partition(".")
    if field(text, "apiServerEndpoint") != state.get("endpoint"):
        return "couldn't validate the identity of the API Server: no route to host"
    if state["tokens"].get(name) != secret:
        return "error execution phase preflight: couldn't validate the identity of the API Server"
    if f"sha256:{state['ca']}" not in text:
        return "cluster CA found in cluster-info ConfigMap is invalid"
    if me() in state["nodes"]:
        return f'a Node with name "{me()}" and status "Ready" already exists in the cluster'
    if "controlPlane:" in text and (not state["key"] or field(text, "certificateKey") != state["key"]):
        return "error downloading the secret: Secret kubeadm-certs was not found; wrong certificate key"
    if "controlPlane:" in text and me() in state["etcd"]:
        return f"etcd: member {me()} is already in the cluster, and its data is gone"
    return ""


def kubeadm_join(words: list[str]) -> None:
    path = Path(option(words, "--config"))
    if path.stat().st_mode & 0o077:
        raise RefusedError(f"{path} can be read by others")
    text = path.read_text()
    preflight("")
    with cluster() as state:
        if wrong := join_wrong(state, text):
            raise RefusedError(wrong)
        put(ETC / "pki/ca.crt", state["ca"])
        put(ETC / "bootstrap-kubelet.conf")
    if faulty("join"):
        raise RefusedError("error execution phase kubelet-start: timed out waiting for the condition")
    with cluster() as state:
        (ETC / "bootstrap-kubelet.conf").unlink()
        kubelet_begins(state, {}, [])
    if "controlPlane:" not in text:
        return
    if faulty("join-etcd"):
        raise RefusedError("error execution phase control-plane-join/etcd: etcdserver: unhealthy cluster")
    with cluster() as state:
        control_plane_files(state["version"])
        state["etcd"].append(me())
        state["nodes"][me()]["metadata"]["labels"][CONTROL_PLANE] = ""
        state["nodes"][me()]["spec"]["taints"].append(MASTER_TAINT)


def kubeadm_reset(words: list[str]) -> None:
    if "--force" not in words:
        raise RefusedError("aborted reset operation")
    gone = [*MANIFESTS.glob("*"), *(ETC / "pki").glob("*"), *ETC.glob("*.conf")]
    gone += [Path("/var/lib/etcd/member"), Path("/var/lib/kubelet/config.yaml")]
    for path in gone:
        path.unlink(missing_ok=True)
    if (ETC / "pki").exists():
        (ETC / "pki").rmdir()
    known = units()
    if "kubelet" in known:
        known["kubelet"]["active"] = False
        write(HERE, known)
    with cluster() as state:
        state["etcd"] = [name for name in state["etcd"] if name != me()]


def kubeadm_certs(words: list[str]) -> None:
    if words != ["renew", "all"]:
        raise RefusedError(f"invalid subcommand {' '.join(words)}")
    if not (ETC / "pki/ca.crt").exists():
        raise RefusedError("failed to load existing CA: open /etc/kubernetes/pki/ca.crt: no such file or directory")
    put(ETC / "renewed")


def kubeadm_upgrade(words: list[str]) -> None:
    with cluster() as state:
        if words[0] == "apply":
            wanted = words[1].lstrip("v")
            if minor(wanted) > minor(state["version"]) + 1:
                raise RefusedError(
                    f"Specified version to upgrade to {wanted} is too high; only 1 minor version at a time"
                )
            if parts(wanted) < parts(state["version"]):
                raise RefusedError(f"Specified version to upgrade to {wanted} is too low")
            if parts(VERSION) < parts(wanted):
                raise RefusedError(f"{wanted} is higher than the kubeadm version {VERSION}")
            state["version"] = wanted
        elif minor(VERSION) != minor(state["version"]):
            raise RefusedError(f"kubeadm {VERSION} can not upgrade a node of a cluster of {state['version']}")
        if (MANIFESTS / "kube-apiserver.yaml").exists():
            control_plane_files(state["version"])


# ---- k3s -------------------------------------------------------------------------------------------------------------


def k3s(words: list[str]) -> None:
    if words[0] == "kubectl":
        if not Path("/etc/rancher/k3s/k3s.yaml").exists():
            raise RefusedError("open /etc/rancher/k3s/k3s.yaml: no such file or directory")
        kubectl(words[1:])
    elif words == ["certificate", "rotate"]:
        with cluster() as state:
            state["calls"].append([me(), "k3s", *words])
        if any(units().get(unit, {}).get("active") for unit in ("k3s", "k3s-agent")):
            raise RefusedError("k3s is running: stop it, then rotate")
    elif words == ["--version"]:
        print(f"k3s version {VERSION} (0123abcd)\ngo version go1.24.11")


def k3s_join_wrong(state: State, text: str, password: str, new_server: bool) -> str:
    if field(text, "token") != state.get("token"):
        return "token CA hash does not match"
    if state.setdefault("passwords", {}).get(me(), password) != password:
        return (
            "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match"
            " server node-passwd entry"
        )
    if new_server and me() in state["etcd"]:
        return "duplicate node name found, please use a unique name for this node"
    return ""


def k3s_started(unit: str) -> None:
    text = Path("/etc/rancher/k3s/config.yaml").read_text()
    version = binary_version("k3s")
    data = Path("/var/lib/rancher/k3s/server/node-token")
    server = unit == "k3s"
    password = Path("/etc/rancher/node/password")
    if not password.exists():
        put(password, secrets.token_hex(8))
    with cluster() as state:
        joins = "server:" in text
        begins = server and not joins and not data.exists()
        if begins and state["nodes"]:
            state["violations"].append(f"{me()} began a second cluster")
        if begins:
            state.update(version=version, token="K10" + "a" * 64 + "::server:secret")
        if joins and (wrong := k3s_join_wrong(state, text, password.read_text(), server and not data.exists())):
            raise RefusedError(f"Job for {unit} failed: {wrong}")
        state.setdefault("passwords", {})[me()] = password.read_text()
        if server:
            state["version"] = max(version, state["version"], key=parts)
            if me() not in state["etcd"]:
                state["etcd"].append(me())
            put(data, state["token"] + "\n")
            put(Path("/etc/rancher/k3s/k3s.yaml"), "server: https://127.0.0.1:6443\n")
        elif parts(version) > parts(state["version"]):
            state["violations"].append(f"k3s {version} of {me()} is newer than the servers, {state['version']}")
        there = state["nodes"].get(me())
        if there is None:
            labels = {CONTROL_PLANE: "true"} if server else {}
            taints = [MASTER_TAINT] if CONTROL_PLANE + ":NoSchedule" in text else []
            state["nodes"][me()] = node(me(), version, labels=labels, taints=taints)
        elif there["status"]["nodeInfo"]["kubeletVersion"] != version:
            running(state, me())
            there["status"]["nodeInfo"]["kubeletVersion"] = version


# ---- kubectl ---------------------------------------------------------------------------------------------------------


def kubectl(words: list[str]) -> None:
    config = option(words, "--kubeconfig")
    if config:
        if not Path(config).exists():
            raise RefusedError(f"error: stat {config}: no such file or directory")
        words = words[2:]
    if (SHARED / "api-down").exists() or faulty("api"):
        raise RefusedError("The connection to the server was refused - did you specify the right host or port?")
    with cluster() as state:
        if words[0] != "get":
            state["calls"].append([me(), "kubectl", *words])
        VERBS[words[0]](state, words[1:])


def the_node(state: State, name: str) -> State:
    if name not in state["nodes"]:
        raise RefusedError(f'Error from server (NotFound): nodes "{name}" not found')
    found: State = state["nodes"][name]
    return found


def get(state: State, words: list[str]) -> None:
    plain = [word for word in words if not word.startswith("-") and word not in ("json", "name")]
    if "--raw=/readyz" in words:
        print("ok")
    elif "--raw=/version" in words:
        print(json.dumps({"gitVersion": f"v{state['version'].lstrip('v')}"}))
    elif plain[0] == "configmap":
        if "endpoint" not in state:
            raise RefusedError('Error from server (NotFound): configmaps "kubeadm-config" not found')
        print(
            f"apiVersion: kubeadm.k8s.io/v1beta4\ncontrolPlaneEndpoint: {state['endpoint']}\nkind: ClusterConfiguration"
        )
    elif plain[0] == "node":
        if plain[1] in state["nodes"] or "--ignore-not-found" not in words:
            print(json.dumps(the_node(state, plain[1])))
    elif plain[0] == "nodes" and "name" in words:
        print("\n".join(f"node/{name}" for name in state["nodes"]))
    elif plain[0] == "nodes":
        print(json.dumps({"items": list(state["nodes"].values())}))
    elif plain[0] in ("pods", "services"):
        print(json.dumps({"items": get_pods(state, words) if plain[0] == "pods" else []}))


def get_pods(state: State, words: list[str]) -> list[State]:
    if option(words, "--selector"):
        return [pod for pod in state.get("probes", []) if selected(pod, words)]
    where = option(words, "--field-selector").partition("=")[2]
    if where:
        return [as_pod(pod) for pod in state["pods"] if pod["node"] == where]
    return list(state.get("probes", []))


def as_pod(pod: State) -> State:
    owners = [{"kind": "DaemonSet" if pod.get("daemon") else "ReplicaSet"}]
    metadata = {"name": pod["name"], "namespace": "default", "ownerReferences": owners}
    return {"metadata": metadata, "status": {"phase": "Running"}}


def label(state: State, words: list[str]) -> None:
    key, _, value = words[-1].partition("=")
    the_node(state, words[1])["metadata"]["labels"][key] = value


def annotate(state: State, words: list[str]) -> None:
    notes = the_node(state, words[1])["metadata"]["annotations"]
    for word in words[2:]:
        if word.startswith("--"):
            continue
        if word.endswith("-"):
            notes.pop(word[:-1], None)
        else:
            key, _, value = word.partition("=")
            notes[key] = value


def taint(state: State, words: list[str]) -> None:
    spec = the_node(state, words[1])["spec"]
    text = words[-1]
    key = text.rstrip("-").partition(":")[0].partition("=")[0]
    if text.endswith("-"):
        if not any(each["key"] == key for each in spec["taints"]):
            raise RefusedError(f'error: taint "{key}" not found')
        spec["taints"] = [each for each in spec["taints"] if each["key"] != key]
        return
    left, _, effect = text.partition(":")
    value = left.partition("=")[2]
    spec["taints"] = [each for each in spec["taints"] if (each["key"], each["effect"]) != (key, effect)]
    spec["taints"].append({"key": key, "effect": effect, **({"value": value} if value else {})})


def drain(state: State, words: list[str]) -> None:
    if "--ignore-daemonsets" not in words:
        raise RefusedError("error: cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)")
    name = words[0]
    the_node(state, name)["spec"]["unschedulable"] = True
    others = [each for each in state["nodes"] if each != name and not state["nodes"][each]["spec"].get("unschedulable")]
    held = [pod for pod in state["pods"] if pod["node"] == name and pod.get("budget")]
    ready = any(
        each["type"] == "Ready" and each["status"] == "True" for each in state["nodes"][name]["status"]["conditions"]
    )
    here = [pod for pod in state["pods"] if pod["node"] == name and not pod.get("daemon") and pod not in held]
    # Nobody there ends them, so they are going for ever; kubectl waits for that unless it is told for how long.
    if not ready and here and not option(words, "--skip-wait-for-delete-timeout"):
        write(SHARED / "cluster.json", state)
        raise RefusedError(
            f'error when waiting for pod "{here[0]["name"]}" in namespace "default" to terminate: global timeout'
            f" reached: {option(words, '--timeout')}"
        )
    for pod in state["pods"]:
        if pod["node"] == name and not pod.get("daemon") and pod not in held:
            pod["node"] = others[0] if others else "pending"
    if held:
        write(SHARED / "cluster.json", state)
        raise RefusedError(
            f'error when evicting pods/"{held[0]["name"]}" -n "default" (will retry after 5s): Cannot evict pod as it'
            f' would violate the pod\'s disruption budget.\nerror: unable to drain node "{name}" due to error:'
            f" error when evicting pods: global timeout reached: {option(words, '--timeout')}"
        )


def uncordon(state: State, words: list[str]) -> None:
    the_node(state, words[0])["spec"].pop("unschedulable", None)


def delete(state: State, words: list[str]) -> None:
    if words[0] == "pods":
        gone = [pod for pod in state.get("probes", []) if selected(pod, words)]
        state["probes"] = [pod for pod in state.get("probes", []) if pod not in gone]
        print("\n".join(f'pod "{pod["metadata"]["name"]}" deleted' for pod in gone) or "No resources found")
        return
    name = words[1]
    if name not in state["nodes"] and "--ignore-not-found" not in words:
        the_node(state, name)
    if state["nodes"].pop(name, None) is None:
        return
    if any(pod["node"] == name and not pod.get("daemon") and not pod.get("dead") for pod in state["pods"]):
        state["violations"].append(f"{name} was deleted with pods on it")
    if state.setdefault("passwords", {}).pop(name, None) and name in state["etcd"]:  # k3s sees to its etcd
        state["etcd"].remove(name)
    state["pods"] = [pod for pod in state["pods"] if pod["node"] != name]
    print(f'node "{name}" deleted')


def selected(pod: State, words: list[str]) -> bool:
    key, _, value = option(words, "--selector").partition("=")
    same = pod["metadata"]["namespace"] == option(words, "--namespace")
    return same and pod["metadata"].get("labels", {}).get(key) == value


def run_pod(state: State, pod: State) -> None:
    """Make a pod on the node that it names: no scheduler is asked, so only a taint that sends pods away counts."""
    if faulty("admission"):
        raise RefusedError('Error from server: admission webhook "policy.site" denied the request: no bare pods')
    name, spec = pod["metadata"]["name"], pod["spec"]
    there = state.setdefault("probes", [])
    for old in there:
        if old["metadata"]["name"] == name and old["spec"] != spec:
            raise RefusedError(f'The Pod "{name}" is invalid: spec: Forbidden: pod updates may not change fields')
    host = the_node(state, spec["nodeName"])
    away = [each for each in host["spec"].get("taints", []) if each["effect"] == "NoExecute"]
    if away and {"operator": "Exists"} not in spec.get("tolerations", []):
        return
    image = spec["containers"][0]["image"]
    names = [each for one in host["status"].get("images", []) for each in one["names"]]
    runs = image in names
    waiting = {"waiting": {"reason": "ErrImageNeverPull"}}
    pod["status"] = {
        "phase": "Running" if runs else "Pending",
        "containerStatuses": [{"ready": runs, "state": {"running": {}} if runs else waiting}],
        **({"podIP": f"10.233.70.{len(there) + 2}"} if runs else {}),
    }
    state["probes"] = [*(each for each in there if each["metadata"]["name"] != name), pod]


def wait(state: State, words: list[str]) -> None:
    pods = [pod for pod in state.get("probes", []) if selected(pod, words)]
    if not pods:
        raise RefusedError("error: no matching resources found")
    for pod in pods:
        if pod["status"]["phase"] != "Running":
            raise RefusedError(f"error: timed out waiting for the condition on pods/{pod['metadata']['name']}")


def apply(state: State, words: list[str]) -> None:
    if option(words, "--filename") == "-":
        for pod in json.load(sys.stdin)["items"]:
            run_pod(state, pod)
        return
    path = Path(option(words, "--filename"))
    applied = state.setdefault("applied", {})
    print(f"{path.stem} " + ("unchanged" if applied.get(path.stem) == path.read_text() else "configured"))
    applied[path.stem] = path.read_text()


def execute(state: State, words: list[str]) -> None:
    member(state, words[words.index("member") + 1 :], dict(zip(state["etcd"], state["etcd"], strict=True)))


# ---- etcd ------------------------------------------------------------------------------------------------------------


def etcdctl(words: list[str]) -> None:
    """etcd beside Kubernetes, as Kubespray has it: by certificates of this control plane, members of other names."""
    if not os.environ.get("ETCDCTL_CERT", "").endswith(f"admin-{me()}.pem"):
        raise RefusedError(
            '{"level":"warn","error":"rpc error: code = DeadlineExceeded"}\nError: context deadline exceeded'
        )
    with cluster() as state:
        state["calls"].append([me(), "etcdctl", *words[:2]])
        member(state, words[1:], {name: f"etcd{number}" for number, name in enumerate(state["etcd"], 1)})


def member(state: State, words: list[str], names: dict[str, str]) -> None:
    """``member list`` and ``member remove``; names: node -> name of its member; ``dead`` in the state: nodes."""
    ids = {name: (1 << 63) | int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) for name in state["etcd"]}
    if words[0] == "list":
        members = [
            {"ID": ids[name], "name": names[name], "peerURLs": [f"https://{address(name)}:2380"]}
            for name in state["etcd"]
        ]
        print(json.dumps({"members": members}))
        return
    gone = [name for name, number in ids.items() if f"{number:x}" == words[-1]]
    if not gone:
        raise RefusedError(f"Error: etcdserver: member not found: {words[-1]}")
    left = [name for name in state["etcd"] if name != gone[0]]
    started = [name for name in left if name not in state.get("dead", [])]
    if gone[0] not in state.get("dead", []) and len(started) < len(left) // 2 + 1:
        raise RefusedError("Error: etcdserver: re-configuration failed due to not enough started members")
    state["etcd"] = left
    state["dead"] = [name for name in state.get("dead", []) if name != gone[0]]


VERBS = {
    "get": get,
    "label": label,
    "annotate": annotate,
    "taint": taint,
    "drain": drain,
    "uncordon": uncordon,
    "delete": delete,
    "apply": apply,
    "wait": wait,
    "--namespace=kube-system": execute,
}
TOOLS = {
    each.__name__: each
    for each in (systemctl, swapon, swapoff, modprobe, sysctl, containerd, kubelet, kubeadm, k3s, kubectl, etcdctl)
}


def main() -> None:
    try:
        TOOLS[NAME](sys.argv[4:])
    except RefusedError as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    SHARED, NAME, VERSION = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    main()
