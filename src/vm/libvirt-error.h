/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * vmf_libvirt_error_code() - who can act on libvirt's error @code of error domain @domain
 *
 * The one place where libvirt's numbers become VMF_ERROR codes. Errors of libvirt's own RPC layer
 * mean that the daemon did not answer: VMF_ERROR_UNREACHABLE.
 */
int vmf_libvirt_error_code(int code, int domain);

/**
 * vmf_libvirt_set_error() - the calling thread's last libvirt error, as ours
 * @what: what was asked, on which object: "cannot start 'web1'"
 *
 * Nearly every call to libvirt forgets the last error, virDomainGetName() too: its arguments are
 * made before the call that failed.
 */
void vmf_libvirt_set_error(GError **error, const char *what, ...) G_GNUC_PRINTF(2, 3);
