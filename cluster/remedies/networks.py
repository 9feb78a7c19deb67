"""Networks: names, bridges and addresses that someone else has."""

from __future__ import annotations

from cluster.remedies.fault import fault

FAULTS = (
    fault(
        "network-name-taken",
        r"network '(?P<network>[^']+)' already exists with uuid (?P<uuid>[0-9a-f-]+)",
        "someone else's network is called {network} (uuid {uuid}); it was not touched",
        "choose another network.name; what it is: {virsh} net-dumpxml {network}",
    ),
    fault(
        "network-running",
        r"network is already active",
        "the network is there already and runs, but the state does not know it: an earlier run was cut off",
        "{again}",
    ),
    fault(
        "network-address-taken",
        r"Network is already in use by interface (?P<interface>\S+)",
        "interface {interface} of the host is in the network that our VMs are to have",
        "choose another network.cidr, gateway and addresses; what the host has: ip -4 route",
    ),
    fault(
        "bridge-taken",
        r"bridge name '(?P<bridge>[^']+)' already in use|creating bridge interface (?P<other>\S+): File exists",
        "the host has a bridge {bridge}{other} already",
        "whose it is: {virsh} net-list --all, ip link show {bridge}{other}; one that no network has, as a crash of"
        " libvirt leaves it: sudo ip link delete {bridge}{other}; else run the same again, and libvirt picks another",
    ),
    fault(
        "dns-address-taken",
        r"failed to create listening socket for (?P<address>[0-9a-f.:]+): Address already in use",
        "something on the host answers DNS at {address} already",
        "which: sudo ss -lunp sport = :53; let that server listen on its own interfaces only, or choose another"
        " network.cidr",
    ),
    fault(
        "dnsmasq-missing",
        r"Cannot find 'dnsmasq' in path|dnsmasq binary .* (?:doesn't exist|not found)",
        "dnsmasq is not installed on the host; libvirt's networks need it",
        "on the host: sudo apt-get install dnsmasq-base",
    ),
    fault(
        "firewall",
        r"Failed to (?:apply|initialize|run) firewall|firewall backend|(?:ip6?tables|nft)\S* .*(?:failed"
        r"|unexpected exit)",
        "libvirt could not set the firewall rules of its network on the host",
        "on the host: check that iptables or nft works (sudo iptables -L -n), then: sudo systemctl restart libvirtd",
    ),
    fault(
        "network-missing",
        r"no network with matching (?:name|uuid) '(?P<network>[^']+)'|can't retrieve network(?: ID)? '?(?P<id>[^\s']+)",
        "the network {network}{id} is not there any more",
        "pulumi refresh --stack {stack}, then run the same again; what is there: {virsh} net-list --all",
    ),
    fault(
        "bridge-missing",
        r"Cannot get interface MTU on '(?P<bridge>[^']+)': No such device|Unable to add bridge (?P<other>\S+) port",
        "the host has no bridge {bridge}{other}",
        "make it in the host's network configuration, set network.bridge to one that is there, or network.mode: nat",
    ),
)
