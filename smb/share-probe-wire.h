/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"

/*
 * Between vmferryd and vmferry-share-probe: one GVariant each way, in normal form, host byte order
 * (both ends are one installation on one machine).
 *
 *   request  (sa(ssssb)): UUID; per file its role ("file", "folder", "record"), URL, server, share,
 *            and whether it is to be opened for writing
 *   answer   (aa{sv}aa{sv}a{sv}): VmfFactShare, in order of their first file; VmfFactProbe, in the
 *            request's order; VmfFactOwner
 */

#define VMF_PROBE_REQUEST      "(sa(ssssb))"
#define VMF_PROBE_REQUEST_ITER "(&sa(ssssb))" /* for g_variant_get() */
#define VMF_PROBE_ANSWER       "(aa{sv}aa{sv}a{sv})"
#define VMF_PROBE_REQUEST_MAX  ((gsize)1024 * 1024)
#define VMF_PROBE_ANSWER_MAX   ((gsize)16 * 1024 * 1024)

/**
 * vmf_probe_read() - one value from a descriptor, up to its end
 * @deadline_us: g_get_monotonic_time(); 0: none
 *
 * Returns: (transfer full), or %NULL: VMF_ERROR_UNREACHABLE: not in time; VMF_ERROR_PROTOCOL: too
 *   large, or not of that type
 */
GVariant *vmf_probe_read(int fd, const char *type, gsize max, gint64 deadline_us, GError **error);

/** vmf_probe_write() - Returns: %FALSE with VMF_ERROR_INTERNAL */
gboolean vmf_probe_write(int fd, GVariant *value, GError **error);
