/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"

/*
 * Between vmferryd and vmferry-share-probe: one GVariant each way, in normal form, host byte order
 * (both ends are one installation on one machine).
 *
 *   request  (sba(ssssbs)): UUID; whether to try without encryption; per file its role ("file",
 *            "folder", "record"), URL, server, share, whether it is to be opened for writing, and
 *            how its descriptor is wanted: "read", "denied" (only when the server refuses access),
 *            or the stamp of one that is known: only when it has another
 *   answer   (aa{sv}a(sa{sv})a{sv}): VmfFactShare, in order of their first file; in the request's
 *            order the stamp of the file and VmfFactProbe; VmfFactOwner
 *
 * A stamp stands for the file's identity and change time: "ID:SECONDS.NANOSECONDS".
 */

#define VMF_PROBE_REQUEST      "(sba(ssssbs))"
#define VMF_PROBE_REQUEST_ITER "(&sba(ssssbs))" /* for g_variant_get() */
#define VMF_PROBE_ANSWER       "(aa{sv}a(sa{sv})a{sv})"
#define VMF_PROBE_MODE_STAY    "stay" /* see vmf_probe_pass() */
#define VMF_PROBE_LIST_READ    "read"
#define VMF_PROBE_LIST_DENIED  "denied"
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

/** vmf_probe_request_file() - Returns: a descriptor that reads @request; -1 with VMF_ERROR_INTERNAL */
int vmf_probe_request_file(GVariant *request, GError **error);

/*
 * A further question for a process that stays (probe-kept.h): over a socket pair, whose other end it
 * has as %VMF_PROBE_CONTROL_FD, go two descriptors: what its first question had as standard input and
 * output. The end of the socket is the end of the process.
 */
#define VMF_PROBE_CONTROL_FD 3

/** vmf_probe_pass() - Does not wait. Returns: %FALSE: nobody is there */
gboolean vmf_probe_pass(int control, int in, int out);

/** vmf_probe_take() - Waits. Returns: %FALSE: there will be none; else both descriptors are the caller's */
gboolean vmf_probe_take(int control, int *in, int *out);
