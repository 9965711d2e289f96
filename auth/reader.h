/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The bounded reader: every byte of somebody else's that auth/ and channel/ look at goes through it.
 *
 * It never reads outside [data, data + size). The first read that does not fit marks the reader
 * failed for good: that read and all later ones return zeros. So a parser may read a run of fields
 * and ask vmf_reader_ok() once, before it acts on any of them.
 */
typedef struct {
    const guint8 *data;
    gsize size;
    gsize at; /* never above @size */
    gboolean failed;
} VmfReader;

static inline VmfReader
vmf_reader(const guint8 *data, gsize size)
{
    return (VmfReader){data, size, 0, FALSE};
}

static inline gboolean
vmf_reader_ok(const VmfReader *reader)
{
    return !reader->failed;
}

static inline gsize
vmf_reader_left(const VmfReader *reader)
{
    return reader->failed ? 0 : reader->size - reader->at;
}

/** vmf_reader_cut() - let the data end at @size; what is read already must lie before that */
static inline void
vmf_reader_cut(VmfReader *reader, gsize size)
{
    if (size < reader->at || size > reader->size)
        reader->failed = TRUE;
    else
        reader->size = size;
}

/** vmf_reader_bytes() - the next @count bytes, not copied; %NULL when fewer are left */
static inline const guint8 *
vmf_reader_bytes(VmfReader *reader, gsize count)
{
    if (reader->failed || count > reader->size - reader->at) {
        reader->failed = TRUE;
        return NULL;
    }
    const guint8 *bytes = reader->at ? reader->data + reader->at
                                     : reader->data; /* NULL + 0 is UB */
    reader->at += count;
    return bytes;
}

/** vmf_reader_align() - forward to the next multiple of @alignment (a power of two) */
static inline void
vmf_reader_align(VmfReader *reader, gsize alignment)
{
    vmf_reader_bytes(reader, (alignment - (reader->at & (alignment - 1))) & (alignment - 1));
}

static inline guint8
vmf_reader_u8(VmfReader *reader)
{
    const guint8 *b = vmf_reader_bytes(reader, 1);
    return b ? b[0] : 0;
}

static inline guint16
vmf_reader_le16(VmfReader *reader)
{
    const guint8 *b = vmf_reader_bytes(reader, 2);
    return b ? (guint16)(b[0] | b[1] << 8) : 0;
}

static inline guint32
vmf_reader_le32(VmfReader *reader)
{
    const guint8 *b = vmf_reader_bytes(reader, 4);
    return b ? (guint32)b[0] | (guint32)b[1] << 8 | (guint32)b[2] << 16 | (guint32)b[3] << 24 : 0;
}

static inline guint16
vmf_reader_be16(VmfReader *reader)
{
    const guint8 *b = vmf_reader_bytes(reader, 2);
    return b ? (guint16)(b[0] << 8 | b[1]) : 0;
}

static inline guint32
vmf_reader_be32(VmfReader *reader)
{
    const guint8 *b = vmf_reader_bytes(reader, 4);
    return b ? (guint32)b[0] << 24 | (guint32)b[1] << 16 | (guint32)b[2] << 8 | (guint32)b[3] : 0;
}
