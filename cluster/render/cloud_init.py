"""Cloud-init's three texts for a VM. Values are typed or quoted as JSON, which YAML reads as it is.

``user_data`` is the same for every VM of a stack, so it is rendered once; names and addresses are in the other two.
"""

from __future__ import annotations

import json

from cluster.settings.model import Access, Machine, Network

_USER_DATA = """\
#cloud-config
users:
  - name: {user}
    shell: /bin/bash
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    lock_passwd: true
    ssh_authorized_keys:
      - {key}
disable_root: true
ssh_pwauth: false
growpart:
  mode: auto
  devices: ["/"]
swap:
  size: 0
runcmd:
  - [systemctl, enable, --now, qemu-guest-agent]
"""

_META_DATA = """\
instance-id: {instance}
local-hostname: {name}
"""

_NETWORK = """\
version: 2
ethernets:
  primary:
    match:
      macaddress: "{mac}"
    dhcp4: false
    dhcp6: false
    mtu: {mtu}
    addresses: ["{address}/{prefix}"]
    routes:
      - to: 0.0.0.0/0
        via: {gateway}
    nameservers:
      addresses: {dns}
"""


def user_data(access: Access) -> str:
    """Return the user-data: one user, who logs in by key only and may become root; the guest agent runs.

    The agent itself is in the image: installing it here would need the network at first boot.
    """
    if access.ssh_public_key is None:
        raise ValueError("access.ssh_public_key is not set; make a key pair with: cloudctl init STACK")
    return _USER_DATA.format(user=access.user, key=json.dumps(access.ssh_public_key.strip()))


def meta_data(stack: str, machine: Machine, network: Network) -> str:
    """Return the meta-data: the VM's name, and an instance id.

    Another instance id makes cloud-init set the VM up again at its next start, host keys and all. So it holds what the
    VM is known by: its name within its stack, and its address, which cloud-init sets for a new instance only.
    """
    address = f"{machine.address}-{network.cidr.prefixlen}"
    return _META_DATA.format(instance=f"{stack}-{machine.name}-{address}", name=machine.name)


def network_config(machine: Machine, network: Network, mac: str) -> str:
    """Return the network-config, version 2: one interface, found by its MAC address, with a static IPv4 address."""
    return _NETWORK.format(
        mac=mac,
        mtu=network.mtu,
        address=machine.address,
        prefix=network.cidr.prefixlen,
        gateway=network.gateway,
        dns=json.dumps([str(each) for each in network.dns]),
    )
