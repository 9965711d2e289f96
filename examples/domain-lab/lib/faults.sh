# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# Things that go wrong between and with hosts.

# Elements of the set of cut pairs: every frame from $1's port to each of $2...'s is dropped.
cut_pairs() {
    local net=$1 from=$2 to pairs=()
    shift 2
    for to; do
        [ "$to" = "$from" ] || pairs+=("\"$net-$from\" . \"$net-$to\"")
    done
    local IFS=,
    echo "${pairs[*]}"
}

# lab cut [--one-way] [--guests] HOST [HOST2] - silently, as a switch that forwards no more
verb_cut() {
    local net=l one_way='' from others other
    while [[ ${1:-} == --* ]]; do
        case $1 in
        --one-way) one_way=yes ;;
        --guests) net=g ;;
        *) usage_error "cut does not know \"$1\"" ;;
        esac
        shift
    done
    [ $# -ge 1 ] || usage_error "cut [--one-way] [--guests] HOST [HOST2]"
    load_settings
    from=$1
    require_host "$from"
    others=${2:-$(all_hosts)}
    [ -z "${2:-}" ] || require_host "$2"
    # shellcheck disable=SC2086
    in_lab nft add element bridge lab cut "{ $(cut_pairs $net "$from" $others) }"
    [ -z "$one_way" ] || return 0
    for other in $others; do
        [ "$other" = "$from" ] || in_lab nft add element bridge lab cut "{ $(cut_pairs $net "$other" "$from") }"
    done
}

# lab heal - every cut
verb_heal() {
    load_settings
    in_lab nft flush set bridge lab cut
}

# lab power-off HOST - no FIN leaves it, no disk is flushed, its memory is gone
verb_power_off() {
    [ $# -eq 1 ] || usage_error "power-off HOST"
    load_settings
    require_host "$1"
    in_lab "$LAB_SOURCE/lib/network-init" unplug "$1"
    in_lab podman kill "$1" >/dev/null
    in_lab podman wait "$1" >/dev/null
    in_lab "$LAB_SOURCE/lib/network-init" remove "$1"
}

# lab power-on HOST - with a new boot id; returns when the host's services answer
verb_power_on() {
    [ $# -eq 1 ] || usage_error "power-on HOST"
    load_settings
    require_host "$1"
    in_lab "$LAB_SOURCE/lib/network-init" add "$LAB_NET" "$1:$(host_number "$1")"
    in_lab podman start "$1" >/dev/null
    host_booted "$1"
    start "$1"
}
