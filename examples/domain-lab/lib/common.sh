# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Settings and small helpers. Settings are read from the environment at `up` and recorded in
# the lab's folder; every other verb uses what was recorded.

LAB_NAME=${VMFERRY_LAB_NAME:-default}
LAB_BASE=${VMFERRY_LAB_BASE:-/var/tmp/vmferry-lab}
LAB_DIR=${VMFERRY_LAB_DIR:-$LAB_BASE/$LAB_NAME}
LAB_CACHE=${VMFERRY_LAB_CACHE:-$LAB_BASE/cache}
LAB_PROJECT=$(cd "$LAB_SOURCE/../.." && pwd)

LAB_HVS=${VMFERRY_LAB_HVS:-hv1 hv2}
LAB_MEMBERS=${VMFERRY_LAB_MEMBERS:-hv1 hv2}
LAB_MOUNT=${VMFERRY_LAB_MOUNT:-}
LAB_BUILD_ARGS=${VMFERRY_LAB_BUILD_ARGS:-}

# The domain. The password guards a domain that exists only inside the lab's namespaces.
LAB_REALM=LAB.TEST
LAB_DOMAIN=LAB
LAB_DNS=lab.test
LAB_PASSWORD=Ferry-4-the-lab
LAB_GROUP='VM Hosts'
LAB_SHARE_URL=smb://fs1.$LAB_DNS/vms

LAB_NET=10.99.0          # hosts
LAB_GUEST_NET=10.98.0    # guests; .1 is the lab itself

LAB_STARTED=$(date +%s%N)

lab_elapsed() {
    local ms=$((($(date +%s%N) - LAB_STARTED) / 1000000))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

say() {
    printf '[%8s] %s\n' "$(lab_elapsed)" "$*" >&2
}

die() {
    printf 'lab: %s\n' "$*" >&2
    exit 1
}

usage_error() {
    printf 'lab: %s\n' "$*" >&2
    printf "Try '%s help'.\n" "$0" >&2
    exit 2
}

# wait_for SECONDS WHAT COMMAND... - probe until COMMAND succeeds
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$(($(date +%s) + seconds))
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || {
            printf 'lab: %s: not ready after %d s\n' "$what" "$seconds" >&2
            return 1
        }
        sleep 0.05
    done
}

# together NAME... -- FUNCTION ARG... - run FUNCTION NAME ARG... for all names at once
together() {
    local names=() pids=() failed=() i
    while [ "$1" != -- ]; do
        names+=("$1")
        shift
    done
    shift
    for i in "${!names[@]}"; do
        "$1" "${names[$i]}" "${@:2}" &
        pids+=($!)
    done
    for i in "${!pids[@]}"; do
        wait "${pids[$i]}" || failed+=("${names[$i]}")
    done
    [ ${#failed[@]} -eq 0 ] || {
        printf 'lab: %s failed for %s\n' "$1" "${failed[*]}" >&2
        return 1
    }
}

save_settings() {
    {
        printf 'LAB_HVS=%q\n' "$LAB_HVS"
        printf 'LAB_MEMBERS=%q\n' "$LAB_MEMBERS"
        printf 'LAB_MOUNT=%q\n' "$LAB_MOUNT"
        printf 'LAB_BUILD_ARGS=%q\n' "$LAB_BUILD_ARGS"
        printf 'LAB_IMAGES=%q\n' "$LAB_IMAGES"
    } >"$LAB_DIR/settings"
}

load_settings() {
    [ -r "$LAB_DIR/settings" ] || die "lab \"$LAB_NAME\" is not up: there is no $LAB_DIR/settings; run '$0 up'"
    # shellcheck source=/dev/null
    . "$LAB_DIR/settings"
}

all_hosts() {
    printf '%s ' dc1 fs1
    printf '%s ' $LAB_HVS
}

# Last byte of a host's address on both networks
host_number() {
    case $1 in
    dc1) echo 10 ;;
    fs1) echo 11 ;;
    hv[1-9]) echo $((20 + ${1#hv})) ;;
    *) return 1 ;;
    esac
}

require_host() {
    local host
    for host in $(all_hosts); do
        [ "$host" != "$1" ] || return 0
    done
    usage_error "there is no host \"$1\" in lab \"$LAB_NAME\"; its hosts are: $(all_hosts)"
}
