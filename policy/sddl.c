/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/sddl.h"

#include "policy/sddl-names.h"
#include "src/base/error.h"

/*
 * A recursive-descent reader without recursion: the only thing that nests is a condition, and a
 * condition is skipped by counting brackets outside of quotes.
 */

typedef struct {
    const char *text, *at;
    const char *domain;
    VmfSecurityDescriptor *sd;
    GError **error;
} Reader;

static gboolean
refuse(const Reader *r, const char *what)
{
    g_set_error(r->error, VMF_ERROR, VMF_ERROR_PROTOCOL, "bad SDDL at byte %u: %s",
                (guint)(r->at - r->text) + 1, what);
    return FALSE;
}

static gboolean
expect(Reader *r, char letter, const char *what)
{
    if (*r->at != letter)
        return refuse(r, what);
    r->at++;
    return TRUE;
}

/* How many bytes at @at look like S-1-authority-sub-…; 0 when they do not. */
static gsize
sid_span(const char *at)
{
    if (g_ascii_strncasecmp(at, "S-1-", 4) != 0)
        return 0;
    const char *p = at + 4;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        /* 12 digits, as an authority has 48 bits; what follows may be D: */
        const char *end = p + 2 + 12;
        for (p += 2; p < end && g_ascii_isxdigit(*p); p++)
            ;
    } else {
        for (; g_ascii_isdigit(*p); p++)
            ;
    }
    while (p[0] == '-' && g_ascii_isdigit(p[1]))
        for (p++; g_ascii_isdigit(*p); p++)
            ;
    return (gsize)(p - at);
}

static gboolean
read_sid(Reader *r, VmfSid *sid)
{
    char buffer[256];
    gsize span = sid_span(r->at);
    if (span >= sizeof buffer)
        return refuse(r, "a SID that long does not exist");
    if (span > 0) {
        memcpy(buffer, r->at, span);
        buffer[span] = '\0';
        if (!vmf_sid_parse(buffer, sid))
            return refuse(r, "no valid SID");
        r->at += span;
        return TRUE;
    }
    if (!g_ascii_isalpha(r->at[0]) || !g_ascii_isalpha(r->at[1]))
        return refuse(r, "a SID or a name of two letters is expected");
    switch (vmf_sddl_account(r->at, r->domain, sid)) {
    case VMF_SDDL_NAME_FOUND:
        r->at += 2;
        return TRUE;
    case VMF_SDDL_NAME_UNKNOWN:
        return refuse(r, "no account has this name of two letters");
    case VMF_SDDL_NAME_NEEDS_DOMAIN:
        g_set_error(r->error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "SDDL at byte %u: '%.2s' is relative to a domain, and no domain's SID is given",
                    (guint)(r->at - r->text) + 1, r->at);
        return FALSE;
    }
    return FALSE;
}

static gboolean
read_type(Reader *r, VmfAce *ace)
{
    gsize span = strcspn(r->at, ";()");
    gint type = vmf_sddl_type_code(r->at, span);
    if (type < 0) {
        g_set_error(r->error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                    "SDDL at byte %u: unknown type of entry", (guint)(r->at - r->text) + 1);
        return FALSE;
    }
    ace->type = (guint8)type;
    r->at += span;
    return expect(r, ';', "';' is expected after the type");
}

static gboolean
read_flags(Reader *r, VmfAce *ace)
{
    while (*r->at != ';') {
        guint8 bit = *r->at && r->at[1] ? vmf_sddl_flag(r->at) : 0;
        if (bit == 0)
            return refuse(r, "unknown flag of an entry");
        ace->flags |= bit;
        r->at += 2;
    }
    r->at++;
    return TRUE;
}

/* 0x hexadecimal, 0 octal, else decimal, as Windows reads it. */
static gboolean
read_number(Reader *r, guint32 *mask)
{
    guint base = 10;
    guint64 value = 0;
    if (r->at[0] == '0' && (r->at[1] == 'x' || r->at[1] == 'X')) {
        base = 16;
        r->at += 2;
        if (!g_ascii_isxdigit(*r->at))
            return refuse(r, "a hexadecimal number is expected");
    } else if (r->at[0] == '0') {
        base = 8;
    }
    for (; g_ascii_isxdigit(*r->at); r->at++) {
        guint digit = (guint)g_ascii_xdigit_value(*r->at);
        value = value * base + digit;
        if (digit >= base || value > G_MAXUINT32)
            return refuse(r, "a mask of 32 bits is expected");
    }
    *mask = (guint32)value;
    return TRUE;
}

static gboolean
read_rights(Reader *r, VmfAce *ace)
{
    if (g_ascii_isdigit(*r->at)) {
        if (!read_number(r, &ace->mask))
            return FALSE;
    } else {
        while (*r->at != ';') {
            guint32 mask = *r->at && r->at[1] ? vmf_sddl_rights(r->at) : 0;
            if (mask == 0)
                return refuse(r, "unknown right");
            ace->mask |= mask;
            r->at += 2;
        }
    }
    return expect(r, ';', "';' is expected after the rights");
}

/* 8-4-4-4-12 hexadecimal digits; the first three groups are little-endian in bytes. */
static gboolean
read_guid(Reader *r, guint8 guid[16])
{
    static const guint8 order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    const char *p = r->at;
    for (guint i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (*p++ != '-')
                return refuse(r, "a GUID is expected");
        if (!g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]))
            return refuse(r, "a GUID is expected");
        guid[order[i]] = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
        p += 2;
    }
    r->at = p;
    return TRUE;
}

