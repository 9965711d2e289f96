/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/libvirt-error.h"

#include <libvirt/virterror.h>

#include "src/base/error.h"

static const struct {
    int code;
    int ours;
} translation[] = {
    {VIR_ERR_NO_DOMAIN, VMF_ERROR_CONFIG},
    {VIR_ERR_NO_NETWORK, VMF_ERROR_CONFIG},
    {VIR_ERR_DOM_EXIST, VMF_ERROR_CONFIG},
    {VIR_ERR_INVALID_ARG, VMF_ERROR_CONFIG},
    {VIR_ERR_XML_ERROR, VMF_ERROR_CONFIG},
    {VIR_ERR_XML_DETAIL, VMF_ERROR_CONFIG},
    {VIR_ERR_XML_INVALID_SCHEMA, VMF_ERROR_CONFIG},
    {VIR_ERR_OPERATION_INVALID, VMF_ERROR_CONFIG},
    {VIR_ERR_NO_SUPPORT, VMF_ERROR_UNSUPPORTED},
    {VIR_ERR_CONFIG_UNSUPPORTED, VMF_ERROR_UNSUPPORTED},
    {VIR_ERR_ARGUMENT_UNSUPPORTED, VMF_ERROR_UNSUPPORTED},
    {VIR_ERR_OPERATION_UNSUPPORTED, VMF_ERROR_UNSUPPORTED},
    {VIR_ERR_MIGRATE_UNSAFE, VMF_ERROR_UNSUPPORTED},
    {VIR_ERR_OPERATION_TIMEOUT, VMF_ERROR_BUSY},
    {VIR_ERR_RESOURCE_BUSY, VMF_ERROR_BUSY},
    {VIR_ERR_OPERATION_DENIED, VMF_ERROR_DENIED},
    {VIR_ERR_ACCESS_DENIED, VMF_ERROR_DENIED},
    {VIR_ERR_AUTH_FAILED, VMF_ERROR_DENIED},
    {VIR_ERR_AUTH_CANCELLED, VMF_ERROR_DENIED},
    {VIR_ERR_AUTH_UNAVAILABLE, VMF_ERROR_DENIED},
    {VIR_ERR_NO_CONNECT, VMF_ERROR_UNREACHABLE},
    {VIR_ERR_INVALID_CONN, VMF_ERROR_UNREACHABLE},
};

int
vmf_libvirt_error_code(int code, int domain)
{
    for (gsize i = 0; i < G_N_ELEMENTS(translation); i++) {
        if (translation[i].code == code)
            return translation[i].ours;
    }
    if (domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE)
        return VMF_ERROR_UNREACHABLE;
    return VMF_ERROR_INTERNAL;
}

void
vmf_libvirt_set_error(GError **error, const char *what, ...)
{
    virErrorPtr last = virGetLastError();
    va_list arguments;
    va_start(arguments, what);
    g_autofree gchar *asked = g_strdup_vprintf(what, arguments);
    va_end(arguments);
    int code = last != NULL ? vmf_libvirt_error_code(last->code, last->domain) : VMF_ERROR_INTERNAL;
    g_set_error(error, VMF_ERROR, code, "%s: libvirt: %s", asked,
                last != NULL && last->message != NULL ? last->message : "no reason given");
}
