#!/usr/bin/env bash
# Run a command in a root of its own that is laid over this machine's: what it installs, writes and removes is gone
# afterwards. $1: a folder for what is written, $2: the stand-in for systemctl; then the command.
set -euo pipefail
folder=$1 systemctl=$2
shift 2
mount -t tmpfs -o size=2G tmpfs "$folder"
mkdir "$folder"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
mount --rbind /dev "$folder/root/dev"
mount -t proc proc "$folder/root/proc"
mount -t tmpfs tmpfs "$folder/root/run"
install -m 755 "$systemctl" "$folder/root/usr/bin/systemctl"
# no package starts its service by itself: systemd would, with the drop-in that is there already
printf '#!/bin/sh\nexit 101\n' > "$folder/root/usr/sbin/policy-rc.d"
chmod 755 "$folder/root/usr/sbin/policy-rc.d"
exec chroot "$folder/root" /usr/bin/env -C "$PWD" "$@"
