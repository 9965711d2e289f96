/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The few facts of a qcow2 header that decide how large its NBD export has to be, and whether the
 * file stands alone. Pure; the format is docs/interop/qcow2.txt of QEMU.
 */

/* as much of the file's beginning as is ever looked at */
#define VMF_QCOW2_HEAD_SIZE 65536

/* what of it decides whether the file stands alone; QEMU reads that in one request */
#define VMF_QCOW2_HEADER_SIZE 104

typedef struct {
    guint32 version; /* 2 or 3 */
    guint32 cluster_bits;
    guint64 virtual_size;
    guint32 refcount_order;
    gboolean extended_l2;
} VmfQcow2Facts;

/**
 * vmf_qcow2_facts_read() - from the beginning of the file
 * @head, @size: its first VMF_QCOW2_HEAD_SIZE bytes, or all of it
 *
 * Returns: %FALSE, @facts untouched, with VMF_ERROR_CONFIG (not a qcow2 file, or damaged) or
 *   VMF_ERROR_UNSUPPORTED: a backing file or an external data file, by its name; a version or
 *   feature that changes the layout in a way not known here.
 */
gboolean vmf_qcow2_facts_read(const guint8 *head, gsize size, VmfQcow2Facts *facts, GError **error);

/**
 * vmf_qcow2_still_alone() - the same of a disk that is in use
 *
 * All that QEMU changes in the head of a running guest's disk passes, the mark "corrupt" too.
 *
 * Returns: %FALSE with the errors of vmf_qcow2_facts_read()
 */
gboolean vmf_qcow2_still_alone(const guint8 *head, gsize size, GError **error);

/**
 * vmf_qcow2_export_size() - how large the export of the file has to be
 * @file_size: its size now
 *
 * A file on NBD cannot grow beyond its export. What is there already, and once more all clusters
 * with all the metadata they can need: enough also when clusters have leaked.
 */
guint64 vmf_qcow2_export_size(const VmfQcow2Facts *facts, guint64 file_size);
