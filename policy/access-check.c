/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/access-check.h"

#define GENERIC_BITS                                                                               \
    (VMF_RIGHT_GENERIC_READ | VMF_RIGHT_GENERIC_WRITE | VMF_RIGHT_GENERIC_EXECUTE |                \
     VMF_RIGHT_GENERIC_ALL)
#define OWNER_BITS (VMF_RIGHT_READ_CONTROL | VMF_RIGHT_WRITE_DAC)

/* S-1-3-4, S-1-3-0, S-1-3-1 and S-1-16-8192 (medium integrity). */
static const VmfSid owner_rights = {{1, 1, 0, 0, 0, 0, 0, 3, 4}};
static const VmfSid creator_owner = {{1, 1, 0, 0, 0, 0, 0, 3, 0}};
static const VmfSid creator_group = {{1, 1, 0, 0, 0, 0, 0, 3, 1}};
static const VmfSid label = {{1, 1, 0, 0, 0, 0, 0, 16}};
#define MEDIUM_LABEL 0x2000

/*
 * The walk through the entries. Entries for a SID that only the file server can expand count
 * twice: @certain is what remains when they grant nothing, @possible what remains when they grant
 * all they can. The verdict is certain only where both lead to it.
 *
 * @maybe_allow: the first such entry that would grant something, or -1
 * @unsure:      a deny entry decides, if the server says so; @hangs_on is the entry for the group
 *               on which that hangs, -1 when it is the owner
 */
typedef struct {
    const VmfSecurityDescriptor *sd;
    const VmfToken *token;
    VmfTokenHolds is_owner;
    guint32 certain, possible;
    guint32 granted, denied; /* of all rights, for the maximum */
    gint maybe_allow, hangs_on;
    gboolean unsure, decided;
    VmfAccess *out;
} Walk;

guint32
vmf_access_map_generic(guint32 mask)
{
    guint32 mapped = mask & ~GENERIC_BITS;
    if (mask & VMF_RIGHT_GENERIC_READ)
        mapped |= 0x00120089;
    if (mask & VMF_RIGHT_GENERIC_WRITE)
        mapped |= 0x00120116;
    if (mask & VMF_RIGHT_GENERIC_EXECUTE)
        mapped |= 0x001200a0;
    if (mask & VMF_RIGHT_GENERIC_ALL)
        mapped |= VMF_ACCESS_FULL;
    return mapped;
}

static VmfTokenHolds
entry_matches(const Walk *walk, const VmfSid *sid)
{
    if (vmf_sid_equal(sid, &owner_rights))
        return walk->is_owner;
    if (vmf_sid_equal(sid, &creator_owner) || vmf_sid_equal(sid, &creator_group))
        return VMF_TOKEN_NO;
    return vmf_token_holds(walk->token, sid);
}

static void
walk_allow(Walk *walk, const VmfAce *ace, gint index, VmfTokenHolds held)
{
    if (held == VMF_TOKEN_YES) {
        walk->granted |= ace->mask & ~walk->denied;
        if (!walk->decided && walk->certain & ace->mask && (walk->certain & ~ace->mask) == 0)
            walk->out->ace = index;
        walk->certain &= ~ace->mask;
    } else if (walk->maybe_allow < 0 && walk->possible & ace->mask) {
        walk->maybe_allow = index;
    }
    walk->possible &= ~ace->mask;
}

static void
walk_deny(Walk *walk, const VmfAce *ace, gint index, VmfTokenHolds held)
{
    walk->denied |= ace->mask & ~walk->granted;
    if (walk->decided)
        return;
    if (held == VMF_TOKEN_YES && walk->possible & ace->mask) {
        gboolean condition = ace->type == VMF_ACE_DENIED_CALLBACK ||
                             ace->type == VMF_ACE_DENIED_CALLBACK_OBJECT;
        walk->out->verdict = VMF_VERDICT_DENY;
        walk->out->reason = condition ? VMF_ACCESS_DENIED_CONDITION : VMF_ACCESS_DENIED_ENTRY;
        walk->out->ace = index;
        walk->decided = TRUE;
    } else if (walk->certain & ace->mask && !walk->unsure) {
        /* An entry for the account denies what only a "maybe" granted before, or is one itself. */
        walk->unsure = TRUE;
        walk->hangs_on = held == VMF_TOKEN_YES ? walk->maybe_allow : index;
    }
}

