#!/usr/bin/env bash
# Build an image: packer/build.sh base|gpu-worker
# Environment: IMAGE_SOURCE (URL or file), IMAGE_CHECKSUM (sha256:..., sha512:... or none), IMAGE_SIZE_MIB,
# IMAGE_ACCELERATOR (kvm|tcg), IMAGE_OUTPUT (the file to make); for gpu-worker IMAGE_DRIVER (nvidia|none) and
# IMAGE_DRIVER_BRANCH. Optional: IMAGE_APT_PROXY, a proxy for the build VM's packages. Prints the file's path; progress
# goes to stderr, Packer's own output to a log, and what the image was made of to a JSON file beside it.
# The file is there complete or not at all; if it is whole, by the sum in that JSON file, nothing is built. What shapes
# the image is in the templates, scripts and seed, whose hash the caller puts into the file's name; nothing in here does.
# IMAGE_MARK and IMAGE_MAKING (optional): a file that gets this number once the image is there.
set -euo pipefail

kind="${1:?which image? base or gpu-worker}"
cd "$(dirname "$0")/.."
about="${IMAGE_OUTPUT%.qcow2}.json"

say() { echo "image $kind: $*" >&2; }
refuse() {
  say "$@"
  exit 1
}

# Say that the image is there.
finish() {
  touch "$about" # not older than the image: it has been looked at since the image was written
  if [[ -n "${IMAGE_MARK:-}" ]]; then
    mkdir -p "$(dirname "$IMAGE_MARK")"
    echo "${IMAGE_MAKING:-1}" >"$IMAGE_MARK"
  fi
  echo "$IMAGE_OUTPUT"
  exit 0
}

is_whole() {
  local told
  [[ -s "$IMAGE_OUTPUT" && -s "$about" ]] || return
  told="$(sed -n 's/^ *"sha256": "\([0-9a-f]*\)".*/\1/p' "$about")"
  [[ -n "$told" && "$told" == "$(sha256sum "$IMAGE_OUTPUT" | cut -d ' ' -f 1)" ]]
}

is_whole && finish
[[ ! -e "$IMAGE_OUTPUT" ]] || say "$IMAGE_OUTPUT is not what was built, so it is built again"

# ---- what can be known before anything long begins -------------------------------------------------------------------

declare -A package=([packer]="packer, see https://developer.hashicorp.com/packer/install"
  [qemu-system-x86_64]=qemu-system-x86 [qemu-img]=qemu-utils [ssh-keygen]=openssh-client [flock]=util-linux [setpriv]=util-linux [pkill]=procps)
missing=()
for tool in packer qemu-system-x86_64 qemu-img ssh-keygen flock setpriv pkill; do
  command -v "$tool" >/dev/null || missing+=("$tool (Debian and Ubuntu: ${package[$tool]})")