static gboolean
read_guid_field(Reader *r, VmfAce *ace, guint32 flag, guint8 guid[16])
{
    if (*r->at != ';') {
        if (!vmf_ace_is_object(ace->type))
            return refuse(r, "a GUID in an entry that is not about objects");
        if (!read_guid(r, guid))
            return FALSE;
        ace->object_flags |= flag;
    }
    return expect(r, ';', "';' is expected after the GUID");
}

/* To the bracket that closes the entry; a condition may hold brackets and quoted ones. */
static gboolean
skip_expression(Reader *r)
{
    guint depth = 0;
    gboolean quoted = FALSE;
    for (const char *p = r->at; *p != '\0'; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (!quoted && *p == '(')
            depth++;
        else if (!quoted && *p == ')' && depth-- == 0) {
            if (p == r->at)
                return refuse(r, "a condition or attribute is expected");
            r->at = p;
            return TRUE;
        }
    }
    return refuse(r, "the condition or attribute does not end");
}

static gboolean
read_ace(Reader *r, VmfAcl *acl)
{
    if (acl->n_aces == VMF_ACL_MAX_ACES)
        return refuse(r, "more entries than fit into a list");
    VmfAce *ace = vmf_acl_add(acl);
    if (!expect(r, '(', "'(' is expected") || !read_type(r, ace) || !read_flags(r, ace) ||
        !read_rights(r, ace) ||
        !read_guid_field(r, ace, VMF_ACE_OBJECT_TYPE_PRESENT, ace->object_type) ||
        !read_guid_field(r, ace, VMF_ACE_INHERITED_OBJECT_TYPE_PRESENT, ace->inherited_type) ||
        !read_sid(r, &ace->sid))
        return FALSE;
    if (vmf_ace_has_extra(ace->type)) {
        ace->extra_unread = TRUE;
        if (!expect(r, ';', "';' and a condition or attribute are expected") || !skip_expression(r))
            return FALSE;
    }
    return expect(r, ')', "')' is expected after the SID");
}

static gboolean
read_acl(Reader *r, VmfAcl *acl, guint16 protected, guint16 requested, guint16 inherited)
{
    acl->state = VMF_ACL_PRESENT;
    for (;;) {
        if (g_ascii_strncasecmp(r->at, "NO_ACCESS_CONTROL", 17) == 0) {
            acl->state = VMF_ACL_NULL;
            r->at += 17;
        } else if (g_ascii_toupper(*r->at) == 'P') {
            r->sd->control |= protected;
            r->at++;
        } else if (g_ascii_strncasecmp(r->at, "AR", 2) == 0) {
            r->sd->control |= requested;
            r->at += 2;
        } else if (g_ascii_strncasecmp(r->at, "AI", 2) == 0) {
            r->sd->control |= inherited;
            r->at += 2;
        } else {
            break;
        }
    }
    while (*r->at == '(') {
        if (acl->state == VMF_ACL_NULL)
            return refuse(r, "entries in a list that is NO_ACCESS_CONTROL");
        if (!read_ace(r, acl))
            return FALSE;
    }
    return TRUE;
}

static gboolean
read_part(Reader *r)
{
    VmfSecurityDescriptor *sd = r->sd;
    char name = g_ascii_toupper(*r->at);
    if (name == '\0' || strchr("OGDS", name) == NULL || r->at[1] != ':')
        return refuse(r, "O:, G:, D: or S: is expected");
    gboolean again = (name == 'O' && sd->has_owner) || (name == 'G' && sd->has_group) ||
                     (name == 'D' && sd->dacl.state != VMF_ACL_ABSENT) ||
                     (name == 'S' && sd->sacl.state != VMF_ACL_ABSENT);
    if (again)
        return refuse(r, "this part comes twice");
    r->at += 2;
    switch (name) {
    case 'O':
        sd->has_owner = TRUE;
        return read_sid(r, &sd->owner);
    case 'G':
        sd->has_group = TRUE;
        return read_sid(r, &sd->group);
    case 'D':
        sd->control |= VMF_SD_DACL_PRESENT;
        return read_acl(r, &sd->dacl, VMF_SD_DACL_PROTECTED, VMF_SD_DACL_AUTO_INHERIT_REQ,
                        VMF_SD_DACL_AUTO_INHERITED);
    default:
        sd->control |= VMF_SD_SACL_PRESENT;
        return read_acl(r, &sd->sacl, VMF_SD_SACL_PROTECTED, VMF_SD_SACL_AUTO_INHERIT_REQ,
                        VMF_SD_SACL_AUTO_INHERITED);
    }
}

gboolean
vmf_sddl_read(VmfSecurityDescriptor *sd, const char *text, const char *domain, GError **error)
{
    Reader reader = {.text = text, .at = text, .domain = domain, .sd = sd, .error = error};
    vmf_security_descriptor_clear(sd);
    do {
        if (!read_part(&reader))
            return FALSE;
    } while (*reader.at != '\0');
    return TRUE;
}

VmfSecurityDescriptor *
vmf_sddl_parse(const char *text, const char *domain, GError **error)
{
    g_autoptr(VmfSecurityDescriptor) sd = vmf_security_descriptor_new();
    return vmf_sddl_read(sd, text, domain, error) ? g_steal_pointer(&sd) : NULL;
}
