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

#include "src/base/error.h"
#include "src/vm/xml-node.h"
#include "src/vm/xml-read.h"

#define VMF_XML_ELEMENTS_MAX 20000

typedef enum {
    VMF_XML_KEEP,
    VMF_XML_KEEP_MANY, /* may occur more than once below one parent */
    VMF_XML_KEEP_FULL, /* like KEEP_MANY; gone when no attribute, child or text is left */
    VMF_XML_DROP,      /* with all that is in it */
    VMF_XML_DROP_FORM, /* judged like KEEP_MANY, then dropped: any other form is refused */
    VMF_XML_REFUSE,
} VmfXmlAct;

typedef struct {
    const char *path;
    VmfXmlAct act;
    const char *attributes; /* NULL: none */
    const char *text;       /* NULL: none; ":KIND" or "=a|b" as above */
    const char *reason;     /* of DROP, DROP_FORM, REFUSE and '!': why; of REFUSE: and what to do */
    const char *as;         /* children are looked up below this path instead */
} VmfXmlRule;

/**
 * VmfXmlRefusal - one thing that the table refuses
 * @path:   where: "domain/devices/hostdev", of an attribute "domain/devices/disk/@type"
 * @line:   in the document, from 1
 * @code:   VMF_ERROR_PROTOCOL or VMF_ERROR_UNSUPPORTED; by others who add to a list also _CONFIG
 * @reason: a clause that names the thing and says why: "<hostdev> does not move: a device of …"
 */
typedef struct {
    gchar *path;
    guint line;
    VmfError code;
    gchar *reason;
} VmfXmlRefusal;

#define VMF_XML_REFUSALS_MAX 500 /* of one document; more are only counted */

typedef struct {
    GPtrArray *list; /* of VmfXmlRefusal, in the order of the document */
    guint omitted;
} VmfXmlRefusals;

VmfXmlRefusals *vmf_xml_refusals_new(void);
void vmf_xml_refusals_free(VmfXmlRefusals *refusals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfXmlRefusals, vmf_xml_refusals_free)
/** vmf_xml_refusals_take() - @reason: (transfer full) */
void vmf_xml_refusals_take(VmfXmlRefusals *refusals, const char *path, guint line, VmfError code,
                           gchar *reason);

/**
 * VmfXmlContext - what the values are judged by, beyond their shape
 * @what:     "the definition that came from another host"
 * @refusals: (nullable): where every refusal goes; NULL: the first one is the error
 */
typedef struct {
    const char *what;
    const char *const *boot_files;
    const char *const *firmware;
    VmfXmlRefusals *refusals;
} VmfXmlContext;

typedef struct VmfXmlRules VmfXmlRules;

/* @rules: a static array of @n rows. Never freed: tables live as long as the process. */
VmfXmlRules *vmf_xml_rules_compile(const VmfXmlRule *rules, gsize n);

/**
 * vmf_xml_apply() - the model of a document, as far as the table allows it
 * @root: the root element's only permitted name
 *
 * Without @context->refusals the first refusal ends it. With it, what is refused is listed and left
 * out of the model, and an element from which something was left out is marked (VmfXmlNode.cut);
 * then only a wrong root or a limit is an error.
 *
 * Returns: (transfer full), or NULL with
 *   VMF_ERROR_PROTOCOL     wrong root, over a limit, a value that is not of its kind
 *   VMF_ERROR_UNSUPPORTED  something the table refuses or does not know
 */
VmfXmlNode *vmf_xml_apply(const VmfXmlRules *rules, const VmfXmlContext *context, xmlDoc *doc,
                          const char *root, GError **error);
