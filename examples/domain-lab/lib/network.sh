# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# The hosts' and the guests' network; names and addresses of hosts.

network_up() {
    local host hosts=()
    for host in $(all_hosts); do
        hosts+=("$host:$(host_number "$host")")
    done
    in_lab "$LAB_SOURCE/lib/network-init" create "$LAB_NET" "$LAB_GUEST_NET" "${hosts[@]}"
}

host_address() {
    echo "$LAB_NET.$(host_number "$1")"
}

# Files every host of the lab shares the meaning of: names, resolver, Kerberos
write_host_files() {
    local host=$1 dir=$LAB_DIR/hosts/$1
    mkdir -p "$dir" "$LAB_DIR/log/$host"
    cat >"$dir/hosts" <<END
127.0.0.1 localhost
$(host_address "$host") $host.$LAB_DNS $host
END
    cat >"$dir/resolv.conf" <<END
search $LAB_DNS
nameserver $(host_address dc1)
options timeout:2 attempts:2
END
    cat >"$dir/krb5.conf" <<END
[libdefaults]
    default_realm = $LAB_REALM
    dns_lookup_realm = false
    dns_lookup_kdc = true
    rdns = false
    dns_canonicalize_hostname = false
END
    cat >"$dir/settings" <<END
LAB_HOST=$host
LAB_REALM=$LAB_REALM
LAB_DOMAIN=$LAB_DOMAIN
LAB_DNS=$LAB_DNS
LAB_PASSWORD=$LAB_PASSWORD
LAB_GROUP='$LAB_GROUP'
LAB_NET=$LAB_NET
END
}
