/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Definitions for tests: the variants of corpus/allowed.xml, each laid over its base; and whether
 * a rebuilt one says the same. Failures abort the test.
 */
#pragma once

#include <glib.h>
#include <libxml/tree.h>

#include "src/vm/xml-read.h"

typedef struct {
    gchar *name;
    xmlDoc *doc;
} Definition;

/* @path: of the corpus; NULL: a test's own. Returns: (transfer full) (element-type Definition) */
GPtrArray *definitions_read(const char *path);

/* (transfer full): of a document or of one element. */
gchar *definitions_text(xmlDoc *doc);

/*
 * Two documents have the same elements, attributes and texts; emulator and nvram path are ours, and
 * that a disk with a source has an empty <backingStore>, at its end if it had none.
 */
void definitions_same(const char *in, const char *out);
