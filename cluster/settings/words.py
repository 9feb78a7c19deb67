"""What each field needs, in words: how its error reads and what to write instead.

Every field with a pattern and every required field must stand here; a test goes through the model and looks.
"""

from __future__ import annotations

from collections.abc import Mapping

_URI = (
    "is not a place that models come from",
    "write s3://bucket/path, models:/name/version, hf://owner/name or pvc://claim/path",
)
_DIGEST = ("is not the SHA-256 of a manifest", "write its 64 hex digits, which cloudctl models sync prints")

PATTERNS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("Pool", "path"): ("is not an absolute path", "write for example /var/lib/libvirt/inference-cloud"),
    ("Host", "uri"): ("is not a libvirt URI for QEMU", "write qemu:///system or qemu+ssh://user@host/system"),
    ("Access", "user"): ("is not a Linux user name", "write for example cloud"),
    ("Access", "ssh_public_key"): (
        "is not an OpenSSH public key",
        "paste the one line of the .pub file, which begins with ssh-ed25519",
    ),
    ("Images", "checksum"): ("is not a checksum", "write sha256: and 64, or sha512: and 128, lower-case hex digits"),
    ("Images", "mirror"): ("is not a base URL", "write for example https://mirror.lan/cloud-images"),
    ("Machine", "machine_type"): ("is not a PCI Express machine of QEMU", "write q35, or for example pc-q35-8.2"),
    ("Machine", "cpu_pinning"): ("is not a list of host CPUs", "write for example 4-7,12-15"),
    ("Machine", "image"): ("is not an image's digest", "write the 12 hex digits of its file name, base-DIGEST.qcow2"),
    ("Gpu", "uuid"): ("is not a GPU's UUID", "write what nvidia-smi -L prints, GPU- and 36 hex digits and dashes"),
    ("Gpu", "siblings"): (
        "is neither auto nor a list of PCI addresses",
        "write siblings: auto, or list the other functions of the GPU's IOMMU group",
    ),
    ("Kubernetes", "version"): ("is not a version", "write three numbers without v, for example 1.34.3"),
    ("Charts", "source"): ("is neither a folder nor an OCI mirror", "write oci://host/path, /folder or ./folder"),
    ("Registry", "mirror"): ("is not a registry", "write host:port/path without a scheme, for example mirror.lan:5000"),
    ("Serving", "domain"): ("is not a domain", "write for example models.internal"),
    ("Monitoring", "federate"): ("is not host:port", "write for example prometheus.hpc.internal:9090"),
    ("Monitoring", "timers"): ("is not host:port", "write for example 192.168.200.1:9100"),
    ("Monitoring", "runbooks"): (
        "is not a URL with {alert} in it",
        "write for example https://docs.lan/runbooks/alerts/{alert}.md",
    ),
    ("Exporters", "node"): ("is not host:port", "write for example 192.168.200.1:9100"),
    ("Exporters", "libvirt"): ("is not host:port", "write for example 192.168.200.1:9177"),
    ("Webhook", "url"): ("is not a URL", "write for example https://alerts.lan/hook"),
    ("Watchdog", "url"): ("is not a URL", "write for example https://alerts.lan/alive"),
    ("Slack", "channel"): ("is not a channel", "write for example '#cluster', in quotes"),
    ("Mail", "sender"): ("is not an address", "write for example cluster@site.lan"),
    ("Mail", "smarthost"): ("is not host:port", "write for example mail.site.lan:587"),
    ("Monitoring", "textfiles"): (
        "is not an absolute path",
        "write for example /var/lib/prometheus/node-exporter, the folder of Debian's package",
    ),
    ("Model", "uri"): _URI,
    ("CpuVariant", "uri"): _URI,
    ("Model", "digest"): _DIGEST,
    ("CpuVariant", "digest"): _DIGEST,
    ("Container", "ready"): ("is not a path", "write for example /v2/health/ready"),
    ("Transfer", "source"): (
        "is not an absolute path",
        "write the folder as the host sees it, for example /beegfs/models",
    ),
    ("Transfer", "endpoint"): ("is not a URL", "write for example https://s3.models.internal:30443"),
    ("Transfer", "mlflow"): ("is not a URL", "write for example https://mlflow.models.internal:30443"),
    ("Backup", "place"): (
        "is neither an absolute path nor an S3 address",
        "write for example /mnt/nas/inference-cloud, or s3:https://s3.example.org/bucket/inference-cloud",
    ),
    ("Backup", "ca_file"): ("is not an absolute path", "write for example /etc/ssl/certs/site.pem"),
    ("Transfer", "ca_file"): ("is not an absolute path", "write for example /etc/ssl/certs/site.pem"),
}
"""(section, field) -> reason and remedy, where the value does not have the field's form."""

