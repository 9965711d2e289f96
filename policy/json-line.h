/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * A bounded reader of one JSON value (RFC 8259) in a buffer that it may write into.
 *
 * For lines of known shape at a high rate: it builds no tree, allocates nothing and does not
 * recurse, so nesting costs nothing: what the caller does not ask for is an error, not skipped.
 * Strings are unescaped in place. Failure model: the first error stops it; @why names it, @at
 * stands at it.
 */

/**
 * VmfJsonLine - the place in a line
 * @at:    next byte
 * @end:   behind the last one; *end must be '\0'
 * @start: first byte, for messages
 * @why:   (nullable): what is wrong, a static text
 */
typedef struct {
    char *at, *end;
    const char *start;
    const char *why;
} VmfJsonLine;

/** vmf_json_line_init() - read @size bytes at @text; @text[@size] must be '\0' */
void vmf_json_line_init(VmfJsonLine *line, char *text, gsize size);

/** vmf_json_line_fail() - note the first thing that is wrong. Returns %FALSE */
gboolean vmf_json_line_fail(VmfJsonLine *line, const char *why);

/** vmf_json_line_open() - white space, then @bracket: '{' or '[' */
gboolean vmf_json_line_open(VmfJsonLine *line, char bracket);

/**
 * vmf_json_line_next() - is there one more member or element?
 * @first: (inout): TRUE before the first; set to FALSE
 * @close: '}' or ']'
 *
 * Returns: %FALSE behind @close, and on an error (@why is then set).
 */
gboolean vmf_json_line_next(VmfJsonLine *line, char close, gboolean *first);

/** vmf_json_line_key() - a string and the colon behind it */
gboolean vmf_json_line_key(VmfJsonLine *line, const char **key);

/**
 * vmf_json_line_string() - a string; valid UTF-8 without NUL
 * @text: (out): inside the line, NUL-terminated, valid as long as the line
 */
gboolean vmf_json_line_string(VmfJsonLine *line, const char **text, gsize *size);

/** vmf_json_line_u32() - a number without sign, fraction or exponent, at most 4294967295 */
gboolean vmf_json_line_u32(VmfJsonLine *line, guint32 *value);

/** vmf_json_line_boolean() - true or false */
gboolean vmf_json_line_boolean(VmfJsonLine *line, gboolean *value);

/** vmf_json_line_peek() - the next byte that is no white space; '\0' at the end */
char vmf_json_line_peek(VmfJsonLine *line);

/** vmf_json_line_end() - nothing but white space may follow */
gboolean vmf_json_line_end(VmfJsonLine *line);

/** vmf_json_append_string() - append @text quoted and escaped; @text is UTF-8 */
void vmf_json_append_string(GString *out, const char *text);
