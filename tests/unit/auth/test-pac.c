/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "auth/pac.h"
#include "src/base/error.h"
#include "tests/unit/auth/forge.h"

#include <string.h>

static GBytes *
corpus(const char *name)
{
    g_autofree gchar *path = g_test_build_filename(G_TEST_DIST, "tests/fuzz/auth/corpus/pac", name,
                                                   NULL);
    gchar *data = NULL;
    gsize size;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &data, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(data, size);
}

/* Parses a copy of exactly @size bytes, so that AddressSanitizer sees one byte too many. */
static VmfPacLogon *
parse_exact(const guint8 *data, gsize size, GError **error)
{
    guint8 *copy = size ? g_memdup2(data, size) : NULL;
    VmfPacLogon *logon = vmf_pac_logon_parse(copy, size, error);
    g_free(copy);
    return logon;
}

static VmfPacLogon *
parse_bytes(GBytes *bytes, GError **error)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    return parse_exact(data, size, error);
}

static void
assert_groups(const VmfPacLogon *logon, ...)
{
    va_list args;
    guint i = 0;
    va_start(args, logon);
    for (const char *sid; (sid = va_arg(args, const char *)); i++) {
        g_assert_cmpuint(i, <, logon->group_sids->len);
        g_assert_cmpstr(logon->group_sids->pdata[i], ==, sid);
    }
    va_end(args);
    g_assert_cmpuint(logon->group_sids->len, ==, i);
}

/* From MIT Kerberos' t_pac.c. */
static void
test_windows(void)
{
    g_autoptr(GBytes) bytes = corpus("windows-2003-dc.bin");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(logon->account, ==, "W2003FINAL$");
    g_assert_cmpstr(logon->domain, ==, "WIN2K3THINK");
    g_assert_cmpstr(logon->sid, ==, "S-1-5-21-3048156945-3961193616-3706469200-1005");
    g_assert_cmphex(logon->uac, ==, 0x2100); /* server trust, trusted for delegation */
    assert_groups(logon, "S-1-5-21-3048156945-3961193616-3706469200-516",
                  "S-1-5-21-3048156945-3961193616-3706469200-516", "S-1-5-9", NULL);
}

/* Of a lab's host. */
static void
test_samba(void)
{
    g_autoptr(GBytes) bytes = corpus("samba-4.17-member.bin");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
    g_assert_no_error(error);
    const char *domain = "S-1-5-21-2572478053-3544012181-3407438160";
    g_assert_cmpstr(logon->account, ==, "HV1$");
    g_assert_cmpstr(logon->domain, ==, "LAB");
    g_assert_cmpstr(logon->domain_sid, ==, domain);
    g_assert_cmphex(logon->uac, ==, VMF_PAC_UAC_WORKSTATION_TRUST);
    g_autofree gchar *sid = g_strconcat(domain, "-1105", NULL);
    g_autofree gchar *computers = g_strconcat(domain, "-515", NULL);
    g_autofree gchar *hosts = g_strconcat(domain, "-1103", NULL);
    g_assert_cmpstr(logon->sid, ==, sid);
    assert_groups(logon, computers, computers, hosts, "S-1-18-1", NULL);
}

/* From MIT Kerberos' t_pac.c, as the one of Windows 2003. */
static void
test_windows_user(void)
{
    g_autoptr(GBytes) bytes = corpus("windows-2008-user.bin");
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(logon->account, ==, "w2k8u");
    g_assert_cmpstr(logon->domain, ==, "ACME");
    g_assert_cmphex(logon->uac, ==, 0x210); /* normal account, password never expires */
    g_autofree gchar *users = g_strconcat(logon->domain_sid, "-513", NULL);
    assert_groups(logon, users, users, NULL);
}

static const guint32 two_groups[] = {FORGED_GROUP_RID, 1200, 0};
static const guint32 one_group[] = {1300, 0};
static const char *const two_extra[] = {"S-1-18-1", "S-1-5-21-9-9-9-1400", NULL};

