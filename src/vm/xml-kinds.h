/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/vm/xml-rules.h"

typedef enum {
    VMF_VALUE_OK,
    VMF_VALUE_MALFORMED, /* not of its kind */
    VMF_VALUE_REFUSED,   /* of its kind, and not allowed here */
    VMF_VALUE_DROPPED,
} VmfValueVerdict;

typedef struct {
    const char *name;
    VmfValueVerdict (*judge)(const char *value, const VmfXmlContext *context);
    const char *described; /* "a number" */
} VmfXmlKind;

/* NULL: there is no such kind. */
const VmfXmlKind *vmf_xml_kind(const char *name);
