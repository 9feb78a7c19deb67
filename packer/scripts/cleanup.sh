#!/usr/bin/env bash
# Take out what belongs to the build VM alone, so that each VM made from the image gets its own: keys, ids, cloud-init's
# memory, the build's user.
set -euo pipefail

apt-get clean
rm -rf /var/lib/apt/lists/*
rm -f /etc/ssh/ssh_host_*
truncate -s 0 /etc/machine-id
rm -f /var/lib/dbus/machine-id
rm -f /etc/sudoers.d/90-cloud-init-users /home/packer/.ssh/authorized_keys
passwd --lock packer
cloud-init clean --logs
rm -rf /var/lib/cloud /tmp/* /var/tmp/*
fstrim -av || true
sync
