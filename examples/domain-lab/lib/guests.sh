# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Test guests and their observer.
#
# $LAB_DIR/guest is /usr/share/vmferry-lab in the VM hosts: kernel, initrd, and vms/NAME.xml.

guest_tools_build() {
    mkdir -p "$LAB_DIR/bin" "$LAB_DIR/guest/vms"
    "$LAB_SOURCE/guest/build" "$LAB_IMAGES/kernel" "$LAB_DIR/guest"
    gcc -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$LAB_DIR/bin/guestctl" "$LAB_SOURCE/guest/guestctl.c"
    gcc -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$LAB_DIR/bin/watch" "$LAB_SOURCE/watch/watch.c"
}

# The observer of the guests' network, from now until the lab's end
watch_start() {
    local host ports=()
    for host in $LAB_HVS; do
        ports+=("$host=g-$host")
    done
    # shellcheck disable=SC2016
    in_lab setsid sh -c '"$@" </dev/null >"$0" 2>&1 &' "$LAB_DIR/log/watch-errors.log" \
        "$LAB_DIR/bin/watch" "$LAB_DIR/log/watch.log" "${ports[@]}"
    wait_for 5 'the observer' test -e "$LAB_DIR/log/watch.log"
}

# Numbers of guests: last byte of address and MAC. demo has 100.
guest_free_number() {
    local number
    for ((number = 101; number < 250; number++)); do
        [ -e "$LAB_DIR/guest/numbers/$number" ] || {
            echo "$number"
            return 0
        }
    done
    die "there are no more numbers for guests"
}

guest_number() {
    local file
    for file in "$LAB_DIR"/guest/numbers/*; do
        [ -e "$file" ] && [ "$(cat "$file")" = "$1" ] || continue
        basename "$file"
        return 0
    done
    die "there is no guest \"$1\"; made so far: $(cat "$LAB_DIR"/guest/numbers/* 2>/dev/null | tr '\n' ' ')"
}

# guest_create NAME NUMBER UUID MEMORY CMDLINE DISK... - DISK is FORMAT:SIZE
guest_create() {
    local name=$1 number=$2 uuid=$3 memory=$4 cmdline=$5 disk target i=0 files=() options=()
    shift 5
    [ -n "$uuid" ] || uuid=$(cat /proc/sys/kernel/random/uuid)
    for disk; do
        target=vd$(printf "\\$(printf '%03o' $((97 + i)))")
        files+=("$target.${disk%%:*}:${disk%%:*}:${disk#*:}")
        options+=(--disk "$target:${disk%%:*}:$LAB_SHARE_URL/$name/$target.${disk%%:*}")
        i=$((i + 1))
    done
    in_lab podman exec fs1 /usr/lib/vmferry-lab/vm-files create "$name" "${files[@]}" 2>"$LAB_DIR/log/vm-files.log" || {
        cat "$LAB_DIR/log/vm-files.log" >&2
        die "cannot make the files of guest \"$name\" on the share"
    }
    "$LAB_SOURCE/guest/domain-xml" --name "$name" --number "$number" --guest-net "$LAB_GUEST_NET" \
        --uuid "$uuid" --memory "$memory" --cmdline "$cmdline" "${options[@]}" >"$LAB_DIR/guest/vms/$name.xml"
    mkdir -p "$LAB_DIR/guest/numbers"
    echo "$name" >"$LAB_DIR/guest/numbers/$number"
}

verb_vm_create() {
    local name=${1:?name} on='' memory=128 cmdline='' start='' disks=()
    [ $# -ge 1 ] || usage_error "which name?"
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --disk) disks+=("${2:?}") && shift ;;
        --on) on=${2:?} && shift ;;
        --memory) memory=${2:?} && shift ;;
        --cmdline) cmdline=${2:?} && shift ;;
        --start) start=yes ;;
        *) usage_error "vm-create does not know \"$1\"" ;;
        esac
        shift
    done
    [[ $name =~ ^[a-z][a-z0-9-]{0,22}$ ]] || usage_error "\"$name\" is not a name for a guest"
    [ ${#disks[@]} -gt 0 ] || disks=(raw:64M)
    load_settings
    [ ! -e "$LAB_DIR/guest/vms/$name.xml" ] || die "there is already a guest \"$name\""
    guest_create "$name" "$(guest_free_number)" '' "$memory" "$cmdline" "${disks[@]}"
    if [ -n "$on" ]; then
        require_host "$on"
        guest_define "$name" "$on"
        [ -z "$start" ] || host_exec "$on" virsh -q start "$name"
    fi
    echo "/usr/share/vmferry-lab/vms/$name.xml"
}

guest_define() {
    host_exec "$2" vmferry define "/usr/share/vmferry-lab/vms/$1.xml" </dev/null >&2
}

verb_vm_delete() {
    local name=${1:?name} host
    load_settings
    [ -e "$LAB_DIR/guest/vms/$name.xml" ] || die "there is no guest \"$name\""
    rm -f "$LAB_DIR/guest/numbers/$(guest_number "$name")" "$LAB_DIR/guest/vms/$name.xml"
    for host in $LAB_HVS; do
        in_lab podman exec "$host" sh -c \
            "virsh -q destroy '$name'; virsh -q undefine '$name'" >/dev/null 2>&1 || true
    done
    in_lab podman exec fs1 /usr/lib/vmferry-lab/vm-files delete "$name" 2>"$LAB_DIR/log/vm-files.log" || {
        cat "$LAB_DIR/log/vm-files.log" >&2
        die "the files of \"$name\" could not be deleted"
    }
}

# guest_tell NAME COMMAND [ARGUMENT] - see guest/protocol.h
guest_tell() {
    in_lab "$LAB_DIR/bin/guestctl" "$LAB_GUEST_NET.$(guest_number "$1")" \
        "${VMFERRY_LAB_GUEST_TIMEOUT_MS:-60000}" "${@:2}"
}

guest_answers() {
    VMFERRY_LAB_GUEST_TIMEOUT_MS=500 guest_tell "$1" status >/dev/null 2>&1
}

verb_guest() {
    [ $# -ge 2 ] || usage_error "guest NAME COMMAND [ARGUMENT]"
    load_settings
    guest_tell "$@" || exit
}
