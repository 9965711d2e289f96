/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/domain-edit.h"

#include <string.h>

#include "src/base/error.h"
#include "src/vm/domain.h"
#include "src/vm/xml-read.h"

#define WHAT "the definition"

static gboolean
fault(GError **error, const char *format, const char *argument)
{
    g_autofree gchar *said = g_strdup_printf(format, argument);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, WHAT " %s", said);
    return FALSE;
}
