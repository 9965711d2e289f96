/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/qcow2-facts.h"

#include "src/base/error.h"

#include <string.h>

#define MAGIC              0x514649fbu /* "QFI\xfb" */
#define V2_HEADER_SIZE     72
#define V3_HEADER_SIZE     VMF_QCOW2_HEADER_SIZE
#define MIN_CLUSTER_BITS   9
#define MAX_CLUSTER_BITS   21
#define MAX_REFCOUNT_ORDER 6
#define V2_REFCOUNT_ORDER  4
#define MAX_VIRTUAL_SIZE   (G_GUINT64_CONSTANT(1) << 56)
#define MAX_NAME           1023

#define INCOMPATIBLE_DIRTY         (1u << 0)
#define INCOMPATIBLE_CORRUPT       (1u << 1)
#define INCOMPATIBLE_EXTERNAL_DATA (1u << 2)
#define INCOMPATIBLE_COMPRESSION   (1u << 3)
#define INCOMPATIBLE_EXTENDED_L2   (1u << 4)
#define INCOMPATIBLE_KNOWN                                                                         \
    (INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT | INCOMPATIBLE_EXTERNAL_DATA |                      \
     INCOMPATIBLE_COMPRESSION | INCOMPATIBLE_EXTENDED_L2)

#define EXTENSION_END       0u
#define EXTENSION_DATA_FILE 0x44415441u /* "DATA" */

enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_BACKING_OFFSET = 8,
    AT_BACKING_SIZE = 16,
    AT_CLUSTER_BITS = 20,
    AT_VIRTUAL_SIZE = 24,
    AT_INCOMPATIBLE = 72,
    AT_REFCOUNT_ORDER = 96,
    AT_HEADER_LENGTH = 100,
};

typedef struct {
    const guint8 *bytes;
    gsize size;
} Head;

static guint32
get_u32(const Head *head, gsize at)
{
    guint32 value;
    g_assert(at + sizeof value <= head->size);
    memcpy(&value, head->bytes + at, sizeof value);
    return GUINT32_FROM_BE(value);
}

static guint64
get_u64(const Head *head, gsize at)
{
    return (guint64)get_u32(head, at) << 32 | get_u32(head, at + 4);
}

static gboolean
refuse(GError **error, VmfError code, const char *why)
{
    g_set_error(error, VMF_ERROR, code, "it is not usable as a qcow2 disk: %s", why);
    return FALSE;
}

/* A name in the head, made fit for a message; "?" when it does not lie within. */
static gchar *
copy_name(const Head *head, guint64 offset, guint64 length)
{
    if (length == 0 || length > MAX_NAME || offset > head->size || length > head->size - offset)
        return g_strdup("?");
    g_autofree gchar *raw = g_strndup((const char *)head->bytes + offset, length);
    return g_strescape(raw, NULL);
}

static gboolean
refuse_file(GError **error, const char *kind, const char *name)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                "it has the %s '%s': a disk has to be one file of its own; "
                "make one of them with qemu-img convert",
                kind, name);
    return FALSE;
}

static gboolean
refuse_backing_file(const Head *head, GError **error)
{
    g_autofree gchar *name = copy_name(head, get_u64(head, AT_BACKING_OFFSET),
                                       get_u32(head, AT_BACKING_SIZE));
    return refuse_file(error, "backing file", name);
}

/* Header extensions: type, length, data padded to 8 bytes */
static gboolean
refuse_data_file(const Head *head, gsize at, GError **error)
{
    g_autofree gchar *name = g_strdup("?");
    while (at + 8 <= head->size && get_u32(head, at) != EXTENSION_END) {
        guint64 length = get_u32(head, at + 4);
        if (get_u32(head, at) == EXTENSION_DATA_FILE) {
            g_free(name);
            name = copy_name(head, at + 8, length);
            break;
        }
        guint64 step = 8 + ((length + 7) & ~G_GUINT64_CONSTANT(7));
        if (step > head->size - at)
            break;
        at += step;
    }
    return refuse_file(error, "external data file", name);
}

