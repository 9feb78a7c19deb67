#!/usr/bin/env bash
# Build an image: packer/build.sh base|gpu-worker
# Environment: IMAGE_SOURCE (URL or file), IMAGE_CHECKSUM, IMAGE_SIZE_MIB, IMAGE_ACCELERATOR (kvm|tcg), IMAGE_OUTPUT (the
# file to make); for gpu-worker IMAGE_DRIVER_BRANCH. Prints the file's path. Packer's own output goes to a log.
# The file is there complete or not at all; if it is there, nothing is built.
set -euo pipefail

kind="${1:?which image? base or gpu-worker}"
cd "$(dirname "$0")/.."
if [[ -s "$IMAGE_OUTPUT" ]]; then
  echo "$IMAGE_OUTPUT"
  exit 0
fi

if ! command -v packer >/dev/null; then
  echo "image $kind: packer is not installed; see https://developer.hashicorp.com/packer/install" >&2
  exit 1
fi

folder="$(dirname "$IMAGE_OUTPUT")"
log="$folder/$kind.log"
mkdir -p "$folder"
work="$(mktemp -d "$folder/.$kind.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# A key for this build alone, and the templates of this image alone.
ssh-keygen -q -t ed25519 -N '' -C image-build -f "$work/key"
mkdir "$work/seed" "$work/hcl"
sed "s|@PUBLIC_KEY@|$(<"$work/key.pub")|" packer/seed/user-data >"$work/seed/user-data"
cp packer/seed/meta-data "$work/seed/"
cp -r packer/scripts packer/variables.pkr.hcl "packer/$kind.pkr.hcl" "$work/hcl/"

source="$IMAGE_SOURCE"
if [[ -f "$source" ]]; then
  source="$(realpath "$source")"
fi
variables=(-var "source=$source" -var "checksum=$IMAGE_CHECKSUM" -var "size_mib=$IMAGE_SIZE_MIB"
  -var "accelerator=$IMAGE_ACCELERATOR" -var "output=$work/out" -var "seed=$work/seed" -var "ssh_key=$work/key")
if [[ -n "${IMAGE_DRIVER_BRANCH:-}" ]]; then
  variables+=(-var "driver_branch=$IMAGE_DRIVER_BRANCH")
fi

build() {
  # Before 1.7 plugins were part of Packer, and there was no "packer init".
  if packer init -help >/dev/null 2>&1; then
    cp packer/plugins.pkr.hcl "$work/hcl/"
    packer init "$work/hcl" || return
  fi
  packer build -color=false "${variables[@]}" "$work/hcl"
}

if ! build >"$log" 2>&1; then
  {
    echo "image $kind was not built; the end of Packer's log:"
    tail -n 25 "$log" | sed 's/^/  /'
    echo "whole log: $PWD/$log"
  } >&2
  exit 1
fi
mv "$work/out/image.qcow2" "$IMAGE_OUTPUT"
echo "$IMAGE_OUTPUT"
