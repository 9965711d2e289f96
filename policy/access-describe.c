/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/access-check.h"

static const struct {
    guint32 bit;
    const char *name;
} right_names[] = {
    {VMF_RIGHT_READ_DATA, "read data"},
    {VMF_RIGHT_WRITE_DATA, "write data"},
    {VMF_RIGHT_APPEND_DATA, "append data"},
    {VMF_RIGHT_READ_EA, "read extended attributes"},
    {VMF_RIGHT_WRITE_EA, "write extended attributes"},
    {VMF_RIGHT_EXECUTE, "execute"},
    {VMF_RIGHT_DELETE_CHILD, "delete children"},
    {VMF_RIGHT_READ_ATTRIBUTES, "read attributes"},
    {VMF_RIGHT_WRITE_ATTRIBUTES, "write attributes"},
    {VMF_RIGHT_DELETE, "delete"},
    {VMF_RIGHT_READ_CONTROL, "read control"},
    {VMF_RIGHT_WRITE_DAC, "change permissions"},
    {VMF_RIGHT_WRITE_OWNER, "take ownership"},
    {VMF_RIGHT_SYNCHRONIZE, "synchronize"},
    {VMF_RIGHT_SYSTEM_SECURITY, "system security"},
};

void
vmf_access_append_mask(GString *out, guint32 mask)
{
    char digits[11] = "0x00000000";
    for (guint i = 0; i < 8; i++)
        digits[9 - i] = "0123456789abcdef"[mask >> (4 * i) & 0xf];
    g_string_append_len(out, digits, 10);
}

static void
append_rights(GString *out, guint32 mask)
{
    gboolean any = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(right_names); i++) {
        if (!(mask & right_names[i].bit))
            continue;
        if (any)
            g_string_append(out, ", ");
        g_string_append(out, right_names[i].name);
        any = TRUE;
        mask &= ~right_names[i].bit;
    }
    if (mask != 0) {
        if (any)
            g_string_append(out, ", ");
        vmf_access_append_mask(out, mask);
    } else if (!any) {
        g_string_append(out, "nothing");
    }
}

/* As vmf_ace_describe() says it, without printf: a batch explains every answer. */
static void
append_ace(GString *out, const VmfSecurityDescriptor *sd, gint index)
{
    const VmfAce *ace = &sd->dacl.aces[index];
    g_autofree gchar *sid = vmf_sid_format(&ace->sid);
    g_string_append_printf(out, "ace %d (", index);
    g_string_append(out, vmf_ace_type_describe(ace->type));
    g_string_append_c(out, ' ');
    g_string_append(out, sid);
    g_string_append_c(out, ' ');
    vmf_access_append_mask(out, ace->mask);
    if (ace->flags & VMF_ACE_INHERITED)
        g_string_append(out, ", inherited");
    g_string_append_c(out, ')');
}

static void
append_reason(GString *out, const VmfSecurityDescriptor *sd, const VmfAccess *access)
{
    switch (access->reason) {
    case VMF_ACCESS_ENTRIES:
        append_ace(out, sd, access->ace);
        g_string_append(out, " grants what was still missing");
        break;
    case VMF_ACCESS_OWNER:
        g_string_append(out, "the account is the owner");
        break;
    case VMF_ACCESS_NULL_DACL:
        g_string_append(out, "the list is NULL: everyone may do everything");
        break;
    case VMF_ACCESS_NOTHING_ASKED:
        g_string_append(out, "no right in particular is asked for");
        break;
    case VMF_ACCESS_PARENT:
        g_string_append(out, "the folder's list gives what the file's list does not");
        break;
    case VMF_ACCESS_DENIED_ENTRY:
    case VMF_ACCESS_DENIED_CONDITION:
        append_ace(out, sd, access->ace);
        g_string_append(out, " denies ");
        append_rights(out, sd->dacl.aces[access->ace].mask & access->missing);
        if (access->reason == VMF_ACCESS_DENIED_CONDITION)
            g_string_append(out, " under a condition, which is taken as met");
        break;
    case VMF_ACCESS_NO_ENTRY:
        g_string_append(out, "no entry grants ");
        append_rights(out, access->missing);
        break;
    case VMF_ACCESS_NO_OWNER:
        g_string_append(out, "the descriptor has no owner");
        break;
    case VMF_ACCESS_READONLY:
        g_string_append(out, "the file has the attribute READONLY");
        break;
    case VMF_ACCESS_NO_DACL:
        g_string_append(out, "the descriptor has no list: Windows would grant, Samba deny");
        break;
    case VMF_ACCESS_UNSEEN_DACL:
        g_string_append(out, "the list shows no entry: it is NULL (grants all) or empty (none)");
        break;
    case VMF_ACCESS_CENTRAL_POLICY:
        g_string_append(out, "a central access policy applies too, and is not known here");
        break;
    case VMF_ACCESS_LABEL:
        g_string_append(out, "an integrity label above medium may refuse writing");
        break;
    case VMF_ACCESS_MAYBE:
        if (access->ace < 0) {
            g_string_append(out, "only the file server knows whether the account is the owner");
            break;
        }
        append_ace(out, sd, access->ace);
        g_string_append(out, " is about a group that only the file server can expand");
        break;
    case VMF_ACCESS_PARENT_MAYBE:
        g_string_append(out, "the folder's list may give what the file's list does not, and is not "
                             "known for certain");
        break;
    case VMF_ACCESS_MAXIMUM_EMPTY:
        g_string_append(out,
                        "the maximum is asked for and is nothing: Samba would grant, Windows deny");
        break;
    }
}

static void
append_notes(GString *out, const VmfSecurityDescriptor *sd, const VmfAccess *access)
{
    if (access->verdict == VMF_VERDICT_GRANT)
        return;
    if (access->skipped >= 0) {
        g_string_append(out, "; ");
        append_ace(out, sd, access->skipped);
        g_string_append(out, " is conditional and was not counted");
    }
    if (access->generic >= 0) {
        g_string_append(out, "; ");
        append_ace(out, sd, access->generic);
        g_string_append(out, " holds generic rights, which grant nothing in a stored list");
    }
}

gchar *
vmf_access_describe(const VmfSecurityDescriptor *sd, const VmfAccess *access)
{
    GString *out = g_string_new(NULL);
    append_reason(out, sd, access);
    append_notes(out, sd, access);
    return g_string_free(out, FALSE);
}

gchar *
vmf_access_rights_name(guint32 mask)
{
    GString *out = g_string_new(NULL);
    append_rights(out, mask);
    return g_string_free(out, FALSE);
}

const char *
vmf_verdict_name(VmfVerdict verdict)
{
    switch (verdict) {
    case VMF_VERDICT_GRANT:
        return "grant";
    case VMF_VERDICT_DENY:
        return "deny";
    case VMF_VERDICT_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}