static GBytes *
full_logon(guint32 attributes)
{
    const ForgedLogon logon = {"HV1$",    FORGED_DOMAIN_SID, 1105,      0x80,      two_groups,
                               two_extra, "S-1-5-21-7-7-7",  one_group, attributes};
    return forge_logon(&logon);
}

static void
test_every_kind_of_group(void)
{
    g_autoptr(GBytes) bytes = full_logon(0);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(logon->sid, ==, FORGED_DOMAIN_SID "-1105");
    assert_groups(logon, FORGED_DOMAIN_SID "-515", FORGED_GROUP_SID, FORGED_DOMAIN_SID "-1200",
                  "S-1-18-1", "S-1-5-21-9-9-9-1400", "S-1-5-21-7-7-7-1300", NULL);
}

/* A group that is not enabled, or for deny only, gives no right: it must not count as membership. */
static void
test_groups_without_effect(void)
{
    static const guint32 attributes[] = {0x3, 0x10, 0x14};
    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++) {
        g_autoptr(GBytes) bytes = full_logon(attributes[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
        g_assert_no_error(error);
        assert_groups(logon, FORGED_DOMAIN_SID "-515", NULL);
    }
}

static void
test_no_groups(void)
{
    const ForgedLogon nobody = {.account = "X$", .domain_sid = FORGED_DOMAIN_SID, .rid = 1};
    g_autoptr(GBytes) bytes = forge_logon(&nobody);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfPacLogon) logon = parse_bytes(bytes, &error);
    g_assert_no_error(error);
    assert_groups(logon, FORGED_DOMAIN_SID "-515", NULL);
}

static void
truncate_everywhere(GBytes *bytes)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize length = 0; length < size; length++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfPacLogon) logon = parse_exact(data, length, &error);
        /* up to 7 bytes of padding may be missing: the object's own length says so */
        g_assert_null(logon);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

static void
test_truncated(void)
{
    static const char *const names[] = {"windows-2003-dc.bin", "samba-4.17-member.bin",
                                        "windows-2008-user.bin"};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GBytes) bytes = corpus(names[i]);
        truncate_everywhere(bytes);
    }
    g_autoptr(GBytes) full = full_logon(0);
    truncate_everywhere(full);
}

/* Truncated inside, with an object length that agrees. */
static void
test_truncated_consistently(void)
{
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize length = 20; length + 8 <= size; length++) {
        g_autofree guint8 *copy = g_memdup2(data, length);
        guint32 object = (guint32)length - 16;
        for (int i = 0; i < 4; i++)
            copy[8 + i] = (guint8)(object >> (8 * i));
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfPacLogon) logon = parse_exact(copy, length, &error);
        g_assert_null(logon);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

/* Every single changed byte: an error or facts, never a read outside (ASan) or a huge allocation. */
static void
test_every_byte_changed(void)
{
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    static const guint8 values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (gsize at = 0; at < size; at++) {
        for (gsize v = 0; v < G_N_ELEMENTS(values); v++) {
            g_autofree guint8 *copy = g_memdup2(data, size);
            copy[at] = values[v];
            g_autoptr(GError) error = NULL;
            g_autoptr(VmfPacLogon) logon = parse_exact(copy, size, &error);
            g_assert_true((logon == NULL) == (error != NULL));
        }
    }
}

typedef struct {
    const char *what;
    gsize at;
    guint32 value; /* 32 bits, little-endian */
} Change;

static void
test_contradictions(void)
{
    /* offsets in full_logon(): 20 after the top pointer come 48 of times, six strings of 8 … */
    static const Change changes[] = {
        {"big-endian", 0, 0x00080001},
        {"object longer than the buffer", 8, 0xffff},
        {"object shorter than its first pointer", 8, 3},
        {"no top-level pointer", 16, 0},
        {"odd string length", 68, 0x00090009},
        {"string longer than its room", 68, 0x00080009},
        {"string of NULL with a length", 72, 0},
        {"more groups than there are", 128, 3},
        {"groups of NULL", 132, 0},
        {"four thousand million groups", 128, 0xffffffff},
        {"no domain SID", 172, 0},
        {"more extra SIDs", 216, 3},
        {"extra SIDs of NULL", 220, 0},
        {"resource groups without a domain", 224, 0},
        {"more resource groups", 228, 2},
    };
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree guint8 *copy = g_memdup2(data, size);
        for (int b = 0; b < 4; b++)
            copy[changes[i].at + (gsize)b] = (guint8)(changes[i].value >> (8 * b));
        g_assert_cmpint(memcmp(copy, data, size), !=, 0);
        g_autoptr(GError) error = NULL;
        g_autoptr(VmfPacLogon) logon = parse_exact(copy, size, &error);
        if (logon)
            g_error("%s: accepted", changes[i].what);
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    }
}

