/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/directory.h"
#include "auth/ldap-session.h"
#include "policy/facts.h"

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

/* What an entry says of a computer account, its groups left out. VMF_ERROR_PROTOCOL (transfer full) */
VmfComputer *vmf_directory_read_computer(const VmfLdapEntry *entry, GError **error);

/* The same for the checks; @kvno: (optional). VMF_ERROR_DENIED: not shown; VMF_ERROR_PROTOCOL */
gboolean vmf_directory_take_account(const VmfLdapEntry *entry, VmfFactComputer *facts, guint *kvno,
                                    GError **error);

/* The SIDs of an attribute with many into @member. VMF_ERROR_PROTOCOL: one of them is none */
gboolean vmf_directory_take_sids(const VmfLdapEntry *entry, const char *attribute, gchar ***member,
                                 GError **error);

/* "HV2$", "hv2" (which means HV2$) or "hv2.lab.test" as a filter. (transfer full) */
gchar *vmf_directory_computer_filter(const char *name);

/* With the lock held; see directory.h. */
gchar *vmf_directory_domain_sid_locked(VmfDirectory *directory, GError **error);
