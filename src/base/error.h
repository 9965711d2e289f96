/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * VmfError - why something failed, by who can act on it
 * @VMF_ERROR_CONFIG:      the administrator: a name, file, definition or option is wrong or missing
 * @VMF_ERROR_DENIED:      the administrator of the share or directory: an account lacks a right
 * @VMF_ERROR_AUTH:        the administrator of the domain: an identity could not be proven
 * @VMF_ERROR_UNREACHABLE: nobody, or the network: no answer; the outcome may be unknown
 * @VMF_ERROR_BUSY:        wait: another holder, job or owner is in the way
 * @VMF_ERROR_PROTOCOL:    a peer, file or message does not follow its format or its turn
 * @VMF_ERROR_UNSUPPORTED: the request is understood, and this version does not do it
 * @VMF_ERROR_INTERNAL:    us: a library or the kernel refused something that should work
 *
 * A message says what failed, on which quoted object, as which account, why, and what to do.
 * Errors of this domain keep their code across D-Bus ("org.vmferry.Error.Denied" …).
 */
typedef enum {
    VMF_ERROR_CONFIG,
    VMF_ERROR_DENIED,
    VMF_ERROR_AUTH,
    VMF_ERROR_UNREACHABLE,
    VMF_ERROR_BUSY,
    VMF_ERROR_PROTOCOL,
    VMF_ERROR_UNSUPPORTED,
    VMF_ERROR_INTERNAL,
} VmfError;

#define VMF_ERROR (vmf_error_quark())
GQuark vmf_error_quark(void);

/**
 * vmf_error_code_name() - "denied" for VMF_ERROR_DENIED: the stable word of JSON output
 *
 * Returns: a static string; "internal" for an error of another domain.
 */
const char *vmf_error_code_name(const GError *error);

/**
 * vmf_error_from_dbus() - drop D-Bus's prefix of a remote error, give other domains one of ours
 * @error: (inout): an error returned by a D-Bus call
 *
 * A remote error of our domain keeps code and message. A lost connection, a time-out or a missing
 * service becomes VMF_ERROR_UNREACHABLE; anything else VMF_ERROR_INTERNAL. @whom ("vmferryd on
 * hv2", "the disk process of 'web1'") is named in the latter two.
 *
 * A remote error is the other end's text under a name of its choice: GDBus makes any domain and code
 * of it. So it is tamed (vmf_text_tame(), VMF_ERROR_SAID_MAX bytes), a code that we do not have is
 * "anything else", and one of GIO's is never taken for something that happened here.
 */
#define VMF_ERROR_SAID_MAX (64 * 1024)
void vmf_error_from_dbus(GError **error, const char *whom);
