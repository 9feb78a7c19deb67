#!/bin/sh
# Reads one host and changes nothing: run here, or by ssh on the host itself.
# Usage: sh probe.sh here|far LIBVIRT-URI POOL POOL-PATH BRIDGE [ADDRESS=MAC...]
#   here: this machine is the host; far: only libvirt can be asked (qemu+tls and the like)
#   POOL: the stack's own pool, POOL-PATH: where its files will lie
#   BRIDGE: the host's bridge that the VMs join, - for none
#   ADDRESS=MAC: a planned address and the MAC address of the VM that is to have it; asked for who answers there
# A line "@@ NAME" starts what was read; "@@! NAME" starts the reason why it could not be read.
export LC_ALL=C
where=$1
uri=$2
pool=$3
path=$4
bridge=$5
shift 5

text() { printf '@@ %s\n%s\n' "$1" "$2"; }
fail() { printf '@@! %s\n%s\n' "$1" "$2"; }

# ask NAME COMMAND...: the command's output, or the first lines of what it complained about. The script itself may come
# from standard input, so no command may read that.
ask() {
  what=$1
  shift
  if ! command -v "$1" >/dev/null 2>&1; then
    fail "$what" "$1 is not installed"
    return 1
  fi
  out=$(timeout 20 "$@" 2>/dev/null </dev/null)
  status=$?
  if [ $status -eq 0 ]; then
    text "$what" "$out"
    return 0
  elif [ $status -eq 124 ]; then
    fail "$what" "$1 did not answer within 20 s"
  else
    # Some tools complain on standard output.
    why=$(timeout 20 "$@" 2>&1 >/dev/null </dev/null | grep -v '^$' | head -n 2)
    [ -n "$why" ] || why=$(printf '%s\n' "$out" | grep -v '^$' | head -n 2)
    fail "$what" "${why:-$1 ended with exit status $status}"
  fi
  return 1
}

virsh_ask() {
  topic=$1
  shift
  ask "$topic" virsh -r -c "$uri" "$@"
}

# each COMMAND...: the names that a virsh list prints
each() { timeout 20 virsh -r -c "$uri" "$@" --name 2>/dev/null </dev/null | grep -v '^$'; }

link() { basename "$(readlink "$1" 2>/dev/null)" 2>/dev/null; }

cpu() {
  text kernel "$(uname -r)"
  ask boot cat /proc/sys/kernel/random/boot_id
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
  if [ -r /proc/net/route ]; then text routes "$(cat /proc/net/route)"; else fail routes "/proc/net/route is not there"; fi
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
  # The firmware's names of slots, where it has any: which one the card at an address is in.
  slots=
  for slot in /sys/bus/pci/slots/*; do
    [ -r "$slot/address" ] && read -r address <"$slot/address" && slots="$slots$address ${slot##*/}
"
  done
  text slots "$slots"
}

# Without its driver nvidia-smi would load it.
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
  place=$2
  while [ ! -e "$place" ] && [ "$place" != / ]; do place=$(dirname "$place"); done
  ask "df $name" df -Pk "$place"
  source=$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print $1 }')
  case $source in
  /dev/*) ask "blocks $name" lsblk -snro NAME,ROTA,TYPE "$source" ;;
  esac
}

libvirt() {
  # Reading is allowed to more users than changing: the update will need both.
  ask manage virsh -c "$uri" uri
  virsh_ask version version
  virsh_ask capabilities capabilities
  virsh_ask domains list --all --name
  virsh_ask active list --name
  running=$(printf '%s\n' "$out" | sed 's/ *$//')
  virsh_ask paused list --state-paused --name
  virsh_ask autostart list --all --autostart --name
  each list --all | while read -r one; do
    virsh_ask "domain $one" dumpxml "$one"
    # What runs may differ from what its next start will take: a device that was given or taken only now, or only then.
    printf '%s\n' "$running" | grep -qxF -- "$one" && virsh_ask "inactive $one" dumpxml --inactive "$one"
  done
  virsh_ask networks net-list --all --name
  virsh_ask active-networks net-list --name
  each net-list --all | while read -r one; do virsh_ask "network $one" net-dumpxml "$one"; done
  virsh_ask pools pool-list --all --name
  virsh_ask active-pools pool-list --name
  each pool-list --all | while read -r one; do
    virsh_ask "pool $one" pool-dumpxml "$one"
    if [ "$where" = here ]; then
      place=$(timeout 20 virsh -r -c "$uri" pool-dumpxml "$one" 2>/dev/null </dev/null | sed -n 's|.*<path>\(.*\)</path>.*|\1|p' | head -n 1)
      [ -n "$place" ] && space "$one" "$place"
    fi
    # Of our own pool also what our volumes take: the rest is others'.
    [ "$one" = "$pool" ] && timeout 20 virsh -r -c "$uri" vol-list "$one" 2>/dev/null </dev/null | awk 'NR > 2 && NF { print $1 }' |
      while read -r volume; do virsh_ask "volume $volume" vol-dumpxml --pool "$one" "$volume"; done
  done
}

# What libvirt tells of a host that cannot be read otherwise.
hardware_by_libvirt() {
  virsh_ask nodeinfo nodeinfo
  virsh_ask nodedevs nodedev-list --cap pci
  timeout 20 virsh -r -c "$uri" nodedev-list --cap pci 2>/dev/null </dev/null | while read -r one; do
    [ -n "$one" ] && virsh_ask "nodedev $one" nodedev-dumpxml "$one"
  done
}

# knock ADDRESS: send it something that needs no right and no answer, so that the kernel has to ask who it is (ARP).
knock() {
  if command -v bash >/dev/null 2>&1; then
    bash -c 'echo >"/dev/udp/$0/9"' "$1" 2>/dev/null
  else
    ping -c 1 -W 1 "$1" >/dev/null 2>&1
  fi
}

# neighbour ADDRESS: its MAC address and what the kernel holds of it, e.g. "52:54:00:aa:bb:cc REACHABLE"
neighbour() { ip -4 neigh show to "$1" | awk 'NR == 1 { for (i = 1; i < NF; i++) if ($i == "lladdr") print $(i + 1), $NF }'; }

# wait_for ADDRESS: say who answers there. An entry of old is asked anew by the kernel, which takes it up to ten seconds.
wait_for() {
  tries=0
  while [ $tries -lt 40 ]; do
    found=$(neighbour "$1")
    case $found in
    *' REACHABLE' | *' PERMANENT' | *' NOARP')
      printf '%s %s\n' "$1" "${found%% *}"
      return
      ;;
    *' FAILED') return ;;
    '') ip -4 neigh show to "$1" | grep -q INCOMPLETE || return ;;
    esac
    tries=$((tries + 1))
    sleep 0.3
  done
}

# own ADDRESS: the host's own address, with the MAC address of its interface
own() {
  device=$(ip -4 -o addr show to "$1" | awk 'NR == 1 { print $2 }')
  mac=$(ip -o link show dev "${device:-lo}" | sed -n '1s/.*link\/[a-z]* \([0-9a-f:]*\).*/\1/p')
  printf '%s %s\n' "$1" "${mac:-00:00:00:00:00:00}"
}

