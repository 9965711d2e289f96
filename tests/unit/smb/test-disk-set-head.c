/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/smb/disk-set-lab.h"

#include <errno.h>
#include <string.h>

#include "smb/qcow2-facts.h"

/*
 * The head of a qcow2 disk, which somebody changes on the share after the disk process has judged it:
 * QEMU would open what it names.
 */

#define FILE_SIZE (128 * 1024)
#define QCOW2     "web1/vda.qcow2"
#define RAW       "web1/vdb.raw"
#define BACKING   "nbd+unix:///vda?socket=/run/vmferry/0/nbd"

enum { AT_REFCOUNT_TABLE = 48, AT_SNAPSHOTS = 60, AT_INCOMPATIBLE = 72, AT_EXTENSIONS = 104 };
enum { DIRTY = 1, CORRUPT = 2, EXTERNAL_DATA = 4 };

typedef struct {
    guint8 bytes[FILE_SIZE];
} Image;

static void
put32(Image *image, guint at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(image->bytes + at, &value, sizeof value);
}

static Image *
clean(void)
{
    Image *image = g_new0(Image, 1);
    put32(image, 0, 0x514649fb);
    put32(image, 4, 3);
    put32(image, 20, 16);
    put32(image, 28, 1 << 20);
    put32(image, 96, 4);
    put32(image, 100, 104);
    memset(image->bytes + 512, 0x77, FILE_SIZE - 512);
    return image;
}

static Image *
with_backing_file(void)
{
    Image *image = clean();
    put32(image, 12, 200);
    put32(image, 16, strlen(BACKING));
    memcpy(image->bytes + 200, BACKING, strlen(BACKING));
    return image;
}

static Image *
with_data_file(void)
{
    Image *image = clean();
    put32(image, AT_INCOMPATIBLE + 4, EXTERNAL_DATA);
    put32(image, AT_EXTENSIONS, 0x44415441);
    put32(image, AT_EXTENSIONS + 4, 11);
    memcpy(image->bytes + AT_EXTENSIONS + 8, "/etc/passwd", 11);
    return image;
}

static Image *
with_unknown_feature(void)
{
    Image *image = clean();
    put32(image, AT_INCOMPATIBLE + 4, 1 << 20);
    return image;
}

static const struct {
    Image *(*make)(void);
    VmfError code;
    const char *says;
} hostile[] = {
    {with_backing_file, VMF_ERROR_UNSUPPORTED, "backing file '" BACKING "'"},
    {with_data_file, VMF_ERROR_UNSUPPORTED, "external data file '/etc/passwd'"},
    {with_unknown_feature, VMF_ERROR_UNSUPPORTED, "feature"},
};

static void
put_image(const Lab *lab, const char *path, Image *taken)
{
    memory_server_set_content(lab->server, path, taken, sizeof *taken);
    g_free(taken);
}

static Lab
qcow2_lab(void)
{
    const VmfDiskSpec specs[] = {
        {(gchar *)"vda", (gchar *)"qcow2", (gchar *)"smb://fs1/vms/" QCOW2},
        {(gchar *)"vdb", (gchar *)"raw", (gchar *)"smb://fs1/vms/" RAW},
    };
    Lab lab = {.server = memory_server_new(VM)};
    memory_server_add_disk(lab.server, QCOW2, FILE_SIZE);
    memory_server_add_disk(lab.server, RAW, FILE_SIZE);
    put_image(&lab, QCOW2, clean());
    put_image(&lab, RAW, clean());
    for (guint i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        const VmfDiskSetConfig config = {
            .list = vmf_disk_list_new(VM, specs, G_N_ELEMENTS(specs), NULL),
            .share = memory_server_share(lab.server, accounts[i], sids[i]),
            .account = accounts[i],
            .owner_sid = sids[i],
            .boot_id = boots[i],
        };
        lab.sets[i] = vmf_disk_set_new(&config, &error);
        g_assert_no_error(error);
    }
    return lab;
}

/* Returns: what the request did; 0: and it got just these bytes of @image */
static int
read_of(const Lab *lab, guint host, guint disk, guint64 offset, gsize count, const Image *image)
{
    g_autofree guint8 *buffer = g_malloc0(count);
    Write lease = write_of(lab, host, disk, 0, 0);
    int result = vmf_disk_set_read(lab->sets[host], &lease.lease, disk, buffer, count, offset);
    gsize there = offset < FILE_SIZE ? MIN(count, FILE_SIZE - offset) : 0;
    if (result == 0)
        g_assert_cmpmem(buffer, there, image->bytes + offset, there);
    for (gsize i = result == 0 ? there : 0; i < count; i++)
        g_assert_cmpint(buffer[i], ==, 0);
    return result;
}