static gboolean
read_v3(const Head *head, gboolean may_be_corrupt, VmfQcow2Facts *facts, GError **error)
{
    if (head->size < V3_HEADER_SIZE)
        return refuse(error, VMF_ERROR_CONFIG, "its header is cut short");
    guint32 length = get_u32(head, AT_HEADER_LENGTH);
    if (length < V3_HEADER_SIZE || length > head->size ||
        length > (G_GUINT64_CONSTANT(1) << facts->cluster_bits))
        return refuse(error, VMF_ERROR_CONFIG, "the length of its header is wrong");
    guint64 incompatible = get_u64(head, AT_INCOMPATIBLE);
    if (incompatible & INCOMPATIBLE_EXTERNAL_DATA)
        return refuse_data_file(head, length, error);
    if ((incompatible & INCOMPATIBLE_CORRUPT) && !may_be_corrupt)
        return refuse(error, VMF_ERROR_CONFIG,
                      "it is marked corrupt; repair it with qemu-img check -r all");
    if (incompatible & ~(guint64)INCOMPATIBLE_KNOWN)
        return refuse(error, VMF_ERROR_UNSUPPORTED, "it has a feature that is not known");
    facts->extended_l2 = (incompatible & INCOMPATIBLE_EXTENDED_L2) != 0;
    facts->refcount_order = get_u32(head, AT_REFCOUNT_ORDER);
    if (facts->refcount_order > MAX_REFCOUNT_ORDER)
        return refuse(error, VMF_ERROR_CONFIG, "the width of its reference counts is wrong");
    return TRUE;
}

static gboolean
read_facts(const guint8 *bytes, gsize size, gboolean may_be_corrupt, VmfQcow2Facts *facts,
           GError **error)
{
    const Head head = {bytes, size};
    VmfQcow2Facts found = {.refcount_order = V2_REFCOUNT_ORDER};

    if (size < V2_HEADER_SIZE || get_u32(&head, AT_MAGIC) != MAGIC)
        return refuse(error, VMF_ERROR_CONFIG, "it is not a qcow2 file");
    found.version = get_u32(&head, AT_VERSION);
    if (found.version != 2 && found.version != 3)
        return refuse(error, VMF_ERROR_UNSUPPORTED, "its version is neither 2 nor 3");
    found.cluster_bits = get_u32(&head, AT_CLUSTER_BITS);
    if (found.cluster_bits < MIN_CLUSTER_BITS || found.cluster_bits > MAX_CLUSTER_BITS)
        return refuse(error, VMF_ERROR_CONFIG, "its cluster size is wrong");
    found.virtual_size = get_u64(&head, AT_VIRTUAL_SIZE);
    if (found.virtual_size > MAX_VIRTUAL_SIZE)
        return refuse(error, VMF_ERROR_UNSUPPORTED, "its virtual size is beyond 64 PiB");
    if (found.version == 3 && !read_v3(&head, may_be_corrupt, &found, error))
        return FALSE;
    if (get_u64(&head, AT_BACKING_OFFSET) != 0)
        return refuse_backing_file(&head, error);
    *facts = found;
    return TRUE;
}

gboolean
vmf_qcow2_facts_read(const guint8 *bytes, gsize size, VmfQcow2Facts *facts, GError **error)
{
    return read_facts(bytes, size, FALSE, facts, error);
}

gboolean
vmf_qcow2_still_alone(const guint8 *bytes, gsize size, GError **error)
{
    VmfQcow2Facts ignored;
    return read_facts(bytes, size, TRUE, &ignored, error);
}

static guint64
divide_up(guint64 a, guint64 b)
{
    return (a + b - 1) / b;
}

guint64
vmf_qcow2_export_size(const VmfQcow2Facts *facts, guint64 file_size)
{
    const guint64 cluster = G_GUINT64_CONSTANT(1) << facts->cluster_bits;
    const guint64 l2_entry = facts->extended_l2 ? 16 : 8;
    const guint64 counts_per_block = (cluster * 8) >> facts->refcount_order;

    guint64 data = divide_up(facts->virtual_size, cluster);
    guint64 l2 = divide_up(data * l2_entry, cluster);
    guint64 l1 = divide_up(l2 * 8, cluster);
    guint64 counted = divide_up(file_size, cluster) + 1 + data + l2 + l1;
    /* Reference counts count themselves, too; a block of them is for 64 clusters at least. */
    guint64 blocks = 2 * divide_up(counted, counts_per_block) + 1;
    guint64 table = 2 * divide_up(blocks * 8, cluster) + 1;
    return (counted + blocks + table) * cluster;
}
