/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Values inside LDAP search filters (RFC 4515, section 3), pure.
 */

/** vmf_ldap_escape() - @text with every byte that could end a value or mean something as \xx */
gchar *vmf_ldap_escape(const char *text);

/** vmf_ldap_escape_bytes() - every byte as \xx: how a binary SID is written */
gchar *vmf_ldap_escape_bytes(const guint8 *bytes, gsize size);
