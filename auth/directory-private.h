/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/directory.h"
#include "auth/ldap-session.h"

/* Shared by directory.c and directory-facts.c. */

struct _VmfDirectory {
    VmfHostIdentity *me;
    GMutex lock; /* guards what follows; held while asking */
    VmfLdapSession *session;
    gchar *domain_sid;
    gchar *domain_name; /* NetBIOS; NULL: not asked yet */
};

/* A value that must be one whole SID; NULL: it is not. (transfer full) */
gchar *vmf_directory_sid(GBytes *value);

/* "HV2$", "hv2" (which means HV2$) or "hv2.lab.test" as a filter. (transfer full) */
gchar *vmf_directory_computer_filter(const char *name);

/* With the lock held; see directory.h. */
gchar *vmf_directory_domain_sid_locked(VmfDirectory *directory, GError **error);
