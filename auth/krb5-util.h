/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/base/error.h"

#include <krb5.h>

/*
 * The one place where libkrb5's codes become ours, and what counts as an AES key.
 */

#define VMF_DEFAULT_KEYTAB "/etc/krb5.keytab"

/** Encryption types that are good enough: AES with SHA-1 (RFC 3962) and with SHA-2 (RFC 8009). */
extern const krb5_enctype vmf_aes_enctypes[4];

gboolean vmf_enctype_is_aes(krb5_enctype enctype);

/** vmf_enctype_name() - "aes256-cts-hmac-sha1-96 (18)" for messages. Returns: (transfer full). */
gchar *vmf_enctype_name(krb5_enctype enctype);

/**
 * vmf_krb5_fail() - set @error from a libkrb5 code: "WHAT: library's text; cure"
 * @context: may be %NULL
 *
 * Returns: %FALSE always, to be returned on.
 */
gboolean vmf_krb5_fail(GError **error, krb5_context context, krb5_error_code code,
                       const char *format, ...) G_GNUC_PRINTF(4, 5);

/** vmf_krb5_error_code() - which of our codes a libkrb5 code is */
VmfError vmf_krb5_error_code(krb5_error_code code);

/** vmf_krb5_cure() - what to do about @code; %NULL when nothing better than its text is known */
const char *vmf_krb5_cure(krb5_error_code code);

/** vmf_krb5_context() - a new library context; %NULL and VMF_ERROR_CONFIG (krb5.conf unreadable) */
krb5_context vmf_krb5_context(GError **error);
