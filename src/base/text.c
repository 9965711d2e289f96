/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/text.h"

#include <string.h>

int
vmf_text_head(const char *text, guint most)
{
    const char *end;
    g_utf8_validate(text, (gssize)strnlen(text, most), &end);
    return (int)(end - text);
}
