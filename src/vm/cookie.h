/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Migration cookies: small XML documents the two libvirtds exchange through us.
 *
 * A cookie from a peer is never passed on: libvirtd would read a whole <domain> out of it
 * (qemuMigrationDstFinish asks for it "because some older versions always send it"), reconnect a
 * SPICE client to any host, or hand over lock leases. It is parsed with the limits of
 * domain.h, the elements libvirt needs are read into values and written anew; the rest is dropped
 * when it is known to be harmless without us, and refused by name and line when it is not known.
 */
#pragma once

#include <glib.h>

typedef enum {
    VMF_COOKIE_BEGIN,   /* source → destination, for prepare */
    VMF_COOKIE_PREPARE, /* destination → source, for perform */
    VMF_COOKIE_PERFORM, /* source → destination, for finish */
    VMF_COOKIE_FINISH,  /* destination → source, for confirm */
} VmfCookieKind;

#define VMF_COOKIE_MAX ((gsize)1024 * 1024) /* bytes; libvirt's have some 4 KiB */

/**
 * vmf_cookie_rebuild() - a cookie that says what @cookie says, in our words
 * @uuid, @name: the VM that is being moved; the cookie must name it
 *
 * Returns: (transfer full): with its terminating NUL byte, or NULL with
 *   VMF_ERROR_PROTOCOL     not XML, too large, names another VM, lacks what libvirt requires
 *   VMF_ERROR_UNSUPPORTED  asks for something that vmferry does not do (by name and line)
 */
GBytes *vmf_cookie_rebuild(VmfCookieKind kind, GBytes *cookie, const char *uuid, const char *name,
                           GError **error);
