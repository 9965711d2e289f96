/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The last byte but the NUL that libvirt wants says which cookie it is. */
#include "src/vm/cookie.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static const char uuid[] = "11111111-2222-4333-8444-555555555555";
    if (size == 0)
        return 0;
    VmfCookieKind kind = (VmfCookieKind)(data[size - 1] % 4);
    g_autofree gchar *text = g_strndup((const char *)data, size - 1);
    g_autoptr(GBytes) cookie = g_bytes_new(text, strlen(text) + 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) once = vmf_cookie_rebuild(kind, cookie, uuid, "demo", &error);
    g_assert_true((once == NULL) == (error != NULL));
    if (once == NULL)
        return 0;
    g_assert_null(strstr(g_bytes_get_data(once, NULL), "<domain"));
    g_autoptr(GBytes) twice = vmf_cookie_rebuild(kind, once, uuid, "demo", &error);
    g_assert_no_error(error);
    g_assert_true(g_bytes_equal(once, twice));
    return 0;
}
