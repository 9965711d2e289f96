/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the search of the shares found, as its process answers: folders, definitions and owner records of
 * whoever may write there. The first byte picks what was asked for. One VM that was meant comes out, with a
 * record that is its own or with what is wrong; or a message with an end.
 */
#include "smb/share-find.h"

#include <string.h>

#define UUID "11111111-2222-4333-8444-555555555555"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static const VmfLocalPolicy *
a_policy(void)
{
    static const char text[] = "[vmferry]\ngroup=g\n[shares]\nallow=//fs1.lab.test/vms\n";
    static VmfLocalPolicy *policy;
    if (policy == NULL)
        policy = vmf_local_policy_parse(text, sizeof text - 1, "fuzz.conf", NULL);
    return policy;
}

static void
check_found(const VmfFoundVm *found, const char *vm)
{
    g_assert_true(found->folder && found->uuid && found->name && found->definition &&
                  found->problem);
    g_autofree gchar *markup = g_markup_escape_text(vm, -1);
    g_assert_true(g_str_has_prefix(vm, "smb://") || g_ascii_strcasecmp(found->uuid, vm) == 0 ||
                  strcmp(found->name, markup) == 0);
    if (found->problem[0])
        return;
    /* it becomes a path, and the record decides whose the VM is */
    g_assert_true(g_uuid_string_is_valid(found->uuid));
    g_assert_cmpint(g_ascii_strcasecmp(found->record.vm_uuid, found->uuid), ==, 0);
    g_autofree gchar *told = vmf_owner_record_describe(&found->record);
    g_assert_true(g_utf8_validate(told, -1, NULL));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char *const asked[] = {"web1", UUID, "smb://fs1.lab.test/vms/web1", "a&b", ""};
    if (size == 0)
        return 0;
    const char *vm = asked[data[0] % G_N_ELEMENTS(asked)];
    g_autoptr(GBytes) bytes = g_bytes_new(data + 1, size - 1);
    g_autoptr(GVariant) answer = g_variant_ref_sink(
        g_variant_new_from_bytes(G_VARIANT_TYPE(VMF_FIND_ANSWER), bytes, FALSE));
    if (!g_variant_is_normal_form(answer)) /* vmf_probe_read() refuses it */
        return 0;
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfFoundVm) found = vmf_share_find_answer(a_policy(), vm, answer, &error);
    g_assert_true((found == NULL) == (error != NULL));
    if (error) {
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_assert_cmpuint(strlen(error->message), <, 20000);
    } else {
        check_found(found, vm);
    }
    return 0;
}
