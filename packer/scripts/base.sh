#!/usr/bin/env bash
# What every node needs, whichever way Kubernetes comes: what containerd, kubelet and Calico expect of a host, the guest
# agent, the clock; no swap. Environment: APT_PROXY, a proxy for this build's packages, or empty.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

cloud-init status --wait || [[ $? -eq 2 ]] # 2: done, with complaints
# What would update this VM behind the build's back, and hold apt's locks meanwhile.
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service || true
if [[ -n "${APT_PROXY:-}" ]]; then
  echo "Acquire::http::Proxy \"$APT_PROXY\";" >/etc/apt/apt.conf.d/99-image-build # cleanup.sh takes it away
fi
# The lists are for this build alone: without translations and contents they come sooner.
apt-get update -q -o Acquire::Languages=none
apt-get upgrade -y -q # the kernel stays that of the source: a newer one comes with a newer source
# Kubespray and k3s look for these; chrony, because etcd and certificates want right clocks. Storage clients (NFS, iSCSI)
# are not among them: rpcbind would listen on every address for something that no service of ours uses.
# unattended-upgrades goes: nodes are changed by a new image, not by themselves at a time of their own.
apt-get install -y -q --no-install-recommends --purge --autoremove \
  qemu-guest-agent chrony python3 python3-apt ca-certificates curl openssl apparmor \
  conntrack ebtables ethtool iproute2 ipset iptables libseccomp2 rsync socat tar unzip \
  unattended-upgrades-

cat >/etc/modules-load.d/kubernetes.conf <<'EOS'
overlay
br_netfilter
EOS
cat >/etc/sysctl.d/90-kubernetes.conf <<'EOS'
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
net.ipv4.ip_forward = 1
# Model servers and Prometheus watch and open many files.
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 1048576
vm.max_map_count = 262144
EOS
# Without this the journal takes a tenth of the disk.
mkdir -p /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/50-limits.conf <<'EOS'
[Journal]
SystemMaxUse=500M
RuntimeMaxUse=64M
EOS

# kubelet refuses to run with swap.
swapoff -a
sed -i '/\sswap\s/d' /etc/fstab
rm -f /swapfile /swap.img
