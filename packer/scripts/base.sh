#!/usr/bin/env bash
# What every node needs, whichever way Kubernetes comes: guest agent, kernel modules, sysctls, tools; no swap.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

cloud-init status --wait || [[ $? -eq 2 ]] # 2: done, with complaints
apt-get update -q
apt-get upgrade -y -q
apt-get install -y -q --no-install-recommends \
  qemu-guest-agent python3 python3-apt ca-certificates curl gnupg chrony \
  conntrack ebtables ethtool iproute2 ipset iptables nfs-common open-iscsi socat tar unzip

cat >/etc/modules-load.d/kubernetes.conf <<'EOF'
overlay
br_netfilter
EOF
cat >/etc/sysctl.d/90-kubernetes.conf <<'EOF'
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
net.ipv4.ip_forward = 1
# Model servers and Prometheus watch and open many files.
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 1048576
vm.max_map_count = 262144
EOF

# kubelet refuses to run with swap.
swapoff -a
sed -i '/\sswap\s/d' /etc/fstab

systemctl enable qemu-guest-agent chrony
# Nodes are changed by a new image, not by themselves at a time of their own.
systemctl disable --now apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
