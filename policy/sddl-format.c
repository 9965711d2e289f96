/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sddl-names.h"
#include "policy/sddl.h"
#include "src/base/error.h"

static gboolean
refuse(GError **error, const char *what, guint index)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED, "ace %u %s: it has no SDDL", index, what);
    return FALSE;
}

static void
append_sid(GString *out, const VmfSid *sid)
{
    g_autofree gchar *text = vmf_sid_format(sid);
    g_string_append(out, text);
}

static void
append_guid(GString *out, gboolean there, const guint8 guid[16])
{
    static const guint8 order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (guint i = 0; there && i < 16; i++)
        g_string_append_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                               guid[order[i]]);
    g_string_append_c(out, ';');
}

static gboolean
append_ace(GString *out, const VmfAce *ace, guint index, GError **error)
{
    const char *type = vmf_sddl_type_name(ace->type);
    if (type == NULL)
        return refuse(error, "is of a type without a name", index);
    if (ace->extra_unread || vmf_ace_has_extra(ace->type))
        return refuse(error, "has a condition or attribute", index);
    g_string_append_printf(out, "(%s;", type);
    for (guint bit = 1; bit < 0x100; bit <<= 1)
        if (ace->flags & bit)
            g_string_append(out, vmf_sddl_flag_name((guint8)bit));
    g_string_append_printf(out, ";0x%x;", ace->mask);
    append_guid(out, ace->object_flags & VMF_ACE_OBJECT_TYPE_PRESENT, ace->object_type);
    append_guid(out, ace->object_flags & VMF_ACE_INHERITED_OBJECT_TYPE_PRESENT,
                ace->inherited_type);
    append_sid(out, &ace->sid);
    g_string_append_c(out, ')');
    return TRUE;
}

static gboolean
append_acl(GString *out, const char *name, const VmfAcl *acl, const char *flags, GError **error)
{
    switch (acl->state) {
    case VMF_ACL_ABSENT:
        return TRUE;
    case VMF_ACL_NULL:
        g_string_append_printf(out, "%sNO_ACCESS_CONTROL%s", name, flags);
        return TRUE;
    case VMF_ACL_UNSEEN:
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED, "the list %s is not known", name);
        return FALSE;
    case VMF_ACL_PRESENT:
        break;
    }
    g_string_append_printf(out, "%s%s", name, flags);
    for (guint i = 0; i < acl->n_aces; i++)
        if (!append_ace(out, &acl->aces[i], i, error))
            return FALSE;
    return TRUE;
}

static gchar *
flag_letters(guint16 control, guint16 protected, guint16 requested, guint16 inherited)
{
    return g_strconcat(control & protected ? "P" : "", control & requested ? "AR" : "",
                       control & inherited ? "AI" : "", NULL);
}

gchar *
vmf_sddl_format(const VmfSecurityDescriptor *sd, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree gchar *dacl = flag_letters(sd->control, VMF_SD_DACL_PROTECTED,
                                          VMF_SD_DACL_AUTO_INHERIT_REQ, VMF_SD_DACL_AUTO_INHERITED);
    g_autofree gchar *sacl = flag_letters(sd->control, VMF_SD_SACL_PROTECTED,
                                          VMF_SD_SACL_AUTO_INHERIT_REQ, VMF_SD_SACL_AUTO_INHERITED);
    if (sd->has_owner) {
        g_string_append(out, "O:");
        append_sid(out, &sd->owner);
    }
    if (sd->has_group) {
        g_string_append(out, "G:");
        append_sid(out, &sd->group);
    }
    if (!append_acl(out, "D:", &sd->dacl, dacl, error))
        return NULL;
    if (sd->sacl.state != VMF_ACL_UNSEEN && !append_acl(out, "S:", &sd->sacl, sacl, error))
        return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}