_SECRET = ("is missing", "make it with: cloudctl init {stack}")

REQUIRED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("Settings", "hosts"): ("is missing", "name the hosts that carry the VMs: - name: workstation"),
    ("Settings", "machines"): ("is missing", "name the VMs, a control plane at least; Pulumi.dev.yaml shows two"),
    ("Host", "name"): ("is missing", "write for example name: workstation"),
    ("Machine", "name"): ("is missing", "write for example name: control-1"),
    ("Machine", "role"): ("is missing", "write role: control-plane, worker or gpu-worker"),
    ("Machine", "cores"): ("is missing", "write for example cores: 6"),
    ("Machine", "memory"): ("is missing", "write for example memory: 12GiB"),
    ("Machine", "disk"): ("is missing", "write for example disk: 150GiB"),
    ("Machine", "address"): ("is missing", "write an address of network.cidr, for example address: 192.168.200.11"),
    ("Gpu", "address"): ("is missing", "write what lspci -D prints, for example address: '0000:41:00.0'"),
    ("Gpu", "siblings"): (
        "is missing: a GPU's audio and USB functions share its IOMMU group, and VFIO moves a group as a whole",
        "write siblings: auto, or list the other functions of the group",
    ),
    ("Model", "name"): ("is missing", "write for example name: llama"),
    ("Model", "uri"): ("is missing", "write for example uri: s3://models/llama"),
    ("Container", "image"): ("is missing", "write registry/repository:tag with a fixed tag"),
    ("Slack", "channel"): ("is missing", "write for example channel: '#cluster'"),
    ("Mail", "to"): ("is missing", "name who gets them: to: [you@site.lan]"),
    ("Mail", "sender"): ("is missing", "write for example sender: cluster@site.lan"),
    ("Mail", "smarthost"): ("is missing", "write for example smarthost: mail.site.lan:587"),
    ("Secrets", "object_store_root_password"): _SECRET,
    ("Secrets", "object_store_mlflow_password"): _SECRET,
    ("Secrets", "postgres_password"): _SECRET,
    ("Secrets", "mlflow_admin_password"): _SECRET,
    ("Secrets", "grafana_admin_password"): _SECRET,
    ("Secrets", "backup_password"): _SECRET,
    ("Backup", "place"): (
        "is missing",
        "write a folder outside this host, for example place: /mnt/nas/inference-cloud",
    ),
}
"""(section, field) -> reason and remedy, where a required field is left out."""

TYPES: Mapping[str, tuple[str, str]] = {
    "string_type": ("is not text", "write it in quotes"),
    "string_sub_type": ("is not text", "write it in quotes"),
    "string_unicode": ("is not text", "write it in quotes"),
    "int_type": ("is not a whole number", "write digits without quotes, e.g. 4"),
    "int_parsing": ("is not a whole number", "write digits without quotes, e.g. 4"),
    "int_parsing_size": ("is too large", "write a smaller number"),
    "int_from_float": ("is not a whole number", "write it without a decimal point"),
    "float_type": ("is not a number", "write digits without quotes, e.g. 1.5"),
    "float_parsing": ("is not a number", "write digits without quotes, e.g. 1.5"),
    "finite_number": ("is not a finite number", "write digits, e.g. 4"),
    "bool_type": ("is neither true nor false", "write true or false without quotes"),
    "bool_parsing": ("is neither true nor false", "write true or false without quotes"),
    "tuple_type": ("is not a list", "write each item on a line of its own, after '- '"),
    "model_type": ("is not a mapping", "write its keys below it, indented: key: value"),
    "model_attributes_type": ("is not a mapping", "write its keys below it, indented: key: value"),
    "too_short": ("is an empty list", "name at least one"),
    "ip_v4_address": ("is not an IPv4 address", "write four numbers with dots, e.g. 192.168.200.11"),
    "ip_v4_network": ("is not an IPv4 network", "write an address and a prefix length, e.g. 192.168.200.0/24"),
    "recursion_loop": ("holds itself", "take the alias out"),
}
"""Type of a shape error -> reason and remedy."""
