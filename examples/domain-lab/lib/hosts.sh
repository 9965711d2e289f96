# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The hosts: containers with one role each.

# Without privileges where the role allows: see the capabilities of each.
host_run() {
    local host=$1 dir=$LAB_DIR/hosts/$1 image=vmferry-lab options=()
    write_host_files "$host"
    case $host in
    dc1)
        image=vmferry-lab-dc
        options=(--cap-add=SYS_ADMIN -v "$LAB_DIR/log/dc1:/var/log/samba")
        ;;
    fs1)
        # security.NTACL, where Samba keeps NT ACLs, can be written by CAP_SYS_ADMIN only
        options=(--cap-add=SYS_ADMIN -v "$LAB_DIR/log/fs1:/var/log/samba" -v "$LAB_DIR/share:/srv/vms")
        ;;
    *)
        mkdir -p "$LAB_DIR/log/$host/qemu" "$LAB_DIR/stage" "$LAB_DIR/guest"
        options=(--cap-drop=all --device=/dev/net/tun
            --cap-add=CHOWN,DAC_OVERRIDE,FOWNER,SETUID,SETGID,KILL,NET_ADMIN,SETPCAP
            -v "$LAB_DIR/log/$host/qemu:/var/log/libvirt/qemu"
            -v "$LAB_DIR/guest:/usr/share/vmferry-lab:ro"
            -v "$LAB_DIR/stage:/usr/lib/vmferry-stage:ro")
        ;;
    esac
    if [ -n "$LAB_MOUNT" ]; then
        options+=(-v "$LAB_MOUNT:$LAB_MOUNT:ro")
    fi
    mkdir -p "$LAB_DIR/log/$host/lab"
    in_lab podman run -d --name "$host" --hostname "$host" --network "ns:/run/netns/$host" \
        --tmpfs /run:rw,mode=0755,exec --tmpfs /tmp:rw,mode=1777,exec \
        -v "$dir/hosts:/etc/hosts:ro" -v "$dir/resolv.conf:/etc/resolv.conf:ro" \
        -v "$dir/krb5.conf:/etc/krb5.conf:ro" -v "$dir/settings:/etc/vmferry-lab/settings:ro" \
        -v "$LAB_SOURCE/host:/usr/lib/vmferry-lab:ro" -v "$LAB_DIR/log/$host/lab:/var/log/lab" \
        "${options[@]}" "localhost/$image" tini -g -- sleep infinity >"$dir/id"
    host_booted "$host"
}

# A host that was started is a machine that booted: it gets a boot id of its own, where the
# containers would otherwise all show the kernel's.
host_booted() {
    local pid
    pid=$(in_lab podman inspect -f '{{.State.Pid}}' "$1")
    in_lab nsenter -t "$pid" -m sh -c 'cat /proc/sys/kernel/random/uuid >/run/boot-id &&
        mount --bind /run/boot-id /proc/sys/kernel/random/boot_id'
}

# host_exec HOST COMMAND... - with COMMAND's input, output and exit status
host_exec() {
    local host=$1 options=(-i)
    shift
    if [ -t 0 ] && [ -t 1 ]; then
        options+=(-t)
    fi
    in_lab podman exec "${options[@]}" "$host" "$@"
}

# host_script HOST NAME ARG... - one of host/*, its output in the host's log folder
host_script() {
    local host=$1 log=$LAB_DIR/log/$1/$2.log
    in_lab podman exec "$host" "/usr/lib/vmferry-lab/$2" "${@:3}" >"$log" 2>&1 </dev/null || {
        printf 'lab: %s on %s failed; %s ends with:\n' "$2" "$host" "$log" >&2
        tail -15 "$log" >&2
        return 1
    }
}

# VM hosts may take part when their computer accounts are in the group
group_add_members() {
    local host accounts=''
    for host in $LAB_HVS; do
        case " $LAB_MEMBERS " in
        *" $host "*) accounts+=",${host^^}\$" ;;
        esac
    done
    [ -z "$accounts" ] ||
        in_lab podman exec dc1 samba-tool group addmembers "$LAB_GROUP" "${accounts#,}" >"$LAB_DIR/log/dc1/group.log"
}
