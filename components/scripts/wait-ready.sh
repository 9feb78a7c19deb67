#!/usr/bin/env bash
# Wait until a VM can be used: SSH answers and cloud-init is through.
# Environment: VM, ADDRESS, SSH_USER, SSH_KEY, KNOWN_HOSTS; SSH_JUMP (optional), READY_TIMEOUT (seconds, default 600).
set -euo pipefail

timeout="${READY_TIMEOUT:-600}"
key="${SSH_KEY/#\~/$HOME}"
mkdir -p "$(dirname "$KNOWN_HOSTS")"
touch "$KNOWN_HOSTS"
# A VM that was made anew has a new host key; under flock, since the VMs are waited for side by side.
flock "$KNOWN_HOSTS.lock" ssh-keygen -q -R "$ADDRESS" -f "$KNOWN_HOSTS" >/dev/null 2>&1 || true

options=(-i "$key" -o BatchMode=yes -o ConnectTimeout=5 -o UserKnownHostsFile="$KNOWN_HOSTS"
  -o StrictHostKeyChecking=accept-new)
if [[ -n "${SSH_JUMP:-}" ]]; then
  options+=(-o "ProxyJump=$SSH_JUMP")
fi

deadline=$((SECONDS + timeout))
last="no answer yet"
while ((SECONDS < deadline)); do
  # cloud-init's status: 0 done, 1 failed, 2 done with complaints, which its own log tells.
  rc=0
  last=$(ssh "${options[@]}" "$SSH_USER@$ADDRESS" sudo cloud-init status --wait 2>&1) || rc=$?
  case "$rc" in
    0 | 2)
      echo "$VM is ready at $ADDRESS"
      exit 0
      ;;
    1)
      echo "$VM: cloud-init failed: ${last##*$'\n'}; look at it with: ssh $SSH_USER@$ADDRESS sudo cloud-init status --long" >&2
      exit 1
      ;;
  esac
  sleep 5
done
echo "$VM: no SSH at $ADDRESS after ${timeout} s (${last##*$'\n'}); look at its console with: virsh console $VM" >&2
exit 1
