/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an untrusted document may say: a table of elements, and the walk that applies it.
 *
 * One row per element, named by its path from the root. "domain/devices/<star>/…" is for any device
 * without a row of its own for that element, and "…/<star>" for any child without one (a star is
 * written '*'). A row keeps, drops or refuses. A kept element lists each attribute it may have:
 *
 *   "name:KIND"    a value of that kind (xml-kinds.c)      "name=a|b"  one of these words
 *   "-name"        dropped without a look                  "!name"     refused, for the row's reason
 *
 * An element or attribute without a row or entry is refused by its name and line. So is a text
 * where none is expected, and an element that occurs twice where one is expected: libvirt would
 * silently take the first.
 *
 * Failure model: the table is ours; a row that cannot be understood aborts at the first use, and
 * a unit test uses them all. The document is not: every fault in it is a GError.
 */
#pragma once

#include "src/vm/xml-node.h"
#include "src/vm/xml-read.h"

#define VMF_XML_ELEMENTS_MAX 20000

typedef enum {
    VMF_XML_KEEP,
    VMF_XML_KEEP_MANY, /* may occur more than once below one parent */
    VMF_XML_KEEP_FULL, /* like KEEP_MANY; gone when no attribute, child or text is left */
    VMF_XML_DROP,      /* with all that is in it */
    VMF_XML_REFUSE,
} VmfXmlAct;

typedef struct {
    const char *path;
    VmfXmlAct act;
    const char *attributes; /* NULL: none */
    const char *text;       /* NULL: none; ":KIND" or "=a|b" as above */
    const char *reason;     /* of DROP, REFUSE and '!': why; of REFUSE: and what to do */
    const char *as;         /* children are looked up below this path instead */
} VmfXmlRule;

/* What the values are judged by, beyond their shape. */
typedef struct {
    const char *what; /* "the definition that came from another host" */
    const char *const *boot_files;
    const char *const *firmware;
} VmfXmlContext;

typedef struct VmfXmlRules VmfXmlRules;

/* @rules: a static array of @n rows. Never freed: tables live as long as the process. */
VmfXmlRules *vmf_xml_rules_compile(const VmfXmlRule *rules, gsize n);

/**
 * vmf_xml_apply() - the model of a document, as far as the table allows it
 * @root: the root element's only permitted name
 *
 * Returns: (transfer full), or NULL with
 *   VMF_ERROR_PROTOCOL     wrong root, over a limit, a value that is not of its kind
 *   VMF_ERROR_UNSUPPORTED  something the table refuses or does not know
 */
VmfXmlNode *vmf_xml_apply(const VmfXmlRules *rules, const VmfXmlContext *context, xmlDoc *doc,
                          const char *root, GError **error);
