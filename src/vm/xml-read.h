/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading XML that a stranger wrote: UTF-8 only, no DTD, no entities but the five of XML, no
 * network, no processing instructions that do anything, limits on bytes and on what they may cost
 * (xml-limits.h).
 */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlChar, xmlFree)

/**
 * vmf_xml_read() - bytes to a document
 * @what: for messages: "the definition that came from another host"
 * @max:  bytes
 *
 * Returns: (transfer full), with line numbers; NULL: VMF_ERROR_PROTOCOL
 */
xmlDoc *vmf_xml_read(const char *what, const char *xml, gsize length, gsize max, GError **error);
