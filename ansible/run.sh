#!/usr/bin/env bash
# Run one step of making the Kubernetes cluster: ansible/run.sh STEP
#   inventory            write the files that come as JSON on stdin to $RUN_DIR/inventory
#   preflight            can every VM be reached, and is it fit for Kubernetes
#   control-plane, workers                install, by Kubespray or k3s
#   control-plane-check, workers-check    are the nodes Ready
#   kubeconfig           fetch it; this alone prints to stdout (a secret)
# Environment: RUN_DIR (.cloud/STACK), STACK, PROVISIONER (kubespray|k3s), SSH_KEY, NODES;
#   KUBESPRAY_TAG and KUBESPRAY_URL, or ANSIBLE_CORE; API_ADDRESS (optional); CACHE_DIR (default .cloud/cache).
# Every step may be run again. What it says goes to $RUN_DIR/logs/STEP.log; a failure shows the end of that and its path.
set -euo pipefail

step="${1:?which step? see the head of this file}"
cd "$(dirname "$0")/.."
cache="${CACHE_DIR:-.cloud/cache}"
inventory="$RUN_DIR/inventory/hosts.yaml"
log="$RUN_DIR/logs/$step.log"
lines_shown=25

# Put together a folder under another name and rename it, so that a run that was cut off leaves nothing half made.
fetch_kubespray() {
  local target="$cache/kubespray-$KUBESPRAY_TAG"
  [[ -d "$target" ]] && return
  rm -rf "$target.part"
  git clone --quiet --depth 1 --branch "$KUBESPRAY_TAG" "$KUBESPRAY_URL" "$target.part"
  mv "$target.part" "$target"
}

make_venv() { # make_venv FOLDER PIP-ARGUMENT...
  local target="$1"
  shift
  [[ -f "$target/.complete" ]] && return
  rm -rf "$target"
  python3 -m venv "$target"
  "$target/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  touch "$target/.complete"
}

prepare() {
  mkdir -p "$cache"
  # Two stacks may share the cache and come up side by side.
  exec 9>"$cache/.lock"
  flock 9
  if [[ "$PROVISIONER" == kubespray ]]; then
    fetch_kubespray
    make_venv "$cache/kubespray-$KUBESPRAY_TAG.venv" -r "$cache/kubespray-$KUBESPRAY_TAG/requirements.txt"
    venv="$cache/kubespray-$KUBESPRAY_TAG.venv"
  else
    make_venv "$cache/ansible-core-$ANSIBLE_CORE.venv" "ansible-core==$ANSIBLE_CORE"
    venv="$cache/ansible-core-$ANSIBLE_CORE.venv"
  fi
  exec 9>&-
}

play() { # play FOLDER PLAYBOOK ARGUMENT...: Kubespray finds its roles and ansible.cfg in its own folder
  local folder="$1" playbook="$2" root="$PWD"
  shift 2
  (cd "$folder" && ANSIBLE_NOCOLOR=1 ANSIBLE_FORCE_COLOR=0 "$root/$venv/bin/ansible-playbook" \
    -i "$root/$inventory" "$playbook" "$@")
}

ours() { # ours PLAYBOOK ARGUMENT...
  play ansible "$@"
}

kubespray() { # kubespray PLAYBOOK ARGUMENT...
  play "$cache/kubespray-$KUBESPRAY_TAG" "$@" --become
}

run_step() {
  if [[ "$step" == inventory ]]; then
    python3 ansible/write_files.py "$RUN_DIR/inventory"
    return
  fi
  prepare
  case "$step" in
    preflight) ours preflight.yml ;;
    control-plane)
      if [[ "$PROVISIONER" == kubespray ]]; then
        # With --limit Kubespray needs the facts of the hosts left out as well.
        kubespray playbooks/facts.yml
        kubespray cluster.yml --limit "kube_control_plane:etcd"
      else
        ours k3s.yml --limit kube_control_plane
      fi
      ;;
    control-plane-check) ours check.yml --extra-vars '{"check_group": "kube_control_plane"}' ;;
    workers)
      if [[ "$PROVISIONER" == kubespray ]]; then
        kubespray playbooks/facts.yml
        kubespray scale.yml --limit "kube_node:!kube_control_plane"
      else
        # The first control plane is in the limit for the token that workers join with.
        ours k3s.yml --limit "kube_control_plane[0]:kube_node"
      fi
      ;;
    workers-check) ours check.yml --extra-vars '{"check_group": "kube_node"}' ;;
    kubeconfig)
      ours kubeconfig.yml --extra-vars \
        "{\"kubeconfig_file\": \"$PWD/$RUN_DIR/kubeconfig\", \"api_address\": \"${API_ADDRESS:-}\"}"
      ;;
    *)
      echo "no such step: $step"
      return 2
      ;;
  esac
}

fail() {
  {
    echo "kubernetes step $step failed for stack $STACK; the end of its log:"
    tail -n "$lines_shown" "$log" | sed 's/^/  /'
    echo "whole log: $PWD/$log"
    echo "run it again with: pulumi up --stack $STACK (it goes on from this step)"
  } >&2
  exit 1
}

umask 077
mkdir -p "$RUN_DIR/logs"

# Each step runs in a shell of its own: set -e does not reach into a function whose status is tested.
if [[ -n "${IN_STEP:-}" ]]; then
  run_step
  exit
fi
started=$SECONDS
IN_STEP=1 ansible/run.sh "$step" >"$log" 2>&1 || fail
if [[ "$step" == kubeconfig ]]; then
  cat "$RUN_DIR/kubeconfig"
else
  echo "$step done in $((SECONDS - started)) s; log: $log"
fi
