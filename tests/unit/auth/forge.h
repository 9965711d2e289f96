/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"

#include <krb5.h>

/*
 * A forger of Kerberos tickets: what only a KDC can make, made by a test that knows the server's keys.
 * Both ends of an exchange are then the real libraries, and no KDC is asked; tickets can be what no
 * real KDC would issue (RC4, other realms' work, S4U). Uses two functions that libkrb5 exports but
 * does not declare.
 */

/**
 * forge_begin() - a folder with a krb5.conf of realm LAB.TEST without a KDC, for this process
 *
 * Call it first in main(): libraries read the environment only once. Removed by forge_end().
 */
void forge_begin(void);
void forge_end(void);

/** forge_path() - a path in the folder. Returns: (transfer full). */
gchar *forge_path(const char *name);

/**
 * forge_keytab() - write a keytab
 * @enctypes: ends with 0
 * @...:      principals, ends with %NULL
 *
 * Returns: (transfer full): its path.
 */
gchar *forge_keytab(const char *name, const krb5_enctype *enctypes, ...) G_GNUC_NULL_TERMINATED;

typedef struct {
    const char *client;          /* "HV1$@LAB.TEST" */
    const char *server;          /* "host/hv2.lab.test@LAB.TEST" */
    krb5_enctype ticket_enctype; /* 0: AES-256 */
    krb5_enctype session_enctype;
    krb5_flags flags;       /* TKT_FLG_… besides PRE_AUTH */
    const char *transited;  /* %NULL: empty */
    GBytes *logon;          /* KERB_VALIDATION_INFO; %NULL: no PAC */
    gboolean pac_delegated; /* S4U_DELEGATION_INFO in the PAC */
    gboolean pac_forged;    /* not signed with the server's key */
    const char *pac_client; /* whose PAC it is; NULL: @client's */
    gboolean pac_twice;     /* two of them */
    gint64 starts;          /* seconds from now */
    gint64 ends;            /* seconds from now; 0: an hour */
} ForgedTicket;

/** forge_ccache() - a cache file with that service ticket in it. Returns: (transfer full): path. */
gchar *forge_ccache(const char *name, const ForgedTicket *ticket);

/**
 * forge_token() - the GSS token a client would send with that ticket, by a clock that is @ahead_s ahead
 *
 * Returns: (transfer full): RFC 4121 4.1: a KRB_AP_REQ that asks for mutual authentication.
 */
GBytes *forge_token(const ForgedTicket *ticket, gint ahead_s);

/**
 * ForgedLogon - a KERB_VALIDATION_INFO; zeros and NULLs are sensible
 */
typedef struct {
    const char *account;
    const char *domain_sid; /* four sub-authorities or fewer, "S-1-5-21-…" */
    guint32 rid;
    guint32 uac;              /* as in the PAC */
    const guint32 *groups;    /* RIDs, ends with 0 */
    const char *const *extra; /* SIDs, ends with NULL */
    const char *resource_sid;
    const guint32 *resources; /* RIDs, ends with 0 */
    guint32 attributes;       /* of all groups; 0: enabled, mandatory */
} ForgedLogon;

/** forge_logon() - its NDR. Returns: (transfer full). */
GBytes *forge_logon(const ForgedLogon *logon);

#define FORGED_DOMAIN_SID "S-1-5-21-1-2-3"
#define FORGED_GROUP_RID  1103
#define FORGED_GROUP_SID  FORGED_DOMAIN_SID "-1103"