done
if ((${#missing[@]})); then
  printf -v list '%s; ' "${missing[@]}"
  refuse "not installed: ${list%; }"
fi
if [[ "$IMAGE_ACCELERATOR" == kvm && ! -w /dev/kvm ]]; then
  refuse "/dev/kvm is not there or not yours; join the group kvm, or set images.packer_accelerator to tcg, which is slow"
fi

# The sum that the file has in the algorithm that the checksum names.
sum_of() { "${IMAGE_CHECKSUM%%:*}sum" "$1" | cut -d ' ' -f 1; }

check_source_file() {
  local file="$1" format sum
  [[ -r "$file" && -s "$file" ]] || refuse "source $file is not there, empty or not readable;" \
    "correct images.url, or images.mirror if that is a folder"
  format="$(qemu-img info --output=json "$file" 2>/dev/null | sed -n 's/^ \{4\}"format": "\(.*\)",\{0,1\}$/\1/p')" || true
  [[ "$format" == qcow2 ]] || refuse "source $file is no qcow2 image (qemu-img says: ${format:-unreadable});" \
    "get it again, or convert it: qemu-img convert -O qcow2 FROM TO"
  if [[ "$IMAGE_CHECKSUM" != none ]]; then
    sum="$(sum_of "$file")"
    [[ "$sum" == "${IMAGE_CHECKSUM#*:}" ]] || refuse "source $file has ${IMAGE_CHECKSUM%%:*} $sum," \
      "not ${IMAGE_CHECKSUM#*:}; get it again, or correct images.checksum to what its publisher states"
  fi
  # 3: clusters that nothing uses any more, which is no harm.
  qemu-img check -q "$file" >/dev/null 2>&1 || [[ $? -eq 3 ]] ||
    refuse "source $file is corrupt (qemu-img check); get it again"
}

source="$IMAGE_SOURCE"
case "$source" in
  file://*) source="${source#file://}" ;;&
  http://* | https://*) ;;
  *)
    check_source_file "$source"
    source="$(realpath "$source")"
    ;;
esac

# ---- the build -------------------------------------------------------------------------------------------------------

folder="$(dirname "$IMAGE_OUTPUT")"
mkdir -p "$folder"
# One build of a kind at a time: another stack may want the same image, which is then there.
exec 9>"$folder/.$kind.lock"
if ! flock -n 9; then
  say "another build of it is at work; waiting for its end"
  flock 9
fi
is_whole && finish
# Under the lock nobody else has such a folder: what is there is of a build that was killed.
for dead in "$folder/.$kind".??????; do
  [[ -d "$dead" ]] || continue
  pkill -KILL -f -- "$(realpath "$dead" | sed 's/[][().*+?^$|{}\\]/\\&/g')/" || true
  rm -rf "$dead"
done
log="$(realpath "$folder")/$kind.log"
work="$(mktemp -d "$(realpath "$folder")/.$kind.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# A key for this build alone, and the templates of this image alone.
ssh-keygen -q -t ed25519 -N '' -C image-build -f "$work/key"
mkdir "$work/seed" "$work/hcl"
sed "s|@PUBLIC_KEY@|$(<"$work/key.pub")|" packer/seed/user-data >"$work/seed/user-data"
cp packer/seed/meta-data "$work/seed/"
cp -r packer/scripts packer/variables.pkr.hcl "packer/$kind.pkr.hcl" "$work/hcl/"

variables=(-var "source=$source" -var "checksum=$IMAGE_CHECKSUM" -var "size_mib=$IMAGE_SIZE_MIB"
  -var "accelerator=$IMAGE_ACCELERATOR" -var "output=$work/out" -var "seed=$work/seed" -var "ssh_key=$work/key")
[[ -z "${IMAGE_APT_PROXY:-}" ]] || variables+=(-var "apt_proxy=$IMAGE_APT_PROXY")
[[ -z "${IMAGE_DRIVER:-}" ]] || variables+=(-var "driver=$IMAGE_DRIVER")
[[ -z "${IMAGE_DRIVER_BRANCH:-}" ]] || variables+=(-var "driver_branch=$IMAGE_DRIVER_BRANCH")
# Downloads outlive a build that fails, and do not land in the project.
export PACKER_CACHE_DIR="${PACKER_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/packer}"
export CHECKPOINT_DISABLE=1 PACKER_NO_COLOR=1

build() {
  exec 9>&- # the lock is the script's alone: whatever outlives it must not keep the next build waiting
  # Before 1.7 plugins were part of Packer, and there was no "packer init".
  if packer init -help >/dev/null 2>&1; then
    cp packer/plugins.pkr.hcl "$work/hcl/"
    packer init "$work/hcl" || return
  fi
  # It becomes the pipeline's process and ends with this script, SIGKILL included; SIGTERM makes it take its VM away.
  exec setpriv --pdeathsig TERM -- packer build -color=false "${variables[@]}" "$work/hcl"
}

# The steps that take long, each with the seconds since the beginning; the rest is in the log.
show_steps() {
  exec 9>&-
  local line
  while IFS= read -r line; do
    case "$line" in
      *": Retrieving ISO"*) say "getting the source ($SECONDS s)" ;;
      *": Starting VM"*) say "booting the build VM ($SECONDS s)" ;;
      *": Provisioning with shell script: "*) say "running ${line##*/} ($SECONDS s)" ;;
      *": Gracefully halting"*) say "shutting the build VM down ($SECONDS s)" ;;
      *": Converting hard drive"*) say "compressing the image ($SECONDS s)" ;;
    esac
  done
}

# What is known to go wrong, in words of ours.
remedy() {
  if grep -qiE 'checksums? did(n.t| not) match|checksum.* mismatch' "$log"; then
    echo "the download is not what its checksum says; check the mirror or proxy, or correct images.checksum"
  elif grep -qE 'bad response code: 4(04|10)|error downloading.*40[34]' "$log"; then
    echo "$IMAGE_SOURCE is not there (any more); set images.url and images.checksum to a newer release, or images.mirror"
  elif grep -qiE 'no such host|could not resolve|temporary failure in name' "$log"; then
    echo "a name is not known here; set images.mirror to a server that this machine reaches"
  elif grep -qiE 'timeout waiting for SSH' "$log"; then
    echo "the build VM did not let Packer in; is the source a cloud image with cloud-init? does KVM work here? (images.packer_accelerator: tcg)"
  elif grep -qiE 'no space left' "$log"; then
    echo "the disk is full; a build needs about three times the image's size beside $folder"
  fi
}

say "building from $(sed 's|//[^/@]*@|//|; s|[?].*||' <<<"$IMAGE_SOURCE"); log: $log"
if ! build 2>&1 | tee "$log" 9>&- | show_steps; then
  {
    echo "image $kind was not built; the end of Packer's log:"
    tail -n 25 "$log" | sed 's/^/  /'
    echo "whole log: $log"
    told="$(remedy)"
    [[ -z "$told" ]] || echo "image $kind: $told"
  } >&2
  exit 1
fi

# ---- what was built --------------------------------------------------------------------------------------------------

made="$work/out/image.qcow2"
[[ -s "$made" ]] || refuse "Packer ended well but left no image; whole log: $log"

text() { # as a JSON string
  local plain="${1//\\/\\\\}"
  printf '"%s"' "${plain//\"/\\\"}"
}
name="$(basename "$IMAGE_OUTPUT" .qcow2)"
cat >"$work/about.json" <<JSON
{
  "image": $(text "$name"),
  "digest": $(text "${name##*-}"),
  "source": $(text "$(sed 's|//[^/@]*@|//|; s|[?].*||' <<<"$IMAGE_SOURCE")"),
  "checksum": $(text "$IMAGE_CHECKSUM"),
  "sha256": $(text "$(sha256sum "$made" | cut -d ' ' -f 1)"),
  "size_bytes": $(stat -c %s "$made"),
  "built": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "seconds": $SECONDS
}
JSON
mv "$work/about.json" "$about"
mv "$made" "$IMAGE_OUTPUT"
say "built in $SECONDS s, $(($(stat -c %s "$IMAGE_OUTPUT") / 1048576)) MiB"
finish