static void
walk_entry(Walk *walk, const VmfAce *ace, gint index)
{
    if (ace->flags & VMF_ACE_INHERIT_ONLY)
        return;
    VmfTokenHolds held = entry_matches(walk, &ace->sid);
    if (held == VMF_TOKEN_NO)
        return;
    switch ((VmfAceType)ace->type) {
    case VMF_ACE_ALLOWED:
        if (ace->mask & GENERIC_BITS && walk->out->generic < 0)
            walk->out->generic = index;
        walk_allow(walk, ace, index, held);
        break;
    case VMF_ACE_DENIED:
    case VMF_ACE_DENIED_OBJECT:
    case VMF_ACE_DENIED_CALLBACK:
    case VMF_ACE_DENIED_CALLBACK_OBJECT:
        walk_deny(walk, ace, index, held);
        break;
    case VMF_ACE_ALLOWED_CALLBACK:
    case VMF_ACE_ALLOWED_CALLBACK_OBJECT:
        if (!walk->decided && walk->certain & ace->mask && walk->out->skipped < 0)
            walk->out->skipped = index;
        break;
    case VMF_ACE_ALLOWED_OBJECT:
    case VMF_ACE_AUDIT:
    case VMF_ACE_AUDIT_OBJECT:
    case VMF_ACE_AUDIT_CALLBACK:
    case VMF_ACE_AUDIT_CALLBACK_OBJECT:
    case VMF_ACE_MANDATORY_LABEL:
    case VMF_ACE_RESOURCE_ATTRIBUTE:
    case VMF_ACE_SCOPED_POLICY:
    case VMF_ACE_PROCESS_TRUST_LABEL:
        break;
    }
}

/* The owner may always read and change the list, unless an entry says what owners may. */
static gboolean
has_owner_rights_entry(const VmfAcl *dacl)
{
    for (guint i = 0; i < dacl->n_aces; i++)
        if (!(dacl->aces[i].flags & VMF_ACE_INHERIT_ONLY) &&
            vmf_sid_equal(&dacl->aces[i].sid, &owner_rights))
            return TRUE;
    return FALSE;
}

static void
give_owner_rights(Walk *walk)
{
    walk->is_owner = vmf_token_holds(walk->token, &walk->sd->owner);
    if (walk->is_owner == VMF_TOKEN_NO || has_owner_rights_entry(&walk->sd->dacl))
        return;
    if (walk->is_owner == VMF_TOKEN_YES) {
        walk->granted |= OWNER_BITS;
        walk->certain &= ~(guint32)OWNER_BITS;
    }
    walk->possible &= ~(guint32)OWNER_BITS;
}

static void
conclude(Walk *walk)
{
    VmfAccess *out = walk->out;
    if (walk->decided)
        return;
    if (walk->possible != 0) {
        out->verdict = VMF_VERDICT_DENY;
        out->reason = VMF_ACCESS_NO_ENTRY;
        out->ace = -1;
    } else if (walk->unsure || walk->certain != 0) {
        out->verdict = VMF_VERDICT_UNKNOWN;
        out->reason = VMF_ACCESS_MAYBE;
        out->ace = walk->unsure ? walk->hangs_on : walk->maybe_allow;
    } else {
        out->verdict = VMF_VERDICT_GRANT;
        out->reason = out->ace >= 0 ? VMF_ACCESS_ENTRIES : VMF_ACCESS_OWNER;
    }
}

static VmfAccess
settled(VmfAccess out, VmfVerdict verdict, VmfAccessReason reason, guint32 granted)
{
    out.verdict = verdict;
    out.reason = reason;
    out.ace = -1;
    out.granted = granted;
    out.missing = verdict == VMF_VERDICT_GRANT ? 0 : out.desired & ~granted;
    return out;
}

static VmfAccess
walk_list(VmfAccess out, const VmfSecurityDescriptor *sd, const VmfToken *token)
{
    Walk walk = {.sd = sd, .token = token, .maybe_allow = -1, .hangs_on = -1, .out = &out};
    walk.certain = walk.possible = out.desired;
    give_owner_rights(&walk);
    for (guint i = 0; i < sd->dacl.n_aces; i++)
        walk_entry(&walk, &sd->dacl.aces[i], (gint)i);
    conclude(&walk);
    out.granted = walk.granted & ~(guint32)VMF_RIGHT_MAXIMUM_ALLOWED; /* no right */
    out.missing = out.verdict == VMF_VERDICT_GRANT ? 0 : out.desired & ~out.granted;
    return out;
}

/* What the SACL says besides auditing: then the DACL alone does not decide. */
static gboolean
sacl_decides(const VmfAcl *sacl, VmfAccessReason *reason)
{
    for (guint i = 0; i < sacl->n_aces; i++) {
        const VmfAce *ace = &sacl->aces[i];
        if (ace->flags & VMF_ACE_INHERIT_ONLY)
            continue;
        if (ace->type == VMF_ACE_SCOPED_POLICY) {
            *reason = VMF_ACCESS_CENTRAL_POLICY;
            return TRUE;
        }
        guint32 level = ace->sid.data[8] | (guint32)ace->sid.data[9] << 8 |
                        (guint32)ace->sid.data[10] << 16 | (guint32)ace->sid.data[11] << 24;
        gboolean above_medium = memcmp(ace->sid.data, label.data, 8) == 0 && level > MEDIUM_LABEL;
        if (ace->type == VMF_ACE_MANDATORY_LABEL && above_medium) {
            *reason = VMF_ACCESS_LABEL;
            return TRUE;
        }
    }
    return FALSE;
}

