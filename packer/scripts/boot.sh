#!/usr/bin/env bash
# A quick boot that can be watched: cloud-init looks for its seed where it is, nothing waits for a person or a service
# that is not there, and the serial console shows what happens.
set -euo pipefail

# A VM's seed is a disk. The other sources are for clouds; looking for them takes Python seconds.
# RSA host keys take longest to make, and no client needs them any more.
cat >/etc/cloud/cloud.cfg.d/95-image.cfg <<'EOS'
datasource_list: [NoCloud, None]
ssh_genkeytypes: [ed25519, ecdsa]
ssh:
  emit_keys_to_console: false
# Asks where the boot loader is, for upgrades of a package that the image has configured already.
grub_dpkg:
  enabled: false
EOS
# In the file that cloud-init would write: it finds nothing to change, and need not restart the server at first boot.
mkdir -p /etc/ssh/sshd_config.d
cat >/etc/ssh/sshd_config.d/50-cloud-init.conf <<'EOS'
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
EOS

# The network is there when there is a way out. systemd's own check also waits for what IPv6 may still bring, which on a
# network without a router for it takes many seconds, at every boot and before SSH.
mkdir -p /etc/systemd/system/systemd-networkd-wait-online.service.d
cat >/etc/systemd/system/systemd-networkd-wait-online.service.d/50-image.conf <<'EOS'
[Service]
ExecStart=
ExecStart=/bin/sh -c 'for _ in $$(seq 300); do ip -4 route show default | grep -q via && exit 0; sleep 0.1; done; exit 1'
EOS

mkdir -p /etc/default/grub.d
cat >/etc/default/grub.d/99-image.cfg <<'EOS'
GRUB_TIMEOUT=0
GRUB_TIMEOUT_STYLE=hidden
GRUB_RECORDFAIL_TIMEOUT=0
GRUB_DISABLE_OS_PROBER=true
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 consoleblank=0"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --speed=115200"
EOS
update-grub
systemctl enable serial-getty@ttyS0.service

# Not there in every distribution. What they do is either a new image's business (updates), a cloud's (pollinate), or for
# hardware that a VM of ours has not (LVM snapshots, multipath, modems).
units=(
  apt-daily.timer apt-daily-upgrade.timer man-db.timer motd-news.timer update-notifier-download.timer
  update-notifier-motd.timer ua-timer.timer ubuntu-advantage.service e2scrub_all.timer e2scrub_reap.service
  pollinate.service apport.service multipathd.service multipathd.socket ModemManager.service
  snapd.service snapd.socket snapd.seeded.service lxd-installer.socket
)
mapfile -t found < <(systemctl list-unit-files --no-legend "${units[@]}" | cut -d ' ' -f 1)
((${#found[@]} == 0)) || systemctl disable "${found[@]}"
