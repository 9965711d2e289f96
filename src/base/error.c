/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/error.h"

#include <gio/gio.h>

#include "src/base/text.h"

static const GDBusErrorEntry entries[] = {
    {VMF_ERROR_CONFIG, "org.vmferry.Error.Config"},
    {VMF_ERROR_DENIED, "org.vmferry.Error.Denied"},
    {VMF_ERROR_AUTH, "org.vmferry.Error.Auth"},
    {VMF_ERROR_UNREACHABLE, "org.vmferry.Error.Unreachable"},
    {VMF_ERROR_BUSY, "org.vmferry.Error.Busy"},
    {VMF_ERROR_PROTOCOL, "org.vmferry.Error.Protocol"},
    {VMF_ERROR_UNSUPPORTED, "org.vmferry.Error.Unsupported"},
    {VMF_ERROR_INTERNAL, "org.vmferry.Error.Internal"},
};

static const char *const code_names[] = {
    "config", "denied", "auth", "unreachable", "busy", "protocol", "unsupported", "internal",
};
G_STATIC_ASSERT(G_N_ELEMENTS(entries) == VMF_ERROR_INTERNAL + 1);
G_STATIC_ASSERT(G_N_ELEMENTS(code_names) == VMF_ERROR_INTERNAL + 1);

GQuark
vmf_error_quark(void)
{
    static gsize quark;
    g_dbus_error_register_error_domain("vmf-error-quark", &quark, entries, G_N_ELEMENTS(entries));
    return (GQuark)quark;
}

/* GDBus decodes an error when the reply arrives: the domain must be known before the first call. */
__attribute__((constructor)) static void
register_domain(void)
{
    vmf_error_quark();
}

static gboolean
is_ours(const GError *error)
{
    return error->domain == VMF_ERROR && error->code >= 0 && error->code <= VMF_ERROR_INTERNAL;
}

const char *
vmf_error_code_name(const GError *error)
{
    return is_ours(error) ? code_names[error->code] : "internal";
}

static gboolean
says_nobody_answered(const GError *error)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CLOSED) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
           g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_DISCONNECTED) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_TIMED_OUT);
}

/* Its text, as the other end said it, may be shown. */
static void
tame(GError *error)
{
    gchar *tamed = vmf_text_tame(error->message, VMF_ERROR_SAID_MAX);
    g_free(error->message);
    error->message = tamed;
}

void
vmf_error_from_dbus(GError **error, const char *whom)
{
    if (error == NULL || *error == NULL)
        return;
    gboolean said = g_dbus_error_is_remote_error(*error);
    g_dbus_error_strip_remote_error(*error);
    tame(*error);
    if (is_ours(*error))
        return;
    /* The bus says for a service that it is not there; what is GIO's own happens here or nowhere. */
    gboolean nobody = says_nobody_answered(*error) && !(said && (*error)->domain == G_IO_ERROR);
    int code = nobody ? VMF_ERROR_UNREACHABLE : VMF_ERROR_INTERNAL;
    GError *ours = g_error_new(VMF_ERROR, code, "%s %s: %s", whom,
                               nobody ? "does not answer" : "failed", (*error)->message);
    g_error_free(*error);
    *error = ours;
}
