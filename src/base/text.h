/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * vmf_text_head() - how much of @text fits into @most bytes without cutting a character
 * @text: UTF-8; a text of others that a message quotes
 *
 * For "%.*s". A precision alone may end inside a character: such a message is no text to D-Bus and
 * XML, which put something else in its place, or end.
 *
 * Returns: bytes, at most @most
 */
int vmf_text_head(const char *text, guint most);

/**
 * vmf_text_tame() - a text of others that will be shown: in a log, on a terminal
 *
 * Returns: (transfer full): valid UTF-8, at most @most bytes of @text; what is not printable, except
 *   line feeds, is "?"
 */
gchar *vmf_text_tame(const char *text, guint most);
