/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "src/vm/xml-read.h"

/* The files that a definition names, into @vm->files; @vm->uuid and ->name are set before. */
void vmf_definition_files(xmlNode *root, gboolean as_written, VmfFactVm *vm);

/* Reading a tree: the first child of that name (any namespace of NULL), next ones, values. */
xmlNode *vmf_xml_child(const xmlNode *node, const char *name);
xmlNode *vmf_xml_next(const xmlNode *node);                 /* the next sibling of the same name */
xmlNode *vmf_xml_at(const xmlNode *node, const char *path); /* "os/type"; NULL: none */
/* (transfer full): "" when there is none; text is stripped */
gchar *vmf_xml_value(const xmlNode *node, const char *attribute);
gchar *vmf_xml_text(const xmlNode *node);
