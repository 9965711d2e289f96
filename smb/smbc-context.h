/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/ticket-times.h"

#include <glib.h>
#include <libsmbclient.h>

/*
 * How this program uses libsmbclient: its own configuration and not the host's smb.conf, the
 * Kerberos cache of KRB5CCNAME and nothing else (no password, no NTLM, no anonymous logon), SMB 3
 * only, signed; never again a connection behind the caller's back.
 */

/**
 * VmfSmbcKind - what a connection is for
 * @VMF_SMBC_SEALED:    use: SMB 3, encrypted if the server can
 * @VMF_SMBC_CLEAR_311: SMB 3.1.1 that offers no cipher, to see whether the server lets us in
 * @VMF_SMBC_CLEAR_210: the same by SMB 2.1, which has no encryption; for servers without 3.1.1
 *
 * Asking libsmbclient not to encrypt does not do: it encrypts all the same when the server wants
 * it. Offering no cipher does [measured, 4.17 and 4.22]; it is a matter of the configuration, which
 * is the whole process's, and with the two older dialects of SMB 3 the library itself would refuse.
 */
typedef enum { VMF_SMBC_SEALED, VMF_SMBC_CLEAR_311, VMF_SMBC_CLEAR_210 } VmfSmbcKind;

/**
 * vmf_smbc_configure() - write the configuration to @work_dir/.smb/smb.conf, set HOME to @work_dir
 * @clear: for the two CLEAR kinds; such a process must never use a share
 *
 * To be called after the last fork, before there are other threads that read the environment.
 * Returns: %FALSE with VMF_ERROR_INTERNAL.
 */
gboolean vmf_smbc_configure(const char *work_dir, gboolean clear, GError **error);

/**
 * vmf_smbc_context_new() - a context; it connects with the first request
 *
 * Its dialects are the process's until the next context is made.
 * @timeout_ms: of a request
 * @kind:       SEALED asks for encryption, which only the server can make sure of (the library
 *              goes on without)
 * @user_data:  smbc_getOptionUserData() of the context
 *
 * Returns: to be freed with smbc_free_context(), or %NULL with errno.
 */
SMBCCTX *vmf_smbc_context_new(guint timeout_ms, VmfSmbcKind kind, gpointer user_data);

/**
 * vmf_smbc_server_is_ready() - has the server an address, and we a ticket that is usable?
 *
 * Sends nothing to it. What libsmbclient would report is one errno for all of this.
 * Returns: %FALSE with VMF_ERROR_UNREACHABLE (no address) or VMF_ERROR_AUTH (no ticket, or too
 *   little of it left).
 */
gboolean vmf_smbc_server_is_ready(const char *server, VmfTicketTimes *times, GError **error);
