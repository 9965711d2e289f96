/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What a document may cost before libxml2 sees it. Pure.
 *
 * A tree needs up to a hundred times the bytes of its text, libxml2 compares each attribute of an
 * element with all the others, and its own limit on depth speaks of a compiler option. So tags and
 * quotes are counted first, without a tree, in one pass.
 *
 * Failure model: a document that is not well-formed may be counted wrongly from its fault on;
 * libxml2 stops at that fault.
 */

#define VMF_XML_TAGS_MAX       50000  /* elements of one document */
#define VMF_XML_VALUES_MAX     200000 /* attributes of one document */
#define VMF_XML_ATTRIBUTES_MAX 128    /* of one element */
#define VMF_XML_DEPTH_MAX      64     /* levels; libvirt's own documents have at most 12 */

/**
 * vmf_xml_within_limits() - count
 * @why:  (out) (transfer full): "has more than 64 levels of elements", for a message
 * @line: (out): where, from 1
 *
 * Returns: %FALSE with @why and @line when a limit is passed.
 */
gboolean vmf_xml_within_limits(const char *xml, gsize length, gchar **why, guint *line);
