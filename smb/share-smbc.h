/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/share.h"

/**
 * vmf_share_smbc_new() - a file server, reached through libsmbclient
 * @server:   its DNS name
 * @work_dir: a folder of this process: libsmbclient's configuration is written to
 *            @work_dir/.smb/smb.conf, and HOME is set to it
 *
 * Identity is the Kerberos cache of KRB5CCNAME and nothing else: no password, no NTLM, no
 * anonymous logon. SMB 3 only. To be called after the last fork, before there are other threads
 * that read the environment.
 *
 * Returns: NULL with VMF_ERROR_INTERNAL.
 */
VmfShare *vmf_share_smbc_new(const char *server, const char *work_dir, GError **error);
