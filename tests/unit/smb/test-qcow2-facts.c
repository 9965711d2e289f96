/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/qcow2-facts.h"
#include "src/base/error.h"

#include <string.h>

static void
put32(guint8 *head, guint at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(head + at, &value, 4);
}

static void
put64(guint8 *head, guint at, guint64 value)
{
    value = GUINT64_TO_BE(value);
    memcpy(head + at, &value, 8);
}

static void
make_head(guint8 *head, guint32 version)
{
    memset(head, 0, 512);
    put32(head, 0, 0x514649fb);
    put32(head, 4, version);
    put32(head, 20, 16);
    put64(head, 24, G_GUINT64_CONSTANT(10) << 30);
    if (version == 3) {
        put32(head, 96, 4);
        put32(head, 100, 104);
    }
}

static void
test_good(void)
{
    guint8 head[512];
    VmfQcow2Facts facts;
    g_autoptr(GError) error = NULL;
    for (guint32 version = 2; version <= 3; version++) {
        make_head(head, version);
        g_assert_true(vmf_qcow2_facts_read(head, sizeof head, &facts, &error));
        g_assert_cmpuint(facts.version, ==, version);
        g_assert_cmpuint(facts.virtual_size, ==, G_GUINT64_CONSTANT(10) << 30);
        g_assert_cmpuint(facts.refcount_order, ==, 4);
        /* what qemu-img measure says of a 10 GiB image: "fully allocated size: 10739318784" */
        g_assert_cmpuint(vmf_qcow2_export_size(&facts, 196616), >=, 10739318784);
        g_assert_cmpuint(vmf_qcow2_export_size(&facts, 196616), <, G_GUINT64_CONSTANT(11) << 30);
    }
}

static void
assert_refused(const guint8 *head, gsize size, int code, const char *word)
{
    VmfQcow2Facts facts = {.version = 77};
    g_autoptr(GError) error = NULL;
    g_assert_false(vmf_qcow2_facts_read(head, size, &facts, &error));
    g_test_message("%s", error->message);
    g_assert_error(error, VMF_ERROR, code);
    g_assert_nonnull(strstr(error->message, word));
    g_assert_cmpuint(facts.version, ==, 77);
}

static void
test_backing_file(void)
{
    guint8 head[512];
    make_head(head, 3);
    put64(head, 8, 200);
    put32(head, 16, 10);
    memcpy(head + 200, "base.qcow2", 10);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "backing file 'base.qcow2'");
    put64(head, 8, G_MAXUINT64 - 5);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "backing file '?'");
    put64(head, 8, 510);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "backing file '?'");
}

static void
test_data_file(void)
{
    guint8 head[512];
    make_head(head, 3);
    put64(head, 72, 4);
    put32(head, 104, 0x6803f857); /* feature names first */
    put32(head, 108, 5);
    put32(head, 120, 0x44415441);
    put32(head, 124, 8);
    memcpy(head + 128, "data.raw", 8);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "external data file 'data.raw'");
    put32(head, 108, G_MAXUINT32);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "external data file '?'");
    put32(head, 108, 5);
    put32(head, 124, 600);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "external data file '?'");
}

static void
test_refused(void)
{
    guint8 head[512];
    make_head(head, 3);
    assert_refused(head, 71, VMF_ERROR_CONFIG, "not a qcow2 file");
    assert_refused(head, 103, VMF_ERROR_CONFIG, "cut short");
    put32(head, 0, 0x514649fa);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "not a qcow2 file");
    make_head(head, 1);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "version");
    make_head(head, 3);
    put32(head, 20, 8);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "cluster size");
    put32(head, 20, 22);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "cluster size");
    make_head(head, 3);
    put32(head, 96, 7);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "reference counts");
    make_head(head, 3);
    put32(head, 100, 513);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "length of its header");
    make_head(head, 3);
    put64(head, 72, 2);
    assert_refused(head, sizeof head, VMF_ERROR_CONFIG, "corrupt");
    put64(head, 72, 1 << 10);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "feature");
    make_head(head, 2);
    put64(head, 24, G_MAXUINT64);
    assert_refused(head, sizeof head, VMF_ERROR_UNSUPPORTED, "64 PiB");
}

static void
test_every_truncation(void)
{
    guint8 head[512];
    make_head(head, 3);
    put64(head, 72, 4);
    put32(head, 104, 0x44415441);
    put32(head, 108, 8);
    for (gsize size = 0; size <= sizeof head; size++) {
        g_autofree guint8 *exact = g_memdup2(head, size);
        VmfQcow2Facts facts;
        g_assert_false(vmf_qcow2_facts_read(exact, size, &facts, NULL));
    }
}

/* Room for all clusters, their tables and counts, whatever the parameters; never an overflow. */
static void
test_export_size(void)
{
    for (guint32 bits = 9; bits <= 21; bits++)
        for (guint32 order = 0; order <= 6; order++)
            for (guint shift = 0; shift <= 56; shift++) {
                const VmfQcow2Facts facts = {
                    .version = 3,
                    .cluster_bits = bits,
                    .virtual_size = G_GUINT64_CONSTANT(1) << shift,
                    .refcount_order = order,
                    .extended_l2 = shift % 2 == 0,
                };
                guint64 size = vmf_qcow2_export_size(&facts, 12345);
                guint64 largest = vmf_qcow2_export_size(&facts, G_GUINT64_CONSTANT(1) << 60);
                guint64 cluster = G_GUINT64_CONSTANT(1) << bits;
                guint64 counts = ((size >> bits) << order) / 8;
                g_assert_cmpuint(size, <, G_MAXINT64);
                g_assert_cmpuint(largest, <, G_MAXINT64);
                g_assert_cmpuint(size, >, facts.virtual_size + 12345);
                g_assert_cmpuint(size % cluster, ==, 0);
                /* data, L2 entries and the reference counts of all of it fit */
                g_assert_cmpuint(size, >=,
                                 facts.virtual_size + (facts.virtual_size >> bits) * 8 + counts);
            }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2-facts/good/read", test_good);
    g_test_add_func("/qcow2-facts/backing-file/refused-by-name", test_backing_file);
    g_test_add_func("/qcow2-facts/data-file/refused-by-name", test_data_file);
    g_test_add_func("/qcow2-facts/bad/refused", test_refused);
    g_test_add_func("/qcow2-facts/every-truncation/refused", test_every_truncation);
    g_test_add_func("/qcow2-facts/export-size/room-for-all", test_export_size);
    return g_test_run();
}
