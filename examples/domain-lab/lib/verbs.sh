# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# What `lab VERB` does.

lab_main() {
    local verb=${1:-help}
    [ $# -eq 0 ] || shift
    case $verb in
    up | down | status | shell | logs | guest) "verb_$verb" "$@" ;;
    install | demo | cut | heal | prune) "verb_$verb" "$@" ;;
    vm-create | vm-delete | power-off | power-on) "verb_${verb/-/_}" "$@" ;;
    help | -h | --help) lab_help ;;
    *) usage_error "there is no verb \"$verb\"" ;;
    esac
}

lab_help() {
    cat <<'END'
lab up                   start the domain, the file server and the VM hosts; demo runs on hv1
lab demo                 move demo to the other host and back, and tell what was noticed
lab down                 end all of it
lab status               what runs where
lab shell HOST [CMD...]  a shell in a host, or one command with its input, output and status
lab logs HOST [-f]       the logs of a host
lab install              build vmferry again and replace what the running hosts have

lab vm-create NAME [--disk raw|qcow2:SIZE]... [--memory MIB] [--cmdline ARGS] [--on HOST [--start]]
                         a further guest: its folder on the share and its definition
lab vm-delete NAME       remove it everywhere
lab guest NAME COMMAND [ARGUMENT]
                         tell a guest something: status, dirty MIB, records on|off|N, scan, ...

lab cut [--one-way] [--guests] HOST [HOST2]
                         drop every frame between two hosts, or between one and all others
lab heal                 all of that
lab power-off HOST       without a FIN, a flush or a good-bye
lab power-on HOST        again, with a new boot id
lab prune                remove cached images that no running lab uses
END
}

verb_up() {
    local build
    [ "$(id -u)" = 0 ] || die "must be run as root: the lab makes namespaces, bridges and containers"
    "$LAB_PROJECT/tools/install-deps" build lab >&2
    mkdir -p "$LAB_DIR"
    exec 9>"$LAB_DIR/lock"
    flock 9
    if sandbox_outer "$LAB_DIR/sandbox.pid" >/dev/null; then
        say "lab \"$LAB_NAME\" is already up"
        return 0
    fi
    rm -rf "$LAB_DIR"/{storage,share,hosts,log,guest}
    mkdir -p "$LAB_DIR"/{share,log}
    vmferry_build &
    build=$!
    images_ensure
    guest_tools_build
    wait "$build" || die "no lab without vmferry: its source does not build"
    vmferry_stage
    say "vmferry built"
    save_settings
    sandbox_start "$LAB_DIR" "$LAB_DIR/storage" "$LAB_IMAGES/store"
    images_unlock
    [ -n "${VMFERRY_LAB_KEEP:-}" ] || trap 'sandbox_stop "$LAB_DIR"' EXIT
    network_up
    watch_start
    # shellcheck disable=SC2046
    together $(all_hosts) -- host_run
    say "hosts started: $(all_hosts)"
    host_script dc1 dc-start
    say "domain $LAB_REALM answers"
    # shellcheck disable=SC2046
    together fs1 $LAB_HVS -- join
    group_add_members
    say "joined; in the group \"$LAB_GROUP\": $LAB_MEMBERS"
    # shellcheck disable=SC2046
    together fs1 $LAB_HVS -- start
    guest_create demo 100 "$(sed -n 's|.*<uuid>\(.*\)</uuid>.*|\1|p' "$LAB_SOURCE/guest/demo.xml")" 128 '' raw:64M
    if vmferry_is_built; then
        guest_define demo hv1
        host_exec hv1 virsh -q start demo </dev/null
        wait_for 60 'the guest demo' guest_answers demo
        say "guest demo runs on hv1"
    else
        say "this tree builds no vmferryd yet: the hosts are up without it, and demo is not started"
    fi
    trap - EXIT
    say "lab \"$LAB_NAME\" is up; try: $0 shell hv1"
}

join() {
    case $1 in
    fs1) host_script fs1 fs-join ;;
    *) host_script "$1" hv-join ;;
    esac
}

start() {
    case $1 in
    fs1) host_script fs1 fs-start ;;
    *) host_script "$1" hv-start ;;
    esac
}

verb_down() {
    [ -d "$LAB_DIR" ] || die "there is no lab \"$LAB_NAME\" ($LAB_DIR)"
    exec 9>"$LAB_DIR/lock"
    flock 9
    sandbox_stop "$LAB_DIR"
    rm -rf "$LAB_DIR"/{storage,hosts}
    say "lab \"$LAB_NAME\" is down"
}

verb_shell() {
    [ $# -ge 1 ] || usage_error "which host?"
    load_settings
    require_host "$1"
    if [ $# -eq 1 ]; then
        set -- "$1" bash
    fi
    host_exec "$@" || exit
}

verb_logs() {
    local follow=()
    [ $# -ge 1 ] || usage_error "which host?"
    load_settings
    require_host "$1"
    [ "${2:-}" != -f ] || follow=(-f)
    find "$LAB_DIR/log/$1" -type f -size +0 -exec tail -n 40 "${follow[@]}" {} +
}

verb_status() {
    local host
    load_settings
    sandbox_outer "$LAB_DIR/sandbox.pid" >/dev/null || die "lab \"$LAB_NAME\" is down"
    echo "lab \"$LAB_NAME\" in $LAB_DIR"
    for host in $(all_hosts); do
        printf '%s %-12s ' "$host" "$(host_address "$host")"
        in_lab podman exec "$host" /usr/lib/vmferry-lab/status 2>/dev/null || echo 'no power'
    done
    in_lab nft list set bridge lab cut | sed -n 's/.*elements = {\(.*\)}.*/cut: \1/p'
}