# beyond ADDRESS: ask on a bridge on which the host itself has no address, which takes the right to send raw frames.
beyond() {
  mac=$(timeout 5 arping "$probe" -c 2 -w 2 -I "$bridge" "$1" 2>/dev/null </dev/null | grep -oiE '([0-9a-f]{2}:){5}[0-9a-f]{2}' | head -n 1)
  [ -n "$mac" ] && printf '%s %s\n' "$1" "$mac"
}

# answers ADDRESS=MAC...: who answers at the planned addresses now; where the kernel knows the VM itself there, nobody
# has to be asked. An address that no network of this host leads to cannot be taken on one.
answers() {
  near=
  far=
  mine=
  for pair in "$@"; do
    address=${pair%%=*}
    case $(ip -4 route get "$address" 2>/dev/null | head -n 1) in
    'local '*) mine="$mine $address" ;;
    '' | *' via '*) [ "$bridge" = - ] || far="$far $address" ;;
    *) case $(neighbour "$address") in "${pair#*=} "*) ;; *) near="$near $address" ;; esac ;;
    esac
  done
  if [ -n "$far" ]; then
    if ! command -v arping >/dev/null 2>&1; then
      fail answers "this host has no address in the network of bridge $bridge, and arping is not installed"
      return
    fi
    # There are two programs of that name: from no address of its own each asks by an option of its own.
    case $(arping -V 2>&1) in *iputils*) probe=-D ;; *) probe=-0 ;; esac
    if ! complaint=$(arping_works "${far##* }"); then
      fail answers "arping on bridge $bridge: $complaint"
      return
    fi
  elif [ -n "$near" ] && ! command -v bash >/dev/null 2>&1 && ! command -v ping >/dev/null 2>&1; then
    fail answers "neither bash nor ping is installed"
    return
  fi
  printf '@@ answers\n'
  for address in $mine; do own "$address"; done
  for address in $near; do knock "$address" & done
  wait
  for address in $near; do wait_for "$address" & done
  for address in $far; do beyond "$address" & done
  wait
}

# arping_works ADDRESS: whether arping may send at all; else what it complains about
arping_works() {
  said=$(timeout 5 arping "$probe" -c 1 -w 1 -I "$bridge" "$1" 2>&1 </dev/null)
  case $said in *'Sent '* | *' transmitted'*) return 0 ;; esac
  printf '%s\n' "$said" | grep -v '^$' | head -n 1
  return 1
}

if [ "$where" = here ]; then
  cpu
  memory
  nics
  pci
  nvidia
  space "path:$path" "$path"
  if [ $# -gt 0 ]; then
    if command -v ip >/dev/null 2>&1; then answers "$@"; else fail answers "ip is not installed"; fi
  fi
elif [ $# -gt 0 ]; then
  fail answers "only libvirt of this host can be asked, not its network"
fi
if virsh_ask libvirt uri; then
  [ "$where" = here ] || hardware_by_libvirt
  libvirt
fi
exit 0
