"""Installing Kubernetes: what Ansible, apt, containerd, etcd and kubeadm say, and what to do about it.

Texts: ansible-core 2.17 to 2.19, apt of Debian 12 and Ubuntu 24.04, containerd 2, kubeadm 1.32 to 1.35, Kubespray
v2.29 to v2.31 (roles/kubernetes/preinstall/tasks/0040-verify-settings.yml, roles/download), k3s 1.34; from their
sources.
"""

from __future__ import annotations

from cluster.remedies.fault import fault

UNREACHABLE = (
    fault(
        "node-key-refused",
        r"Permission denied \(publickey",
        "the node does not take our SSH key",
        "the key is access.ssh_private_key_file; its public half has to be in the node's ~/.ssh/authorized_keys, where"
        " cloud-init puts it at the first boot: a VM made with another key has to be made anew"
        " (pulumi up --replace with its URN), or add the key by hand",
    ),
    fault(
        "node-key-changed",
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed",
        "another machine answers at the node's address than the one we know",
        "if the VM was made anew by hand: ssh-keygen -f .cloud/{stack}/known_hosts -R ADDRESS; else find out who"
        " answers",
    ),
    fault(
        "node-unreachable",
        r"Failed to connect to the host via ssh|No route to host|Connection timed out|Connection refused.*port 22"
        r"|Data could not be sent to remote host",
        "the node does not answer by SSH",
        "is it running: virsh list --all; what hangs where: cloudctl net check --stack {stack}; its console:"
        " .cloud/{stack}/, virsh console NODE",
    ),
)
"""Why Ansible cannot get to a node at all. Of a task that ran and failed the same words mean another machine."""

