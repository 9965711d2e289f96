/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy/security-descriptor.h"

VmfSecurityDescriptor *
vmf_security_descriptor_new(void)
{
    VmfSecurityDescriptor *sd = g_new0(VmfSecurityDescriptor, 1);
    sd->extra = g_byte_array_new();
    vmf_security_descriptor_clear(sd);
    return sd;
}

void
vmf_security_descriptor_free(VmfSecurityDescriptor *sd)
{
    if (sd == NULL)
        return;
    g_free(sd->dacl.aces);
    g_free(sd->sacl.aces);
    g_byte_array_unref(sd->extra);
    g_free(sd);
}

static void
clear_acl(VmfAcl *acl)
{
    acl->state = VMF_ACL_ABSENT;
    acl->revision = 0;
    acl->n_aces = 0;
}

void
vmf_security_descriptor_clear(VmfSecurityDescriptor *sd)
{
    sd->control = VMF_SD_SELF_RELATIVE;
    sd->rm_control = 0;
    sd->has_owner = sd->has_group = FALSE;
    clear_acl(&sd->dacl);
    clear_acl(&sd->sacl);
    g_byte_array_set_size(sd->extra, 0);
}

VmfAce *
vmf_acl_add(VmfAcl *acl)
{
    if (acl->n_aces == acl->room) {
        acl->room = MAX(8, acl->room * 2);
        acl->aces = g_renew(VmfAce, acl->aces, acl->room);
    }
    VmfAce *ace = &acl->aces[acl->n_aces++];
    memset(ace, 0, sizeof *ace);
    return ace;
}

gboolean
vmf_ace_type_known(guint8 type)
{
    return type <= VMF_ACE_PROCESS_TRUST_LABEL && type != 3 && type != 4 && type != 8 &&
           type != 14 && type != 16;
}

gboolean
vmf_ace_is_object(guint8 type)
{
    return (type >= VMF_ACE_ALLOWED_OBJECT && type <= VMF_ACE_AUDIT_OBJECT) ||
           type == VMF_ACE_ALLOWED_CALLBACK_OBJECT || type == VMF_ACE_DENIED_CALLBACK_OBJECT ||
           type == VMF_ACE_AUDIT_CALLBACK_OBJECT;
}

gboolean
vmf_ace_has_extra(guint8 type)
{
    return (type >= VMF_ACE_ALLOWED_CALLBACK && type <= VMF_ACE_AUDIT_CALLBACK) ||
           type == VMF_ACE_AUDIT_CALLBACK_OBJECT || type == VMF_ACE_RESOURCE_ATTRIBUTE;
}

const char *
vmf_ace_type_describe(guint8 type)
{
    static const char *const names[] = {
        [VMF_ACE_ALLOWED] = "allow",
        [VMF_ACE_DENIED] = "deny",
        [VMF_ACE_AUDIT] = "audit",
        [VMF_ACE_ALLOWED_OBJECT] = "object allow",
        [VMF_ACE_DENIED_OBJECT] = "object deny",
        [VMF_ACE_AUDIT_OBJECT] = "object audit",
        [VMF_ACE_ALLOWED_CALLBACK] = "conditional allow",
        [VMF_ACE_DENIED_CALLBACK] = "conditional deny",
        [VMF_ACE_ALLOWED_CALLBACK_OBJECT] = "conditional object allow",
        [VMF_ACE_DENIED_CALLBACK_OBJECT] = "conditional object deny",
        [VMF_ACE_AUDIT_CALLBACK] = "conditional audit",
        [VMF_ACE_AUDIT_CALLBACK_OBJECT] = "conditional object audit",
        [VMF_ACE_MANDATORY_LABEL] = "integrity label",
        [VMF_ACE_RESOURCE_ATTRIBUTE] = "resource attribute",
        [VMF_ACE_SCOPED_POLICY] = "central access policy",
        [VMF_ACE_PROCESS_TRUST_LABEL] = "process trust label",
    };
    return type < G_N_ELEMENTS(names) && names[type] ? names[type] : "unknown";
}

gchar *
vmf_ace_describe(const VmfAce *ace)
{
    g_autofree gchar *sid = vmf_sid_format(&ace->sid);
    return g_strdup_printf("%s %s 0x%08x%s", vmf_ace_type_describe(ace->type), sid ? sid : "nobody",
                           ace->mask, ace->flags & VMF_ACE_INHERITED ? ", inherited" : "");
}