static VmfAccess
judge(const VmfSecurityDescriptor *sd, const VmfToken *token, guint32 desired)
{
    VmfAccessReason reason;
    gboolean maximum = (desired & VMF_RIGHT_MAXIMUM_ALLOWED) != 0;
    VmfAccess out = {
        .desired = vmf_access_map_generic(desired) & ~(guint32)VMF_RIGHT_MAXIMUM_ALLOWED,
        .ace = -1,
        .skipped = -1,
        .generic = -1,
    };
    if (!sd->has_owner)
        return settled(out, VMF_VERDICT_DENY, VMF_ACCESS_NO_OWNER, 0);
    if (sacl_decides(&sd->sacl, &reason))
        return settled(out, VMF_VERDICT_UNKNOWN, reason, 0);
    switch (sd->dacl.state) {
    case VMF_ACL_ABSENT:
        return settled(out, VMF_VERDICT_UNKNOWN, VMF_ACCESS_NO_DACL, 0);
    case VMF_ACL_UNSEEN:
        return settled(out, VMF_VERDICT_UNKNOWN, VMF_ACCESS_UNSEEN_DACL, 0);
    case VMF_ACL_NULL:
        return settled(out, VMF_VERDICT_GRANT, VMF_ACCESS_NULL_DACL, VMF_ACCESS_FULL | out.desired);
    case VMF_ACL_PRESENT:
        break;
    }
    out = walk_list(out, sd, token);
    if (out.desired == 0 && maximum && out.granted == 0)
        return settled(out, VMF_VERDICT_UNKNOWN, VMF_ACCESS_MAXIMUM_EMPTY, 0);
    if (out.desired == 0 && out.verdict == VMF_VERDICT_GRANT)
        out.reason = VMF_ACCESS_NOTHING_ASKED;
    return out;
}

VmfAccess
vmf_access_check(const VmfSecurityDescriptor *sd, const VmfToken *token, guint32 desired)
{
    return judge(sd, token, desired);
}

/*
 * Rights to a file that its folder's list gives as well; in @maybe those that it may give. Of a
 * folder that is not known nothing is certain.
 */
static guint32
rights_of_folder(const VmfSecurityDescriptor *folder, const VmfToken *token, guint32 *maybe)
{
    static const struct {
        guint32 folder, file;
    } rules[] = {
        {VMF_RIGHT_DELETE_CHILD, VMF_RIGHT_DELETE},
        {VMF_RIGHT_READ_DATA, VMF_RIGHT_READ_ATTRIBUTES},
    };
    guint32 given = 0;
    *maybe = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(rules); i++) {
        VmfVerdict verdict = folder ? judge(folder, token, rules[i].folder).verdict
                                    : VMF_VERDICT_UNKNOWN;
        if (verdict == VMF_VERDICT_GRANT)
            given |= rules[i].file;
        else if (verdict == VMF_VERDICT_UNKNOWN)
            *maybe |= rules[i].file;
    }
    return given;
}

/* @own, the file's answer, was no grant: what does the folder change? */
static VmfAccess
judge_with_folder(VmfAccess own, const VmfSecurityDescriptor *file,
                  const VmfSecurityDescriptor *folder, const VmfToken *token)
{
    guint32 maybe, given = rights_of_folder(folder, token, &maybe);
    given &= own.desired;
    maybe &= own.desired;
    if (given == 0 && maybe == 0)
        return own;
    VmfAccess rest = judge(file, token, own.desired & ~given);
    if (rest.verdict == VMF_VERDICT_GRANT) {
        rest.reason = VMF_ACCESS_PARENT;
        rest.ace = -1;
    } else if (maybe != 0 &&
               judge(file, token, own.desired & ~(given | maybe)).verdict == VMF_VERDICT_GRANT) {
        rest.verdict = VMF_VERDICT_UNKNOWN;
        rest.reason = VMF_ACCESS_PARENT_MAYBE;
        rest.ace = -1;
    }
    rest.desired = own.desired;
    rest.granted |= given;
    return rest;
}

VmfAccess
vmf_access_check_file(const VmfSecurityDescriptor *file, const VmfSecurityDescriptor *folder,
                      gboolean readonly, const VmfToken *token, guint32 desired)
{
    const guint32 writes = VMF_RIGHT_WRITE_DATA | VMF_RIGHT_APPEND_DATA;
    VmfAccess own = judge(file, token, desired);
    if (readonly)
        own.granted &= ~writes;
    if (readonly && own.desired & writes) {
        own.verdict = VMF_VERDICT_DENY;
        own.reason = VMF_ACCESS_READONLY;
        own.missing = own.desired & ~own.granted;
        own.ace = -1;
        return own;
    }
    if (own.verdict == VMF_VERDICT_GRANT)
        return own;
    own = judge_with_folder(own, file, folder, token);
    if (readonly)
        own.granted &= ~writes;
    return own;
}
