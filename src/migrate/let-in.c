/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/let-in.h"

#include <string.h>

#include "src/base/error.h"

/* Parsed twice: the first time tells for which machine an emulator is needed. */
VmfDomain *
vmf_let_in_rebuild(const VmfContext *context, const char *definition, const char *uuid,
                   const char *name, GError **error)
{
    VmfDomainRules rules = {
        .run_dir = context->run_dir,
        .boot_files = (const char *const *)context->policy->kernels,
        .uuid = uuid,
        .name = name,
    };
    gsize size = strlen(definition);
    g_autoptr(VmfDomain) first = vmf_domain_rebuild(definition, size, &rules, error);
    if (first == NULL)
        return NULL;
    g_autofree gchar *emulator = vmf_host_emulator(context->host, vmf_domain_type(first),
                                                   vmf_domain_arch(first),
                                                   vmf_domain_machine(first), error);
    if (emulator == NULL)
        return NULL;
    rules.emulator = emulator;
    return vmf_domain_rebuild(definition, size, &rules, error);
}

gboolean
vmf_let_in_networks(const VmfContext *context, const VmfDomain *domain, const char *name,
                    GError **error)
{
    for (guint i = 0; i < vmf_domain_n_interfaces(domain); i++) {
        const VmfDomainInterface *interface = vmf_domain_interface(domain, i);
        gboolean ok = strcmp(interface->kind, "bridge") == 0
                          ? vmf_host_has_bridge(interface->source, error)
                          : vmf_host_has_network(context->host, interface->source, error);
        if (!ok) {
            g_prefix_error(error, "interface %s of '%s' on %s: ", interface->mac, name,
                           context->me->fqdn);
            return FALSE;
        }
    }
    return TRUE;
}
