/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/base/error.h"

#include <gio/gio.h>

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

const char *
vmf_error_code_name(const GError *error)
{
    if (error->domain != VMF_ERROR || error->code < 0 || error->code > VMF_ERROR_INTERNAL)
        return "internal";
    return code_names[error->code];
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

void
vmf_error_from_dbus(GError **error, const char *whom)
{
    if (error == NULL || *error == NULL)
        return;
    g_dbus_error_strip_remote_error(*error);
    if ((*error)->domain == VMF_ERROR)
        return;
    int code = says_nobody_answered(*error) ? VMF_ERROR_UNREACHABLE : VMF_ERROR_INTERNAL;
    GError *ours = g_error_new(VMF_ERROR, code, "%s %s: %s", whom,
                               code == VMF_ERROR_UNREACHABLE ? "does not answer" : "failed",
                               (*error)->message);
    g_error_free(*error);
    *error = ours;
}
