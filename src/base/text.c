/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/text.h"

#include <string.h>

int
vmf_text_head(const char *text, guint most)
{
    gsize size = strnlen(text, (gsize)most + 1);
    if (size <= most)
        return (int)size;
    for (size = most; size > 0 && ((guint8)text[size] & 0xc0) == 0x80; size--)
        continue;
    return (int)size;
}
