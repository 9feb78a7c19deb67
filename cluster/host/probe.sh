#!/bin/sh
# Reads one host and changes nothing: run here, or by ssh on the host itself.
# Usage: sh probe.sh here|far LIBVIRT-URI POOL PATH...
#   here: this machine is the host; far: only libvirt can be asked (qemu+tls and the like)
#   POOL: the stack's own pool, PATH...: where its files will lie
# A line "@@ NAME" starts what was read; "@@! NAME" starts the reason why it could not be read.
export LC_ALL=C
where=$1
uri=$2
pool=$3
shift 3

text() { printf '@@ %s\n%s\n' "$1" "$2"; }
fail() { printf '@@! %s\n%s\n' "$1" "$2"; }

# ask NAME COMMAND...: the command's output, or the first lines of what it complained about. The script itself may come
# from standard input, so no command may read that.
ask() {
  what=$1
  shift
  if ! command -v "$1" >/dev/null 2>&1; then
    fail "$what" "$1 is not installed"
  elif out=$(timeout 20 "$@" 2>/dev/null </dev/null); then
    text "$what" "$out"
  else
    fail "$what" "$(timeout 20 "$@" 2>&1 >/dev/null </dev/null | grep -v '^$' | head -n 2)"
  fi
}

virsh_ask() {
  topic=$1
  shift
  ask "$topic" virsh -r -c "$uri" "$@"
}

link() { basename "$(readlink "$1" 2>/dev/null)" 2>/dev/null; }

cpu() {
  text kernel "$(uname -r)"
  # The flags of one processor are those of all.
  text cpuinfo "$(awk '!/^flags/ || !seen++' /proc/cpuinfo | grep -E '^(processor|vendor_id|model name|physical id|core id|flags)' | sed 's/[[:space:]]*:/:/')"
  if [ -e /dev/kvm ]; then text kvm yes; else text kvm no; fi
}

# Installed memory is what the kernel's memory blocks hold; MemTotal lacks what the kernel took for itself.
memory() {
  text meminfo "$(grep MemTotal /proc/meminfo)"
  blocks=0
  for file in /sys/devices/system/memory/memory*/online; do
    [ -r "$file" ] && read -r on <"$file" && [ "$on" = 1 ] && blocks=$((blocks + 1))
  done
  if [ "$blocks" -gt 0 ] && read -r size </sys/devices/system/memory/block_size_bytes; then
    text memory "$blocks $size"
  fi
}

nics() {
  if [ ! -d /sys/class/net ]; then
    fail nics "/sys/class/net is not there"
    return
  fi
  lines=
  bridges=
  for dir in /sys/class/net/*; do
    [ -d "$dir/bridge" ] && bridges="$bridges ${dir##*/}"
    [ -e "$dir/device" ] || continue
    speed=-
    state=unknown
    read -r speed 2>/dev/null <"$dir/speed" || speed=-
    read -r state 2>/dev/null <"$dir/operstate"
    lines="$lines${dir##*/} ${speed:--} $state
"
  done
  text nics "$lines"
  text bridges "$bridges"
}

pci() {
  if [ -d /sys/kernel/iommu_groups ]; then
    # shellcheck disable=SC2012 # the names are numbers
    text iommu "$(ls /sys/kernel/iommu_groups | wc -l)"
  else
    fail iommu "/sys/kernel/iommu_groups is not there"
  fi
  if [ ! -d /sys/bus/pci/devices ]; then
    fail pci "/sys/bus/pci/devices is not there"
    return
  fi
  printf '@@ pci\n'
  for dir in /sys/bus/pci/devices/*; do
    [ -r "$dir/class" ] || continue
    read -r class <"$dir/class"
    read -r vendor <"$dir/vendor"
    read -r device <"$dir/device"
    driver=-
    group=-
    [ -e "$dir/driver" ] && driver=$(link "$dir/driver")
    [ -e "$dir/iommu_group" ] && group=$(link "$dir/iommu_group")
    printf '%s %s %s %s %s %s\n' "${dir##*/}" "$class" "$vendor" "$device" "$driver" "$group"
  done
  ask lspci lspci -Dnnk
}

nvidia() {
  if [ -e /proc/driver/nvidia/version ]; then
    ask nvidia nvidia-smi --query-gpu=pci.bus_id,name,serial,uuid,compute_cap,memory.total --format=csv,noheader,nounits
  else
    fail nvidia "the NVIDIA driver is not loaded"
  fi
}

# space NAME PATH: the file system of a path, or of the nearest folder above it that is there, and the disks below it.
space() {
  name=$1
  path=$2
  while [ ! -e "$path" ] && [ "$path" != / ]; do path=$(dirname "$path"); done
  ask "df $name" df -Pk "$path"
  source=$(df -Pk "$path" 2>/dev/null | awk 'NR == 2 { print $1 }')
  case $source in
  /dev/*) ask "blocks $name" lsblk -snro NAME,ROTA,TYPE "$source" ;;
  esac
}

libvirt() {
  virsh_ask version version
  virsh_ask domains list --all --name
  virsh_ask running list --state-running --name
  virsh_ask paused list --state-paused --name
  virsh_ask autostart list --all --autostart --name
  virsh -r -c "$uri" list --all --name 2>/dev/null </dev/null | while read -r domain; do
    [ -n "$domain" ] && virsh_ask "domain $domain" dumpxml "$domain"
  done
  virsh_ask pools pool-list --all --name
  virsh -r -c "$uri" pool-list --all --name 2>/dev/null </dev/null | while read -r each; do
    [ -n "$each" ] || continue
    xml=$(virsh -r -c "$uri" pool-dumpxml "$each" 2>/dev/null </dev/null)
    text "pool $each" "$xml"
    path=$(printf '%s\n' "$xml" | sed -n 's|.*<path>\(.*\)</path>.*|\1|p' | head -n 1)
    [ -n "$path" ] && [ "$where" = here ] && space "$each" "$path"
    # Of our own pool also what our volumes take: the rest is others'.
    [ "$each" = "$pool" ] && virsh -r -c "$uri" vol-list "$each" 2>/dev/null </dev/null | awk 'NR > 2 && NF { print $1 }' |
      while read -r volume; do virsh_ask "volume $volume" vol-dumpxml --pool "$each" "$volume"; done
  done
}

# What libvirt tells of a host that cannot be read otherwise.
hardware_by_libvirt() {
  virsh_ask capabilities capabilities
  virsh_ask nodeinfo nodeinfo
  virsh_ask nodedevs nodedev-list --cap pci
  virsh -r -c "$uri" nodedev-list --cap pci 2>/dev/null </dev/null | while read -r each; do
    [ -n "$each" ] && virsh_ask "nodedev $each" nodedev-dumpxml "$each"
  done
}

if [ "$where" = here ]; then
  cpu
  memory
  nics
  pci
  nvidia
  for path in "$@"; do space "path:$path" "$path"; done
else
  hardware_by_libvirt
fi
if command -v virsh >/dev/null 2>&1; then libvirt; else fail domains "virsh is not installed"; fi
exit 0
