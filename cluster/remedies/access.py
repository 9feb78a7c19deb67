"""Getting to libvirt at all: names, SSH, sockets, rights; and a connection that was there and is gone."""

from __future__ import annotations

from cluster.remedies.fault import fault

_URI = "write qemu:///system, or qemu+ssh://USER@HOST/system for another machine, in hosts[].uri; check: {virsh} list"

FAULTS = (
    fault(
        "host-name",
        r"Could not resolve hostname (?P<host>[^\s:]+)|lookup (?P<name>\S+?)(?: on \S+)?: (?:no such host"
        r"|server misb|Tem)",
        "the name {host}{name} of the host is not known here",
        "mend it in hosts[].uri, or in DNS or /etc/hosts; check: ssh {host}{name} true",
    ),
    fault(
        "host-key-changed",
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|knownhosts: key mismatch",
        "the host answers with another SSH key than it had before",
        "find out why; if it was set up anew: ssh-keygen -R HOST, then log in once by hand and compare the fingerprint",
    ),
    fault(
        "host-key-unknown",
        r"Host key verification failed|knownhosts: key is unknown|failed to read ssh known hosts",
        "the host's SSH key is not known on the machine that runs Pulumi",
        "log in once by hand and compare the fingerprint (ssh USER@HOST); the key then stands in ~/.ssh/known_hosts",
    ),
    fault(
        "ssh-login",
        r"Permission denied \([a-z,-]+\)|ssh: unable to authenticate|could not configure SSH authentication methods"
        r"|Too many authentication failures",
        "the host does not let this user in by SSH",
        "give it your public key (ssh-copy-id USER@HOST) and name the user in hosts[].uri; a key with a passphrase"
        " needs a running ssh-agent",
    ),
    fault(
        "host-silent",
        r"No route to host|Network is unreachable|Connection timed out|Operation timed out|i/o timeout",
        "the machine does not answer over the network",
        "check that it is on, and that its SSH port is open to this machine: ssh USER@HOST true",
    ),
    fault(
        "port-refused",
        r"connect to host (?P<ssh>\S+ port \d+): Connection refused|dial tcp (?P<tcp>\S+): connect: connection refused"
        r"|unable to connect to server at '(?P<libvirt>[^']+)': Connection refused",
        "nothing listens at {ssh}{tcp}{libvirt}",
        "start SSH there (sudo systemctl enable --now ssh), or mend host and port; " + _URI,
    ),
    fault(
        "tls-certificate",
        r"Cannot read CA certificate|can't read certificate|can't locate resource '\S+\.pem'",
        "libvirt over TLS needs certificates that are not on this machine",
        "use qemu+ssh://USER@HOST/system in hosts[].uri, or lay the certificates out as libvirt's page on TLS says",
    ),
    fault(
        "wrong-uri",
        r"unexpected qemu URI path '(?P<path>[^']*)'|no connection driver available for (?P<driver>\S+)"
        r"|transport '(?P<transport>[^']*)' not implemented|Unable to parse URI",
        "the URI is not one of a libvirt for QEMU ({path}{driver}{transport})",
        _URI,
    ),
    fault(
        "no-permission",
        r"authentication unavailable: no polkit agent|authentication failed|access denied by policy"
        r"|connect socket.*: Permission denied|dial unix \S+: connect: permission denied",
        "this user may not use libvirt on the host",
        "on the host: sudo usermod -aG libvirt $USER, then log in again (groups must list libvirt); check: {virsh}"
        " list",
    ),
    fault(
        "remote-socket",
        r"failed to connect to libvirt on the remote host",
        "SSH gets to the host, but there libvirt does not run, or its socket is closed to this user",
        "on the host: sudo systemctl enable --now libvirtd && sudo usermod -aG libvirt $USER, then log in again;"
        " check: {virsh} list",
    ),
    fault(
        "libvirt-not-running",
        r"Failed to connect socket to '(?P<socket>[^']+)': (?:No such file or directory|Connection refused)"
        r"|dial unix (?P<path>\S+): connect: (?:no such file or directory|connection refused)",
        "libvirt does not run on the host: nobody listens at {socket}{path}",
        "on the host: sudo systemctl enable --now libvirtd (or virtqemud.socket, where libvirt is in parts); " + _URI,
    ),
    fault(
        "virsh-missing",
        r"virsh is not installed|no virsh on PATH",
        "virsh is not installed on the host",
        "on the host: sudo apt-get install libvirt-clients libvirt-daemon-system (Debian, Ubuntu)",
    ),
    fault(
        "libvirt-silent",
        r"virsh did not answer within|did not answer within \d+ s",
        "libvirt on the host does not answer",
        "look at it there: systemctl status libvirtd; journalctl -u libvirtd -n 50; then: sudo systemctl restart"
        " libvirtd",
    ),
    fault(
        "libvirt-busy",
        r"cannot acquire state change lock",
        "libvirt is still busy with this VM: an earlier operation on it has not ended",
        "wait and run the same again; if it stays so: sudo systemctl restart libvirtd (VMs run on); where virsh"
        " domstate VM --reason says 'paused (starting up)' even then, it was never started, and cloudctl up --stack"
        " {stack} says what to do",
    ),
)

LOST = (
    fault(
        "plugin-died",
        r"error reading from server: EOF|rpc error: code = Unavailable|transport is closing|plugin .* (?:exited"
        r"|crashed)",
        "the provider's process ended in the middle of its work; what it had begun may be there",
        "find it, and go on: {again}",
    ),
    fault(
        "connection-lost",
        r"procedure interrupted while awaiting response|End of file while reading data|Connection reset by peer"
        r"|broken pipe|use of closed network connection|client socket is closed|Cannot recv data|\bEOF$"
        r"|(?:^|: )invalid argument$",
        "libvirt, or the way to it, went away in the middle of the work; what was begun may be there",
        "start it again (sudo systemctl restart libvirtd; VMs run on), then find what was begun, and go on: {again}",
    ),
)
"""Looked at last: many errors that have a better reason end in such words."""
