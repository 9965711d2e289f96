/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/channel/delegate.h"

#include <gssapi/gssapi.h>
#include <stdio.h>

gboolean delegate_credentials;

#define PARAMETERS                                                                                 \
    OM_uint32 *minor, gss_cred_id_t cred, gss_ctx_id_t *handle, gss_name_t target,                 \
        gss_OID mechanism, OM_uint32 flags, OM_uint32 seconds, gss_channel_bindings_t bindings,    \
        gss_buffer_t input, gss_OID *used, gss_buffer_t output, OM_uint32 *got,                    \
        OM_uint32 *got_seconds

OM_uint32 __real_gss_init_sec_context(PARAMETERS);
OM_uint32 __wrap_gss_init_sec_context(PARAMETERS);

OM_uint32
__wrap_gss_init_sec_context(PARAMETERS)
{
    if (delegate_credentials)
        flags |= GSS_C_DELEG_FLAG;
    OM_uint32 major = __real_gss_init_sec_context(minor, cred, handle, target, mechanism, flags,
                                                  seconds, bindings, input, used, output, got,
                                                  got_seconds);
    if (delegate_credentials && major == GSS_S_COMPLETE)
        printf("%s\n", *got & GSS_C_DELEG_FLAG ? "delegating" : "nothing to delegate");
    return major;
}
