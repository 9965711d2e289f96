/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-url.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted is canonical, stays below its share, and is one spelling of one file. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree gchar *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfShareUrl) url = vmf_share_url_parse(text, &error);
    g_assert_true((url == NULL) == (error != NULL));
    if (url == NULL)
        return 0;

    g_autoptr(VmfShareUrl) again = vmf_share_url_parse(url->url, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(again->url, ==, url->url);
    g_assert_cmpstr(again->path, ==, url->path);
    g_assert_true(vmf_share_url_same_folder(url, again));
    g_assert_null(strpbrk(url->path, "\\:*?\"<>|"));
    g_auto(GStrv) parts = g_strsplit(url->path, "/", -1);
    for (guint i = 0; parts[i] != NULL; i++) {
        g_assert_cmpstr(parts[i], !=, "");
        g_assert_cmpstr(parts[i], !=, ".");
        g_assert_cmpstr(parts[i], !=, "..");
    }
    g_autoptr(VmfShareUrl) sibling = vmf_share_url_sibling(url, "domain.xml", NULL);
    g_assert_true(sibling == NULL || vmf_share_url_same_folder(url, sibling));
    return 0;
}
