/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/sid.h"

/*
 * Who asks: the SIDs of an account as the file server sees them (MS-DTYP 2.5.2).
 *
 * A client cannot know all of them: the file server adds its own local groups. So a SID that is
 * not in the token is held "no" or "maybe": maybe for BUILTIN groups (S-1-5-32-…), Unix ids
 * (S-1-22-…) and SIDs of another domain than the account's (S-1-5-21-…: the server's own, or a
 * domain the server belongs to). @complete says that the server's groups are in the token.
 */

/** VmfTokenHolds - whether a token holds a SID */
typedef enum {
    VMF_TOKEN_NO,
    VMF_TOKEN_MAYBE,
    VMF_TOKEN_YES,
} VmfTokenHolds;

/**
 * VmfToken - the SIDs of an account
 * @sids:     the account's own first
 * @complete: nothing is missing: no SID is "maybe"
 */
typedef struct {
    VmfSid *sids;
    guint n_sids, room;
    gboolean complete;
} VmfToken;

VmfToken *vmf_token_new(void);
void vmf_token_free(VmfToken *token);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfToken, vmf_token_free)

/** vmf_token_clear() - forget the SIDs; memory is kept for reuse */
void vmf_token_clear(VmfToken *token);

/**
 * vmf_token_add() - add one SID
 *
 * Returns: %FALSE with VMF_ERROR_PROTOCOL when @sid is no SID in text form.
 */
gboolean vmf_token_add(VmfToken *token, const char *sid, GError **error);

/**
 * vmf_token_new_computer() - the token of a computer account, as a file server makes it
 * @sid:         the account's
 * @primary_rid: its primary group, 515 (Domain Computers) for every member that was not changed
 * @groups:      (nullable): its tokenGroups; the DC's BUILTIN entries among them are left out,
 *               because the file server has its own
 * @history:     (nullable): its sIDHistory
 *
 * Adds Everyone, NETWORK, Authenticated Users, This Organization and "authentication authority
 * asserted identity" (S-1-18-1), which a network logon with Kerberos brings. Not in it: Domain
 * Users, INTERACTIVE.
 *
 * Returns: (transfer full): %NULL with VMF_ERROR_PROTOCOL when a SID is none.
 */
VmfToken *vmf_token_new_computer(const char *sid, guint32 primary_rid, const char *const *groups,
                                 const char *const *history, GError **error);

/** vmf_token_holds() - whether it holds @sid */
VmfTokenHolds vmf_token_holds(const VmfToken *token, const VmfSid *sid);
