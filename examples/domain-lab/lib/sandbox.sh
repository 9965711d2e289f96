# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The one process below which a lab lives, and how to act inside its namespaces.
#
# $1.pid holds "PID START-TIME" of the `unshare` process; --kill-child makes its end the end
# of the PID namespace. The start time keeps a recycled PID from being taken for a lab.

# process_start_time PID - of a process that has not ended (nobody may have reaped it yet)
process_start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" != Z ] || return 1
    echo "${20}"
}

# sandbox_outer FILE - PID of the running unshare process, or failure
sandbox_outer() {
    local pid started
    read -r pid started 2>/dev/null <"$1" || return 1
    [ "$(process_start_time "$pid")" = "$started" ] || return 1
    echo "$pid"
}

# sandbox_inner FILE - PID (as seen here) of the first process inside the namespaces
sandbox_inner() {
    local outer children
    outer=$(sandbox_outer "$1") || return 1
    children=$(cat "/proc/$outer/task/$outer/children") || return 1
    [ -n "$children" ] || return 1
    echo "${children%% *}"
}

# sandbox_start DIR GRAPHROOT [EXTRA-IMAGE-STORE] - returns when podman can be used inside
sandbox_start() {
    local dir=$1 graphroot=$2 extra=${3:-} pid
    mkdir -p "$dir/etc" "$dir/log" "$graphroot"
    write_podman_config "$dir" "$graphroot" "$extra"
    rm -f "$dir/sandbox.ready" "$dir/sandbox.pid"
    # Descriptors 8 and 9 are locks of the calling `lab`; they must not live on in the sandbox.
    setsid unshare -m -n -p -i --kill-child --fork --mount-proc --propagation private \
        "$LAB_SOURCE/lib/sandbox-root" "$LAB_SOURCE/lib/sandbox-init" "$dir" "$extra" </dev/null >"$dir/log/sandbox.log" 2>&1 8>&- 9>&- &
    pid=$!
    disown "$pid"
    echo "$pid $(process_start_time "$pid")" >"$dir/sandbox.pid"
    wait_for 10 "the lab's namespaces (see $dir/log/sandbox.log)" test -e "$dir/sandbox.ready"
}

# sandbox_stop DIR - end everything below the sandbox and wait until it is gone
sandbox_stop() {
    local inner
    sandbox_outer "$1/sandbox.pid" >/dev/null || return 0
    # The kernel kills everything in a PID namespace whose first process ends.
    inner=$(sandbox_inner "$1/sandbox.pid") || return 0
    kill -9 "$inner"
    wait_for 20 "end of process $inner" sandbox_gone "$1"
    rm -f "$1/sandbox.pid" "$1/sandbox.ready"
}

sandbox_gone() {
    ! sandbox_outer "$1/sandbox.pid" >/dev/null
}

write_podman_config() {
    local dir=$1 graphroot=$2 extra=$3 nofile nproc
    nofile=$(ulimit -Hn)
    nproc=$(ulimit -Hu)
    [ "$nofile" != unlimited ] || nofile=1048576
    [ "$nproc" != unlimited ] || nproc=-1
    cat >"$dir/etc/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$graphroot"
runroot = "/run/containers/storage"
[storage.options]
additionalimagestores = [${extra:+"\"$extra\""}]
END
    # No cgroups and no raised limits: neither can be had everywhere the lab has to run.
    cat >"$dir/etc/containers.conf" <<END
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=$nofile:$nofile", "nproc=$nproc:$nproc"]
log_driver = "k8s-file"
apparmor_profile = "unconfined"
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
network_config_dir = "$dir/etc/networks"
END
}

# in_sandbox DIR COMMAND... - run COMMAND inside the namespaces, with podman configured
in_sandbox() {
    local dir=$1 inner
    shift
    inner=$(sandbox_inner "$dir/sandbox.pid") || die "lab \"$LAB_NAME\" is not running; run '$0 up'"
    PODMAN_IGNORE_CGROUPSV1_WARNING=1 CONTAINERS_CONF=$dir/etc/containers.conf CONTAINERS_STORAGE_CONF=$dir/etc/storage.conf \
        nsenter -t "$inner" -m -n -p -i -- "$@" 8>&- 9>&-
}

in_lab() {
    in_sandbox "$LAB_DIR" "$@"
}
