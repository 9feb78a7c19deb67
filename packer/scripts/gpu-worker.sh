#!/usr/bin/env bash
# A headless GPU worker. Environment: DRIVER, nvidia or none; DRIVER_BRANCH, e.g. 580; APT_PROXY, or empty.
#
# nvidia: the driver from the distribution's packages. none: the GPU operator's driver container brings it, compiler and
# kernel headers included; of the host it wants no other driver on the card, and two kernel modules that it loads first.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

cloud-init status --wait || [[ $? -eq 2 ]]
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service || true
if [[ -n "${APT_PROXY:-}" ]]; then
  echo "Acquire::http::Proxy \"$APT_PROXY\";" >/etc/apt/apt.conf.d/99-image-build # cleanup.sh takes it away
fi
apt-get update -q -o Acquire::Languages=none

# shellcheck disable=SC1091
source /etc/os-release

nvidia_driver() {
  case "$ID" in
    ubuntu)
      # Kernel modules come built and signed for the running kernel: nothing is compiled on a node.
      apt-get install -y -q --no-install-recommends \
        "linux-modules-nvidia-$DRIVER_BRANCH-server-open-generic" \
        "nvidia-headless-no-dkms-$DRIVER_BRANCH-server-open" "nvidia-utils-$DRIVER_BRANCH-server"
      ;;
    debian)
      # Debian carries one branch only, and builds it: for the newest kernel of this image's flavour, because the archive
      # does not keep the headers of an older one.
      find /etc/apt/sources.list.d -name '*.sources' \
        -exec sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/' {} +
      apt-get update -q -o Acquire::Languages=none
      flavour="$(uname -r | grep -oE '(cloud-)?[a-z0-9]+$')"
      apt-get install -y -q --no-install-recommends "linux-image-$flavour" "linux-headers-$flavour"
      apt-get install -y -q --no-install-recommends nvidia-open-kernel-dkms nvidia-smi libcuda1
      ;;
    *)
      echo "no NVIDIA driver packages known for $ID; use images.source ubuntu-24.04" >&2
      exit 1
      ;;
  esac
  printf '%s\n' nvidia nvidia-uvm >/etc/modules-load.d/nvidia.conf
}

operator_driver() {
  if ! modprobe --dry-run --all i2c_core ipmi_msghandler ipmi_devintf 2>/dev/null; then
    if [[ "$ID" != ubuntu ]]; then
      echo "the kernel of this image lacks ipmi_msghandler, which NVIDIA's driver container loads;" \
        "use images.source ubuntu-24.04, or images.gpu_worker_driver nvidia" >&2
      exit 1
    fi
    # Ubuntu's cloud image leaves the package with the less common modules out.
    apt-get install -y -q --no-install-recommends "linux-modules-extra-$(uname -r)"
  fi
  printf '%s\n' ipmi_msghandler >/etc/modules-load.d/nvidia.conf
}

case "$DRIVER" in
  nvidia) nvidia_driver ;;
  none) operator_driver ;;
  *)
    echo "DRIVER is '$DRIVER'; write nvidia or none" >&2
    exit 1
    ;;
esac

cat >/etc/modprobe.d/blacklist-nouveau.conf <<'EOS'
blacklist nouveau
options nouveau modeset=0
EOS
update-initramfs -u
