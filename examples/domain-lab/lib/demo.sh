# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lab demo: the guest moves to the other host and back while it works, and the observer on the
# guests' network and the guest itself say what they noticed.

# demo_step HOST COMMAND... - shown as typed, run as typed
demo_step() {
    local bold='' plain=''
    if [ -t 1 ]; then
        bold=$'\033[1m' plain=$'\033[0m'
    fi
    printf '\n%s%s#%s %s\n' "$bold" "$1" "$plain" "${*:2}"
    host_exec "$@" || die "\"${*:2}\" failed on $1 with status $?"
}

# demo_host - where the guest demo runs now
demo_host() {
    local host
    for host in $LAB_HVS; do
        if in_lab podman exec "$host" virsh -q list --name --state-running | grep -qx demo; then
            echo "$host"
            return 0
        fi
    done
    die "the guest demo runs on none of: $LAB_HVS"
}

# The log has everything up to time $1
watch_has_seen() {
    [ "$(tail -n 2 "$LAB_DIR/log/watch.log" | awk -v t="$1" '$1 > t { n++ } END { print n + 0 }')" -gt 0 ]
}

verb_demo() {
    local here there began ended
    sandbox_outer "$LAB_DIR/sandbox.pid" >/dev/null || verb_up
    load_settings
    vmferry_is_built || die "this tree builds no vmferryd: there is nothing to show"
    here=$(demo_host)
    there=hv2
    [ "$here" != hv2 ] || there=hv1
    demo_step "$here" vmferry hosts
    demo_step "$here" vmferry doctor
    demo_step "$here" vmferry list
    demo_step "$here" vmferry check demo --to "$there"
    demo_step "$here" vmferry acl show smb://fs1.$LAB_DNS/vms/demo/vda.raw --account "${there^^}\$"
    guest_tell demo dirty 50 >/dev/null
    began=$(date +%s.%N)
    demo_step "$here" vmferry migrate demo --to "$there"
    demo_step "$there" vmferry migrate demo --to "$here"
    guest_tell demo dirty 0 >/dev/null
    printf '\nThe guest reads back all of its disk: '
    guest_tell demo scan
    ended=$(date +%s.%N)
    wait_for 5 'the observer' watch_has_seen "$ended"
    printf '\nSeen from outside while it moved there and back, dirtying 50 MiB of memory per second:\n'
    "$LAB_SOURCE/watch/report" --vm demo --from "$began" --to "$ended" "$LAB_DIR/log/watch.log"
}