static void
assert_trouble(const Lab *lab, guint host, const char *says)
{
    g_autofree gchar *trouble = vmf_disk_set_trouble(lab->sets[host]);
    if (says == NULL) {
        g_assert_cmpstr(trouble, ==, "");
        return;
    }
    g_assert_nonnull(strstr(trouble, says));
    g_assert_nonnull(strstr(trouble, "disk 'vda' (smb://fs1/vms/" QCOW2 ")"));
}

/* Each read that has a part of what is judged, however it lies, and no other */
static void
assert_head_refused(const Lab *lab, guint host, const Image *image, const char *says)
{
    static const struct {
        guint64 offset;
        gsize count;
    } within[] = {{0, 112}, {0, 1}, {0, FILE_SIZE}, {8, 8}, {72, 8}, {103, 4096}};
    for (gsize i = 0; i < G_N_ELEMENTS(within); i++)
        g_assert_cmpint(read_of(lab, host, 0, within[i].offset, within[i].count, image), ==, EIO);
    assert_trouble(lab, host, says);
    g_assert_cmpint(read_of(lab, host, 0, VMF_QCOW2_HEADER_SIZE, 8, image), ==, 0);
    g_assert_cmpint(read_of(lab, host, 0, FILE_SIZE - 10, 20, image), ==, 0);
}

static void
assert_head_passes(const Lab *lab, guint host, const Image *image)
{
    g_assert_cmpint(read_of(lab, host, 0, 0, 112, image), ==, 0);
    g_assert_cmpint(read_of(lab, host, 0, 50, FILE_SIZE, image), ==, 0);
    assert_trouble(lab, host, NULL);
}

static void
test_read(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        Lab lab = qcow2_lab();
        g_autofree Image *good = clean();
        assert_head_passes(&lab, 1, good);
        for (guint open = 0; open < 2; open++) {
            g_autofree Image *bad = hostile[i].make();
            put_image(&lab, QCOW2, hostile[i].make());
            assert_head_refused(&lab, 1, bad, hostile[i].says);
            put_image(&lab, QCOW2, clean());
            assert_head_passes(&lab, 1, good);
            if (!open)
                own(&lab, 1, "", 0, 1);
        }
        release(&lab, 1);
        lab_clear(&lab);
    }
}

static void
test_claim(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
        Lab lab = qcow2_lab();
        g_autoptr(GError) error = NULL;
        own(&lab, 0, "", 0, 1);
        release(&lab, 0);
        put_image(&lab, QCOW2, hostile[i].make());
        g_assert_false(claim(&lab, 1, SID1, 1, 2, &error));
        g_assert_error(error, VMF_ERROR, (int)hostile[i].code);
        g_assert_nonnull(strstr(error->message, hostile[i].says));
        g_assert_nonnull(strstr(error->message, "disk 'vda'"));
        assert_record(&lab, "HV1$", 1, VMF_OWNER_RUNNING);
        g_assert_cmpuint(gate_of(&lab, 1).epoch, ==, 0);
        /* nothing is held: whoever had them has them back */
        put_image(&lab, QCOW2, clean());
        own(&lab, 0, SID1, 1, 3);
        release(&lab, 0);
        lab_clear(&lab);
    }
}

/* What a running guest's QEMU writes there itself */
static void
test_in_use(void)
{
    Lab lab = qcow2_lab();
    g_autofree Image *used = clean();
    put32(used, AT_INCOMPATIBLE + 4, DIRTY | CORRUPT);
    put32(used, AT_REFCOUNT_TABLE, 77);
    put32(used, AT_SNAPSHOTS, 3);
    put32(used, AT_EXTENSIONS, 0x23852875); /* bitmaps */
    put32(used, AT_EXTENSIONS + 4, 24);
    put_image(&lab, QCOW2, g_memdup2(used, sizeof *used));
    assert_head_passes(&lab, 0, used);
    own(&lab, 0, "", 0, 1);
    assert_head_passes(&lab, 0, used);
    release(&lab, 0);
    lab_clear(&lab);
}

/* Its head is the guest's own: QEMU is told that it is raw */
static void
test_raw(void)
{
    Lab lab = qcow2_lab();
    g_autofree Image *bad = with_backing_file();
    put_image(&lab, RAW, with_backing_file());
    g_assert_cmpint(read_of(&lab, 0, 1, 0, 112, bad), ==, 0);
    own(&lab, 0, "", 0, 1);
    g_assert_cmpint(read_of(&lab, 0, 1, 0, 112, bad), ==, 0);
    release(&lab, 0);
    lab_clear(&lab);
}

int
main(int argc, char **argv)
{
    lab_begin(&argc, &argv);
    g_test_add_func("/disk-set-head/changed/not-read", test_read);
    g_test_add_func("/disk-set-head/changed/not-claimed", test_claim);
    g_test_add_func("/disk-set-head/changed-by-qemu/passes", test_in_use);
    g_test_add_func("/disk-set-head/raw/not-judged", test_raw);
    return g_test_run();
}
