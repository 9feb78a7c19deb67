"""The compatibility matrix: every pin, and which of them go together, from ``cluster.versions`` and the toolchain."""

from __future__ import annotations

from cloudctl.views.versions import matrix
from cluster import versions
from cluster.versions.model import within
from handbook.markdown import cell, code, table
from handbook.page import Page
from toolchain import pins

INTRODUCTION = """# Versions that go together

Made from the tables in `cluster/versions` when this site is built; `cloudctl versions` prints the same, and
`cloudctl versions check` holds a stack file to it. Ranges are those that the projects themselves state. What was run
together here, and what was not: [known limits](../limits.md).
"""

TICK, CROSS = "yes", "no"


def page() -> Page:
    """Return the page."""
    parts = [INTRODUCTION, _defaults(), _installers(), _charts(), _drivers(), _images(), _engine()]
    return Page("reference/versions.md", "\n".join(parts))


def _defaults() -> str:
    found = matrix()
    rows = [
        [
            "Kubernetes",
            code(found["defaults"]["kubernetes"]),
            f"the requirement's floor is {found['floor']['kubernetes']}",
        ],
        ["Kubespray", code(found["defaults"]["kubespray"]), "installs it, unless another provisioner is chosen"],
        ["k3s", code(found["defaults"]["k3s"]), "of the same minor"],
        ["NVIDIA driver", code(found["defaults"]["driver"]), f"the floor is branch {found['floor']['driver']}"],
        [
            "Python, for Ansible of ours",
            code(f"ansible-core {versions.ANSIBLE_CORE}"),
            "runs the playbooks for k3s and kubeadm",
        ],
    ]
    works = f"All charts together work with Kubernetes {found['works']['kubernetes']}.\n"
    return "## Defaults\n\n" + table(["What", "Version", "Remark"], rows) + "\n" + works


def _installers() -> str:
    rows = [
        [
            code(each["tag"]), f"{each['kubernetes']} ({', '.join(each['newest'])})", each["containerd"], each["runc"],
            each["cni"], each["calico"], each["ansible"],
        ]
        for each in matrix()["kubespray"]
    ]  # fmt: skip
    columns = ["Kubespray", "Kubernetes (newest patches)", "containerd", "runc", "CNI plugins", "Calico", "Ansible"]
    said = "Each installs every patch of these minors up to the newest named. kubeadm takes the same parts.\n"
    return f"## Kubespray and kubeadm\n\n{said}\n{table(columns, rows)}"


def _charts() -> str:
    minors = sorted({minor for each in versions.KUBESPRAY.values() for minor in map(versions.minor_of, each.newest)})
    rows = [
        [
            cell(chart.name), code(chart.version), stated["kubernetes"],
            *(TICK if within(minor, chart.minors) else CROSS for minor in minors),
        ]
        for chart, stated in zip(versions.CHARTS.values(), matrix()["charts"], strict=True)
    ]  # fmt: skip
    columns = ["Chart", "Version", "Kubernetes, as stated", *map(versions.show, minors)]
    said = "Where a project states no bound, yes only means that nothing is known to speak against it.\n"
    return f"## Charts and Kubernetes\n\n{said}\n{table(columns, rows)}"


def _drivers() -> str:
    found = matrix()
    runtimes = [each["name"] for each in found["runtimes"]]
    rows = [
        [
            code(each["version"]), each["cuda"], each["operator"], each["kubernetes"],
            *(each["runtimes"][name] for name in runtimes), each["tested"],
        ]
        for each in found["drivers"]
    ]  # fmt: skip
    columns = ["Driver", "CUDA", "GPU operator", "Kubernetes", *(f"runtime {name}" for name in runtimes), "Tested"]
    images = table(
        ["Runtime", "Image", "CUDA in it"], [[e["name"], code(e["image"]), e["cuda"]] for e in found["runtimes"]]
    )
    said = (
        "native: the driver brings the image's CUDA or a newer one. compatible: the same major version, by NVIDIA's"
        " minor version compatibility. too old: refused.\n"
    )
    return f"## GPU drivers and serving runtimes\n\n{said}\n{table(columns, rows)}\n{images}"


def _images() -> str:
    clouds = [
        [name, code(image.path.rsplit("/", 1)[-1]), code(image.checksum[:19] + "…")]
        for name, image in versions.CLOUD_IMAGES.items()
    ]
    containers = [[name, code(image)] for name, image in versions.IMAGES.items()]
    return (
        f"## Images\n\nWhat VMs boot from:\n\n{table(['Image', 'File', 'Checksum'], clouds)}\n"
        "Container images that the program names itself; the others are pinned by their charts:\n\n"
        f"{table(['For', 'Image'], containers)}"
    )


def _engine() -> str:
    rows = [
        ["Pulumi engine", code(pins.engine_version()), f"supported on `PATH`: {pins.supported()}"],
        ["Python language host, where it is built", code(pins.langhost_version()), " "],
        ["libvirt plugin", code(pins.plugin_version()), "that of the Python SDK"],
    ]
    return f"## Engine and plugins\n\n{table(['What', 'Version', 'Remark'], rows)}"