FAULTS = (
    fault(
        "sudo",
        r"Missing sudo password|a password is required|is not in the sudoers file|incorrect sudo password",
        "the login may not become root without a password",
        "cloud-init gives access.user that right at the first boot; by hand, on the node:"
        " echo 'USER ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/90-cloud",
    ),
    fault(
        "python",
        r"/usr/bin/python3: (?:not found|No such file)|No python interpreters found|interpreter was not found",
        "the node has no Python",
        "on the node: sudo apt-get install python3; images of ours have it",
    ),
    fault(
        "apt-lock",
        r"Could not get lock /var/lib/(?:dpkg|apt)|Unable to acquire the dpkg frontend lock"
        r"|Failed to lock apt for exclusive operation|dpkg was interrupted",
        "another program installs packages on the node (unattended upgrades, mostly)",
        "wait some minutes and run the same again; for good: sudo systemctl disable --now unattended-upgrades"
        " apt-daily.timer; after an interrupted one: sudo dpkg --configure -a",
    ),
    fault(
        "apt-mirror",
        r"Failed to (?:update apt cache|fetch)|Unable to locate package|No package matching '[^']+' is available"
        r"|Temporary failure resolving",
        "the node cannot get packages from its mirror",
        "check its way out and its DNS (network.dns): cloudctl net check --stack {stack}; without internet set"
        " images.mirror, so that the packages are in the image",
    ),
    fault(
        "checksum",
        r"The checksum for \S+ did not match|checksum mismatch|Checksum verification failed|sha256:? ?mismatch",
        "a download is not what it should be: cut off, changed on its way, or from a mirror that holds another version",
        "run the same again; if it stays: remove it from the cache (on the first control plane: /tmp/releases) and"
        " compare the mirror in registry.files with the original",
    ),
    fault(
        "rsync",
        r'required executable "?rsync|rsync: (?:command )?not found|rsync error: (?:remote )?command not found',
        "there is no rsync, with which Kubespray hands its downloads on",
        "where Pulumi runs, and on the node if it is named there: sudo apt-get install rsync",
    ),
    fault(
        "image-pull",
        r"failed to pull (?:and unpack )?image|ErrImagePull|ImagePullBackOff|ImagePull\]|toomanyrequests"
        r"|x509: certificate signed by unknown authority.*(?:registry|v2/)|pull access denied",
        "a container image cannot be pulled",
        "from the node: sudo crictl pull IMAGE; a limit of the registry goes away with a mirror (registry.mirror); a"
        " mirror of one's own needs a certificate that the nodes trust",
    ),
    fault(
        "download",
        r"Request failed: <urlopen error|HTTP Error (?:403|404|429|5\d\d)|Could not download|status code (?:4|5)\d\d"
        r"|file not found.*(?:github|dl\.k8s)",
        "a file cannot be downloaded",
        "the address is in the message: try it from the node with curl -I; without internet serve the files yourself"
        " and set registry.files",
    ),
    fault(
        "etcd",
        r"etcd ?cluster is (?:unhealthy|unavailable)|etcdserver: (?:no leader|request timed out)"
        r"|context deadline exceeded.*2379|unhealthy cluster|etcd.*health.*(?:false|failed)"
        r"|failed to check the etcd cluster",
        "etcd is not healthy: too few of its members answer each other",
        "on a control plane: sudo journalctl -u etcd -n 50 (kubeadm: sudo crictl logs $(sudo crictl ps -q --name"
        " etcd)); slow disks and clocks that differ are the usual causes; ports 2379 and 2380: cloudctl net check"
        " --stack {stack}",
    ),
    fault(
        "swap",
        r"running with swap on is not supported|\[ERROR Swap\]|swap is (?:on|enabled)",
        "the node swaps, and kubelet refuses to start then",
        "on the node: sudo swapoff -a, and take the swap out of /etc/fstab",
    ),
    fault(
        "clock",
        r"certificate (?:has expired or )?is not yet valid|clock (?:skew|difference)|current time .* is before"
        r"|Release file .* is not valid yet",
        "the clocks of the nodes differ",
        "on the node: timedatectl; is NTP reachable? then: sudo systemctl restart systemd-timesyncd (or chrony)",
    ),
    fault(
        "disk-full",
        r"No space left on device|\[ERROR .*disk|not enough disk space|DiskPressure",
        "the node's disk is full",
        "on the node: df -h /; raise machines[].disk (an update, the data stays), then run the same again",
    ),
    fault(
        "memory",
        r"\[ERROR Mem\]|Assert(?:ion)? .*memtotal|ansible_memtotal_mb|Cannot allocate memory|Out of memory",
        "the node has too little memory",
        "raise machines[].memory; a control plane needs 1500 MiB, a worker 1024 MiB at least",
    ),
    fault(
        "cores",
        r"\[ERROR NumCPU\]",
        "the node has fewer than the two vCPUs that kubeadm asks for",
        "raise machines[].cores to 2 or more",
    ),
    fault(
        "port-taken",
        r"\[ERROR Port-\d+\]|bind: address already in use",
        "a port that Kubernetes needs is taken on the node",
        "who has it: sudo ss -ltnp; what an earlier installation left: sudo kubeadm reset",
    ),
    fault(
        "kernel-module",
        r"modprobe: FATAL|Module \S+ not found|FileContent--proc-sys-net-(?:bridge|ipv4)",
        "the node's kernel lacks a module or a setting that the pod network needs",
        "on the node: sudo modprobe -a br_netfilter overlay; Debian's cloud kernel has both, one's own may not",
    ),
    fault(
        "cgroups",
        r"cgroups? v1 support is in maintenance|cgroup v2.*required|missing required cgroups"
        r"|\[ERROR SystemVerification\]",
        "the node's control groups are not what kubelet needs",
        "cgroups v2 is the default of Debian 13 and Ubuntu 24.04; take systemd.unified_cgroup_hierarchy=0 off the"
        " kernel's command line",
    ),
    fault(
        "join-token",
        r"could not find a JWS signature|token .*(?:expired|invalid)|Unauthorized.*cluster-info",
        "the token with which nodes join is not valid any more",
        "run the same again: each run makes one of its own",
    ),
    fault(
        "kubelet",
        r"kubelet (?:isn't|is not) (?:running|healthy)|The kubelet is unhealthy|timed out waiting for the condition"
        r"|context deadline exceeded",
        "kubelet does not come up, or not in time",
        "on the node: sudo journalctl -u kubelet -n 50, sudo crictl ps -a; run the same again once that is mended",
    ),
    fault(
        "api",
        r"The connection to the server \S+ was refused|Unable to connect to the server|etcdserver: leader changed",
        "the API does not answer",
        "on the first control plane: sudo crictl ps -a, sudo journalctl -u kubelet -n 50; then run the same again",
    ),
)
"""In order, as in the table of libvirt's: the first that fits explains it."""
