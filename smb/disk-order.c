/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-order.h"

#include "src/base/error.h"

#include <gio/gio.h>
#include <string.h>

#define TEXT_MAX 4000 /* bytes of an error; each may become three */
#define ORDER    "(sv)"
#define ANSWER   "(ssv)"

static GVariant *
parse(GBytes *bytes, const char *type, GError **error)
{
    g_autoptr(GVariant) message = NULL;
    if (g_bytes_get_size(bytes) <= VMF_DISK_ORDER_MAX)
        message = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(type), bytes, FALSE));
    if (message != NULL && g_variant_is_normal_form(message))
        return g_steal_pointer(&message);
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "what came on the line of a disk process is not of its form");
    return NULL;
}

GBytes *
vmf_disk_order_encode(const char *verb, GVariant *parameters, GError **error)
{
    g_autoptr(GVariant) message = g_variant_ref_sink(g_variant_new(ORDER, verb, parameters));
    if (g_variant_get_size(message) <= VMF_DISK_ORDER_MAX)
        return g_variant_get_data_as_bytes(message);
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "%s is too long for a line", verb);
    return NULL;
}

gboolean
vmf_disk_order_decode(GBytes *bytes, gchar **verb, GVariant **parameters, GError **error)
{
    g_autoptr(GVariant) message = parse(bytes, ORDER, error);
    if (message == NULL)
        return FALSE;
    g_variant_get(message, ORDER, verb, parameters);
    return TRUE;
}

GBytes *
vmf_disk_answer_encode(GVariant *results, const GError *why)
{
    g_autofree gchar *name = results == NULL ? g_dbus_error_encode_gerror(why) : g_strdup("");
    g_autofree gchar *text = results == NULL
                                 ? g_utf8_make_valid(why->message,
                                                     (gssize)strnlen(why->message, TEXT_MAX))
                                 : g_strdup("");
    g_autoptr(GVariant) message = g_variant_ref_sink(
        g_variant_new(ANSWER, name, text, results != NULL ? results : g_variant_new("()")));
    g_assert(g_variant_get_size(message) <= VMF_DISK_ORDER_MAX); /* the verbs answer numbers */
    return g_variant_get_data_as_bytes(message);
}

GVariant *
vmf_disk_answer_decode(GBytes *bytes, const char *type, GError **error)
{
    const char *name, *text;
    g_autoptr(GVariant) results = NULL;
    g_autoptr(GVariant) message = parse(bytes, ANSWER, error);
    if (message == NULL)
        return NULL;
    g_variant_get(message, "(&s&sv)", &name, &text, &results);
    if (*name == '\0' && g_variant_is_of_type(results, G_VARIANT_TYPE(type)))
        return g_steal_pointer(&results);
    if (*name == '\0')
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                    "a disk process has answered %s where %s was expected",
                    g_variant_get_type_string(results), type);
    else
        g_propagate_error(error, g_dbus_error_new_for_dbus_error(name, text));
    return NULL;
}