static void
put_le32(guint8 *at, guint32 value)
{
    for (int b = 0; b < 4; b++)
        at[b] = (guint8)(value >> (8 * b));
}

/*
 * CVE-2022-42898: counts whose arrays' sizes do not fit into 32 bits, so that what is allocated or compared is
 * less than what is read. Each count of groups is in two places, which agree; the second is wherever.
 */
static void
test_counts_whose_sizes_wrap(void)
{
    static const gsize counts[] = {128, 216, 228}; /* as in test_contradictions() */
    static const guint32 more[] = {0x10000000, 0x20000000, 0x40000000, 0x80000000, 0xe0000000};
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    for (gsize c = 0; c < G_N_ELEMENTS(counts); c++) {
        guint pairs = 0;
        for (gsize second = 236; second + 4 <= size; second += 4) {
            if (memcmp(data + second, data + counts[c], 4) != 0)
                continue;
            pairs++;
            for (gsize m = 0; m < G_N_ELEMENTS(more); m++) {
                g_autofree guint8 *copy = g_memdup2(data, size);
                guint32 wrapping = data[counts[c]] + more[m];
                put_le32(copy + counts[c], wrapping);
                put_le32(copy + second, wrapping);
                g_autoptr(GError) error = NULL;
                g_assert_null(parse_exact(copy, size, &error));
                g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
            }
        }
        g_assert_cmpuint(pairs, >, 0);
    }
}

static void
test_trailing_bytes(void)
{
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_autofree guint8 *longer = g_malloc0(size + 8);
    memcpy(longer, data, size);
    longer[8] = (guint8)(longer[8] + 8);
    g_autoptr(GError) error = NULL;
    g_assert_null(parse_exact(longer, size + 8, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
}

static void
test_name_with_nul(void)
{
    g_autoptr(GBytes) bytes = full_logon(0);
    gsize size;
    const guint8 *data = g_bytes_get_data(bytes, &size);
    g_autofree guint8 *copy = g_memdup2(data, size);
    for (gsize i = 0; i + 4 < size; i++)
        if (memcmp(copy + i, "H\0V\0", 4) == 0)
            copy[i + 2] = 0; /* "H\0001$" */
    g_autoptr(GError) error = NULL;
    g_assert_null(parse_exact(copy, size, &error));
    g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(error->message, "EffectiveName"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pac/windows-2003/read", test_windows);
    g_test_add_func("/pac/samba-4.17/read", test_samba);
    g_test_add_func("/pac/windows-2008-user/read", test_windows_user);
    g_test_add_func("/pac/all-kinds-of-groups/read", test_every_kind_of_group);
    g_test_add_func("/pac/groups-without-effect/left-out", test_groups_without_effect);
    g_test_add_func("/pac/no-groups/read", test_no_groups);
    g_test_add_func("/pac/truncated/refused", test_truncated);
    g_test_add_func("/pac/truncated-consistently/refused", test_truncated_consistently);
    g_test_add_func("/pac/every-byte-changed/survived", test_every_byte_changed);
    g_test_add_func("/pac/contradictions/refused", test_contradictions);
    g_test_add_func("/pac/cve-2022-42898/counts-whose-sizes-wrap-refused",
                    test_counts_whose_sizes_wrap);
    g_test_add_func("/pac/trailing-bytes/refused", test_trailing_bytes);
    g_test_add_func("/pac/nul-in-name/refused", test_name_with_nul);
    return g_test_run();
}
