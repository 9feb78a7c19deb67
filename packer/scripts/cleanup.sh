#!/usr/bin/env bash
# Take out what belongs to the build VM alone, so that each VM made from the image gets its own: keys, ids, cloud-init's
# memory, the network of the build, logs. Then give the disk's free space back. The last of the scripts.
set -euo pipefail

# These write on their way down, which would be after this: a random seed, the clock's drift, the journal's last lines.
systemctl stop systemd-random-seed.service chrony.service
journalctl --relinquish-var

apt-get clean
rm -rf /var/lib/apt/lists/* /etc/apt/apt.conf.d/99-image-build /var/cache/debconf/*-old /var/lib/dpkg/*-old
find /var/log -type f ! -name wtmp ! -name btmp ! -name lastlog ! -name faillog -delete
find /var/log -type f -exec truncate -s 0 {} +
rm -rf /var/log/journal/*

rm -f /etc/ssh/ssh_host_*
# Empty, not "uninitialized": with that word systemd would take the boot for an installation's first, and switch units
# on that are off on purpose.
truncate -s 0 /etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -rf /var/lib/dhcp/* /var/lib/chrony/* /var/lib/systemd/timesync /var/lib/systemd/network /var/lib/systemd/timers/*
rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init /etc/udev/rules.d/70-persistent-net.rules
echo localhost >/etc/hostname
sed -i '/image-build/d' /etc/hosts

cloud-init clean --logs
rm -rf /var/lib/cloud /root/.ssh /root/.cache /root/.bash_history /root/.lesshst
find /tmp /var/tmp -mindepth 1 -delete

sync
fstrim -av || true
