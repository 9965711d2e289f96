/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * smb://server/share/path/to/file, pure.
 *
 * One file has one spelling: server in lower case, a DNS name (Kerberos knows no addresses), no
 * user, port, query or fragment; no empty, "." or ".." component; none of the characters that SMB
 * gives a meaning (`\ : * ? " < > |`, control characters), no component that ends in a space or
 * a dot (Windows drops them). Percent-encoding is decoded, and what has to be encoded for
 * libsmbclient is encoded again in ->url. The server's case-insensitivity of path and share is
 * not undone.
 */

typedef struct {
    gchar *url;    /* canonical: smb://fs1.lab.test/vms/web1/web%201.raw */
    gchar *server; /* fs1.lab.test */
    gchar *share;  /* vms */
    gchar *path;   /* web1/web 1.raw: decoded, without leading slash, at least one component */
} VmfShareUrl;

/**
 * vmf_share_url_parse() - read and canonicalise
 *
 * Returns: NULL with VMF_ERROR_CONFIG, which quotes @text and says which rule it breaks.
 */
VmfShareUrl *vmf_share_url_parse(const char *text, GError **error);

void vmf_share_url_free(VmfShareUrl *url);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfShareUrl, vmf_share_url_free)

/**
 * vmf_share_url_sibling() - a file beside @url, or below its folder
 * @relative: "domain.xml", ".vmferry/UUID.own"
 *
 * Returns: NULL with VMF_ERROR_CONFIG when @relative breaks a rule.
 */
VmfShareUrl *vmf_share_url_sibling(const VmfShareUrl *url, const char *relative, GError **error);

/** vmf_share_url_same_folder() - same server, share and directory */
gboolean vmf_share_url_same_folder(const VmfShareUrl *a, const VmfShareUrl *b);

/** vmf_share_url_base_name() - "web 1.raw". Returns: (transfer none) */
const char *vmf_share_url_base_name(const VmfShareUrl *url);

/** vmf_share_url_unc() - "//fs1.lab.test/vms/web1/web 1.raw", as messages show it */
gchar *vmf_share_url_unc(const VmfShareUrl *url);
