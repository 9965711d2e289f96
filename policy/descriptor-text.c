/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/descriptor-text.h"

#include "src/base/error.h"
#include "src/base/text.h"

static gboolean G_GNUC_PRINTF(2, 3) refuse(GError **error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree gchar *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "bad security descriptor from libsmbclient: %s", what);
    return FALSE;
}

/* A decimal number up to 255 and the slash behind it. */
static gboolean
take_byte(const char **at, guint8 *value)
{
    const char *p = *at;
    guint number = 0;
    for (; g_ascii_isdigit(*p) && p - *at < 3; p++)
        number = number * 10 + (guint)g_ascii_digit_value(*p);
    if (p == *at || *p != '/' || number > G_MAXUINT8)
        return FALSE;
    *value = (guint8)number;
    *at = p + 1;
    return TRUE;
}

/* 0x and always 8 digits, to the end: so a text that was cut off is seen. */
static gboolean
read_mask(const char *text, guint32 *mask)
{
    if (!g_str_has_prefix(text, "0x") || strlen(text) != 10)
        return FALSE;
    *mask = 0;
    for (const char *p = text + 2; *p; p++) {
        if (!g_ascii_isxdigit(*p))
            return FALSE;
        *mask = *mask << 4 | (guint32)g_ascii_xdigit_value(*p);
    }
    return TRUE;
}

/* SID:type/flags/mask */
static gboolean
read_ace(VmfAcl *acl, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL)
        return refuse(error, "'%.*s' is not SID:type/flags/mask", vmf_text_head(text, 100), text);
    if (acl->n_aces == VMF_ACL_MAX_ACES)
        return refuse(error, "it has more entries than fit into a list");
    g_autofree gchar *name = g_strndup(text, (gsize)(colon - text));
    VmfAce *ace = vmf_acl_add(acl);
    if (!vmf_sid_parse(name, &ace->sid))
        return refuse(error,
                      "'%.*s' is no SID: names are not read, ask for \"system.nt_sec_desc.*\"",
                      vmf_text_head(name, 100), name);
    const char *at = colon + 1;
    if (!take_byte(&at, &ace->type) || !take_byte(&at, &ace->flags) || !read_mask(at, &ace->mask))
        return refuse(error, "'%.*s' is not SID:type/flags/mask", vmf_text_head(text, 100), text);
    if (!vmf_ace_type_known(ace->type)) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "ace %u is of the reserved type %u: what it would deny is not known",
                    acl->n_aces - 1, ace->type);
        return FALSE;
    }
    ace->extra_unread = vmf_ace_has_extra(ace->type) || vmf_ace_is_object(ace->type);
    acl->state = VMF_ACL_PRESENT;
    return TRUE;
}

static gboolean
read_sid(const char *name, const char *text, gboolean *has, VmfSid *sid, GError **error)
{
    if (*has)
        return refuse(error, "%s comes twice", name);
    *has = TRUE;
    if (!vmf_sid_parse(text, sid))
        return refuse(error,
                      "%s '%.*s' is no SID: names are not read, ask for \"system.nt_sec_desc.*\"",
                      name, vmf_text_head(text, 100), text);
    return TRUE;
}

static gboolean
read_part(VmfSecurityDescriptor *sd, const char *part, GError **error)
{
    if (g_str_has_prefix(part, "OWNER:"))
        return read_sid("OWNER", part + 6, &sd->has_owner, &sd->owner, error);
    if (g_str_has_prefix(part, "GROUP:"))
        return read_sid("GROUP", part + 6, &sd->has_group, &sd->group, error);
    if (g_str_has_prefix(part, "ACL:"))
        return read_ace(&sd->dacl, part + 4, error);
    return refuse(error, "unknown part '%.*s'", vmf_text_head(part, 100), part);
}

VmfSecurityDescriptor *
vmf_descriptor_text_parse(const char *text, GError **error)
{
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    sd->dacl.state = sd->sacl.state = VMF_ACL_UNSEEN;
    if (!g_str_is_ascii(text)) {
        refuse(error, "it holds bytes that are not ASCII: names are not read");
        return NULL;
    }
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    if (g_strcmp0(parts[0], "REVISION:1") != 0) {
        refuse(error, "it does not start with REVISION:1");
        return NULL;
    }
    for (gsize i = 1; parts[i] != NULL; i++)
        if (!read_part(sd, parts[i], error))
            return NULL;
    return g_steal_pointer(&sd);
}

gchar *
vmf_descriptor_text_entry_name(const char *text, guint index)
{
    static const char mark[] = ",ACL:";
    const char *at = strstr(text, mark);
    for (; at && index > 0; index--)
        at = strstr(at + 1, mark);
    if (at == NULL)
        return NULL;
    const char *name = at + strlen(mark), *end = name + strcspn(name, ",");
    const char *colon = g_strrstr_len(name, end - name, ":");
    return colon ? g_strndup(name, (gsize)(colon - name)) : NULL;
}
