/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-set.h"

/*
 * The verbs of org.vmferry.Disk1.xml that the owner thread does, whichever way they come: arguments
 * and results are the tuples written there.
 */

/**
 * VmfDiskVerb - one of them
 * @parameters: the type of its arguments, which were seen to be of it before @run is called
 * @line:       may be said on a line
 * @run:        returns (floating) its results, or NULL with the error that is answered
 */
typedef struct {
    const char *name;
    const char *parameters;
    gboolean line;
    GVariant *(*run)(VmfDiskSet *set, GVariant *parameters, GError **error);
} VmfDiskVerb;

/** vmf_disk_verb_find() - Returns: NULL: none of that name */
const VmfDiskVerb *vmf_disk_verb_find(const char *name);
