# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# vmferry itself: built from the tree this lab lies in, staged, and installed into the hosts.
#
# $LAB_DIR/build is kept from one `up` to the next; $LAB_DIR/stage is mounted into every VM host,
# where host/install-vmferry copies it to its place.

vmferry_build() {
    local build=$LAB_DIR/build log=$LAB_DIR/log/build.log
    mkdir -p "$LAB_DIR/log"
    vmferry_compile "$build" >"$log" 2>&1 || {
        tail -30 "$log" >&2
        die "building vmferry failed; see $log"
    }
}

# Each step on its own: `set -e` does not hold where a caller asks for the status.
vmferry_compile() {
    local build=$1 targets facts=$1/meson-info/meson-info.json
    # Another checkout's build, in a lab of the same name
    [ ! -e "$facts" ] || [ "$(jq -r .directories.source "$facts")" = "$(readlink -f "$LAB_PROJECT")" ] || rm -rf "$build"
    if [ ! -e "$build/build.ninja" ]; then
        # shellcheck disable=SC2086
        meson setup $LAB_BUILD_ARGS "$build" "$LAB_PROJECT" || return
    fi
    ninja -C "$build" build.ninja || return # as the source is now
    # Only what is installed: the tests are not needed here
    targets=$(vmferry_targets "$build") || return
    # shellcheck disable=SC2086
    [ -z "$targets" ] || ninja -C "$build" $targets || return
    rm -rf "$LAB_DIR/stage.new"
    DESTDIR=$LAB_DIR/stage.new meson install -C "$build" --no-rebuild --quiet
}

vmferry_targets() {
    meson introspect --targets "$1" |
        jq -r --arg build "$(readlink -f "$1")/" '.[] | select(.installed) | .filename[] | ltrimstr($build)'
}

# The folder itself is mounted into the hosts: what is in it changes, it stays.
vmferry_stage() {
    mkdir -p "$LAB_DIR/stage" "$LAB_DIR/stage.new"
    find "$LAB_DIR/stage" -mindepth 1 -delete
    cp -a "$LAB_DIR/stage.new/." "$LAB_DIR/stage/"
    rm -rf "$LAB_DIR/stage.new"
}

vmferry_is_built() {
    [ -x "$LAB_DIR/stage/usr/sbin/vmferryd" ]
}

# After a change to the source: build, and replace what the running hosts have
verb_install() {
    load_settings
    vmferry_build
    vmferry_stage
    vmferry_is_built || die "this tree builds no vmferryd"
    # shellcheck disable=SC2086
    together $LAB_HVS -- host_script install-vmferry
    say "installed into: $LAB_HVS"
}
