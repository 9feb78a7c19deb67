#!/usr/bin/env bash
# NVIDIA's driver for a headless GPU worker, from the distribution's packages. Environment: DRIVER_BRANCH, e.g. 580.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

cloud-init status --wait || [[ $? -eq 2 ]]
apt-get update -q

# shellcheck disable=SC1091
source /etc/os-release
case "$ID" in
  ubuntu)
    # Kernel modules come built and signed for the running kernel: nothing is compiled on a node.
    apt-get install -y -q --no-install-recommends \
      "linux-modules-nvidia-$DRIVER_BRANCH-server-open-generic" \
      "nvidia-headless-no-dkms-$DRIVER_BRANCH-server-open" "nvidia-utils-$DRIVER_BRANCH-server"
    ;;
  debian)
    # Debian carries one branch only, and builds it.
    sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/' /etc/apt/sources.list.d/debian.sources
    apt-get update -q
    apt-get install -y -q --no-install-recommends linux-headers-amd64 nvidia-open-kernel-dkms nvidia-smi libcuda1
    ;;
  *)
    echo "no NVIDIA driver packages known for $ID; use images.source ubuntu-24.04" >&2
    exit 1
    ;;
esac

cat >/etc/modprobe.d/blacklist-nouveau.conf <<'EOF'
blacklist nouveau
options nouveau modeset=0
EOF
printf '%s\n' nvidia nvidia-uvm >/etc/modules-load.d/nvidia.conf
update-initramfs -u
