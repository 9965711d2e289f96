/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdint.h>

#include "policy/access-check.h"
#include "policy/descriptor-text.h"
#include "policy/sddl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text as libsmbclient would print what was read. */
static gchar *
print(const VmfSecurityDescriptor *sd)
{
    GString *out = g_string_new("REVISION:1");
    g_autofree gchar *owner = sd->has_owner ? vmf_sid_format(&sd->owner) : NULL;
    g_autofree gchar *group = sd->has_group ? vmf_sid_format(&sd->group) : NULL;
    if (owner)
        g_string_append_printf(out, ",OWNER:%s", owner);
    if (group)
        g_string_append_printf(out, ",GROUP:%s", group);
    for (guint i = 0; i < sd->dacl.n_aces; i++) {
        const VmfAce *ace = &sd->dacl.aces[i];
        g_autofree gchar *sid = vmf_sid_format(&ace->sid);
        g_string_append_printf(out, ",ACL:%s:%d/%d/0x%08x", sid, ace->type, ace->flags, ace->mask);
    }
    return g_string_free(out, FALSE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree gchar *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfSecurityDescriptor) sd = vmf_descriptor_text_parse(text, &error);
    g_assert_true((sd == NULL) == (error != NULL));
    if (sd == NULL)
        return 0;
    g_assert_true((sd->dacl.state == VMF_ACL_UNSEEN) == (sd->dacl.n_aces == 0));

    g_autofree gchar *printed = print(sd);
    g_autoptr(VmfSecurityDescriptor) again = vmf_descriptor_text_parse(printed, &error);
    g_assert_no_error(error);
    g_autofree gchar *twice = print(again);
    g_assert_cmpstr(twice, ==, printed);

    g_autoptr(VmfToken)
        token = vmf_token_new_computer("S-1-5-21-1-2-3-1104", 515, NULL, NULL, &error);
    VmfAccess access = vmf_access_check(sd, token, VMF_ACCESS_READ_WRITE);
    g_autofree gchar *why = vmf_access_describe(sd, &access);
    g_assert_nonnull(why);
    g_assert_true(sd->dacl.n_aces > 0 || access.verdict != VMF_VERDICT_GRANT);
    return 0;
}
