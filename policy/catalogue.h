/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * The catalogue of checks: one table, from which the code, "vmferry check --help", JSON, the
 * manual page vmferry-checks(7) and the policy file's [checks] all come. Ids never change meaning.
 */

typedef enum {
    VMF_FAMILY_DIRECTORY,
    VMF_FAMILY_SHARE,
    VMF_FAMILY_VM,
    VMF_FAMILY_HOST,
    VMF_FAMILY_JOB,
} VmfCheckFamily;

struct VmfJudge;

/**
 * VmfCatalogueEntry - a row
 * @id:      "SMB-120"
 * @title:   a few words: what is true when it passes
 * @judges:  what is looked at, and how
 * @cause:   why it fails, in most cases
 * @cure:    what to do then
 * @offline: a definition alone is enough to judge it
 * @judge:   adds at least one finding (policy/judge-private.h)
 */
typedef struct {
    const char *id;
    VmfCheckFamily family;
    const char *title;
    const char *judges;
    const char *cause;
    const char *cure;
    gboolean offline;
    void (*judge)(struct VmfJudge *judge);
} VmfCatalogueEntry;

extern const VmfCatalogueEntry vmf_catalogue[];
extern const gsize vmf_catalogue_rows;

/**
 * VmfDoctorEntry - what only "vmferry doctor" looks at: a host, without a VM that is to move
 *
 * It finds these, and besides them those of the checks that a host alone can tell.
 */
typedef struct {
    const char *id;
    const char *title;
    const char *judges;
    const char *cause;
    const char *cure;
} VmfDoctorEntry;

extern const VmfDoctorEntry vmf_doctor_catalogue[];
extern const gsize vmf_doctor_catalogue_rows;

/** vmf_catalogue_find() - Returns: (nullable): the row of "SMB-120" */
const VmfCatalogueEntry *vmf_catalogue_find(const char *id);

/** vmf_catalogue_to_help() - id and title of each, one per line. (transfer full) */
gchar *vmf_catalogue_to_help(void);

/** vmf_catalogue_to_man() - the whole of vmferry-checks(7). (transfer full) */
gchar *vmf_catalogue_to_man(void);
