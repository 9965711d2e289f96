# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Images: one root file system for every role, made from the package mirror alone, and the
# same with a provisioned domain in it. Both are kept in a folder of the cache named after a
# hash of everything that goes into them, so that a changed recipe makes a new folder and a
# finished one is never written again. Labs use the folder as a read-only image store.

LAB_IMAGE_FORMAT=1  # raise when the steps below change in a way their inputs do not show

lab_packages() {
    local packages=(
        # dc1, fs1
        samba samba-ad-dc samba-ad-provision samba-vfs-modules samba-dsdb-modules winbind libnss-winbind
        smbclient ldb-tools ldap-utils
        # every member of the domain
        krb5-user libsasl2-modules-gssapi-mit
        # hv*
        libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils
        qemu-block-extra dbus polkitd libvirt-glib-1.0-0 libjson-glib-1.0-0 libsqlite3-0 nbdkit libnbd-bin
        # to run a host's unit as it is installed
        systemd
        # to look at it
        tini iproute2 procps strace gdb-minimal libasan8 libubsan1 fio smbnetfs jq ca-certificates
    )
    local IFS=,
    echo "${packages[*]}"
}

debian_codename() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${VERSION_CODENAME:?}")
}

# The host's own package sources, as sources.list lines, for its own release only
debian_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$1" '$2 == suite || index($2, suite "-") == 1 {
            print "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]", $1, $2, $3 }' |
        sort -u
}

# How the host's apt reaches its mirror: proxies, certificates, what it says of old indices
apt_transport_options() {
    apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-Valid-Until|Check-Date)\b' || true
}

images_recipe() {
    echo "$LAB_IMAGE_FORMAT $(uname -m) $(debian_codename)"
    debian_sources "$(debian_codename)"
    lab_packages
    cat "$LAB_SOURCE/host/image-setup" "$LAB_SOURCE/host/provision-dc"
    echo "$LAB_REALM $LAB_DOMAIN $LAB_PASSWORD $LAB_GROUP $LAB_NET"
}

# images_ensure - set LAB_IMAGES to a finished image folder, making it when there is none.
# Until images_unlock, nobody else makes or removes images.
images_ensure() {
    local hash
    hash=$(images_recipe | sha256sum)
    LAB_IMAGES=$LAB_CACHE/images-${hash:0:12}
    mkdir -p "$LAB_CACHE"
    # Two labs that start at once must not make the same images twice.
    exec 8>"$LAB_CACHE/lock"
    flock 8
    if [ ! -e "$LAB_IMAGES/complete" ]; then
        images_make
    fi
}

images_unlock() {
    exec 8>&-
}

# A running lab holds a shared lock on the images it uses (sandbox-init)
verb_prune() {
    local images
    exec 8>"$LAB_CACHE/lock"
    flock 8
    for images in "$LAB_CACHE"/images-*; do
        [ -d "$images" ] || continue
        if flock -n -x "$images/store" true; then
            rm -rf "$images"
            say "removed $images"
        else
            say "in use: $images"
        fi
    done
    images_unlock
}

images_make() {
    say "making the images (no cached ones fit the recipe)"
    rm -rf "$LAB_IMAGES"
    mkdir -p "$LAB_IMAGES/work/log"
    images_root_file_system
    say "root file system made: $(du -h "$LAB_IMAGES/work/root.tar" | cut -f1)"
    trap 'sandbox_stop "$LAB_IMAGES/work"' EXIT
    sandbox_start "$LAB_IMAGES/work" "$LAB_IMAGES/store"
    in_sandbox "$LAB_IMAGES/work" podman import -q "$LAB_IMAGES/work/root.tar" vmferry-lab >/dev/null
    rm "$LAB_IMAGES/work/root.tar"
    say "image imported"
    images_provision_domain
    sandbox_stop "$LAB_IMAGES/work"
    trap - EXIT
    rm -rf "$LAB_IMAGES/work"
    touch "$LAB_IMAGES/complete"
    say "images complete: $LAB_IMAGES"
}

images_root_file_system() {
    local work=$LAB_IMAGES/work codename
    codename=$(debian_codename)
    apt_transport_options >"$work/apt.conf"
    debian_sources "$codename" >"$work/sources.list"
    [ -s "$work/sources.list" ] || die "apt on this machine has no source for its own release \"$codename\""
    # The kernel of the test guest comes by the same way, but unpacked beside the image. Our locks
    # are not inherited: with them open mmdebstrap gets descriptors of two digits, which sh cannot name.
    TMPDIR=$work unshare -m mmdebstrap --mode=root --variant=minbase --include="$(lab_packages)" \
        --aptopt="$work/apt.conf" --dpkgopt=force-unsafe-io \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --customize-hook="copy-in $LAB_SOURCE/host/image-setup /root" \
        --customize-hook='chroot "$1" /root/image-setup' \
        --customize-hook="copy-out /root/kernel $LAB_IMAGES" \
        --customize-hook='rm -r "$1/root/kernel" "$1/root/image-setup"' \
        "$codename" "$work/root.tar" "$work/sources.list" 2>"$work/log/mmdebstrap.log" 8>&- 9>&- || {
        tail -20 "$work/log/mmdebstrap.log" >&2
        die "mmdebstrap failed"
    }
}

images_provision_domain() {
    local work=$LAB_IMAGES/work
    in_sandbox "$work" "$LAB_SOURCE/lib/network-init" create "$LAB_NET" "$LAB_GUEST_NET" dc1:10
    in_sandbox "$work" podman run -d --name dc1 --hostname dc1 --network ns:/run/netns/dc1 \
        --cap-add=SYS_ADMIN --tmpfs /run:rw,mode=0755 -v "$LAB_SOURCE/host:/usr/lib/vmferry-lab:ro" \
        localhost/vmferry-lab tini -- sleep infinity >/dev/null
    in_sandbox "$work" podman exec -e LAB_REALM="$LAB_REALM" -e LAB_DOMAIN="$LAB_DOMAIN" \
        -e LAB_PASSWORD="$LAB_PASSWORD" -e LAB_GROUP="$LAB_GROUP" -e LAB_NET="$LAB_NET" \
        dc1 /usr/lib/vmferry-lab/provision-dc >"$work/log/provision.log" 2>&1 || {
        tail -30 "$work/log/provision.log" >&2
        die "provisioning the domain failed"
    }
    say "domain provisioned"
    in_sandbox "$work" podman commit -q dc1 vmferry-lab-dc >/dev/null
    in_sandbox "$work" podman rm -f dc1 >/dev/null
}
