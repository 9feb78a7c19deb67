#!/usr/bin/env bash
# Make this process a node: boot.sh FOLDER NAME KEY. Run in namespaces of its own: mounts, hostname, network, processes.
# Its files are the machine's own with a layer over them that goes with the process; then sshd runs in its root.
set -euo pipefail
folder="$1" name="$2" key="$3"
root="$folder/root"
mount -t tmpfs -o size=96m tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o size=16m tmpfs "$root/run"
mount -t tmpfs -o size=1200m tmpfs "$root/tmp"
mkdir -p "$root/run/sshd" "$root/run/netns"
hostname "$name"
echo "$name" >"$root/etc/hostname"
printf '%s\n' "$name" | md5sum | cut -c1-32 >"$root/etc/machine-id"
chroot "$root" useradd --create-home --shell /bin/bash --password '*' cloud
install -d -m 700 "$root/home/cloud/.ssh"
cp "$key.pub" "$root/home/cloud/.ssh/authorized_keys"
chroot "$root" chown -R cloud: /home/cloud/.ssh
echo 'cloud ALL=(ALL) NOPASSWD:ALL' >"$root/etc/sudoers.d/cloud"
ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/node_key"
cat >"$root/etc/ssh/node_config" <<CONFIG
HostKey /etc/ssh/node_key
UsePAM no
PasswordAuthentication no
PidFile none
CONFIG
ip link set lo up
exec chroot "$root" /usr/sbin/sshd -D -e -f /etc/ssh/node_config
