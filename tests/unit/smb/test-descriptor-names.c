/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts as Samba 4.17 gives them for a file in the lab. */
#include "smb/descriptor-names.h"

#define SIDS                                                                                       \
    "REVISION:1,OWNER:S-1-5-21-1-2-3-500,GROUP:S-1-5-21-1-2-3-513,"                                \
    "ACL:S-1-5-21-1-2-3-512:0/0/0x001f01ff,ACL:S-1-5-21-1-2-3-1103:0/3/0x001f01ff"
#define NAMES                                                                                      \
    "REVISION:1,OWNER:LAB\\Administrator,GROUP:LAB\\Domain Users,"                                 \
    "ACL:LAB\\Domain Admins:0/0/0x001f01ff,ACL:LAB\\VM Hosts:0/3/0x001f01ff"

static void
test_learned(void)
{
    g_autoptr(GHashTable) known = vmf_descriptor_names_new();
    g_assert_null(vmf_descriptor_names_write(known, SIDS));
    vmf_descriptor_names_learn(known, SIDS, NAMES);
    g_assert_cmpuint(g_hash_table_size(known), ==, 4);
    g_autofree gchar *same = vmf_descriptor_names_write(known, SIDS);
    g_assert_cmpstr(same, ==, NAMES);
    g_autofree gchar *other = vmf_descriptor_names_write(
        known, "REVISION:1,OWNER:S-1-5-21-1-2-3-1103,GROUP:S-1-5-21-1-2-3-513,"
               "ACL:S-1-5-21-1-2-3-500:1/0/0x00000002");
    g_assert_cmpstr(other, ==,
                    "REVISION:1,OWNER:LAB\\VM Hosts,GROUP:LAB\\Domain Users,"
                    "ACL:LAB\\Administrator:1/0/0x00000002");
}

/* One SID more than was ever heard of: the server has to be asked. */
static void
test_unknown(void)
{
    g_autoptr(GHashTable) known = vmf_descriptor_names_new();
    vmf_descriptor_names_learn(known, SIDS, NAMES);
    g_assert_null(vmf_descriptor_names_write(known, SIDS ",ACL:S-1-1-0:0/0/0x00120089"));
}

static void
test_other_shape(void)
{
    static const char *const names[] = {
        "",
        "REVISION:1",
        NAMES ",ACL:LAB\\One More:0/0/0x1",
        "REVISION:1,GROUP:LAB\\Administrator,OWNER:LAB\\Domain Users,"
        "ACL:LAB\\Domain Admins:1/0/0x001f01ff,ACL:LAB\\VM Hosts:0/3/0x1",
        "REVISION:1,OWNER:,GROUP:,ACL:,ACL::0/3/0x001f01ff",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GHashTable) known = vmf_descriptor_names_new();
        vmf_descriptor_names_learn(known, SIDS, names[i]);
        g_assert_cmpuint(g_hash_table_size(known), ==, 0);
    }
}

static void
test_every_truncation(void)
{
    g_autoptr(GHashTable) known = vmf_descriptor_names_new();
    vmf_descriptor_names_learn(known, SIDS, NAMES);
    for (gsize cut = 0; cut < sizeof SIDS; cut++) {
        g_autofree gchar *exact = g_strndup(SIDS, cut);
        g_autofree gchar *names = g_strndup(NAMES, cut);
        g_autofree gchar *written = vmf_descriptor_names_write(known, exact);
        g_autoptr(GHashTable) fresh = vmf_descriptor_names_new();
        vmf_descriptor_names_learn(fresh, exact, names);
        g_assert_true(written == NULL || g_str_has_prefix("REVISION:1,", written) ||
                      g_str_has_prefix(written, "REVISION:1,"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/descriptor-names/known/written", test_learned);
    g_test_add_func("/descriptor-names/unknown-sid/not-written", test_unknown);
    g_test_add_func("/descriptor-names/other-shape/nothing-learned", test_other_shape);
    g_test_add_func("/descriptor-names/every-truncation/within-bounds", test_every_truncation);
    return g_test_run();
}
