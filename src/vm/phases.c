/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/vm/phases.h"

#include <errno.h>
#include <fcntl.h>

#include <libvirt/libvirt.h>

#include "src/base/error.h"
#include "src/vm/libvirt-rpc.h"
#include "src/vm/libvirt-wire.h"
#include "src/vm/xdr.h"

#define DEFAULT_SOCKET "/run/libvirt/libvirt-sock"
#define DRIVER         "qemu:///system"
#define PARAMS_MAX     8

struct VmfPhases {
    VmfRpc *rpc;
    int last_code;
    gchar *last_message; /* NULL: none */
};

static VmfPhaseResult
call(VmfPhases *phases, guint32 procedure, GByteArray *args, GBytes **reply, GError **error)
{
    g_autoptr(GError) answer = NULL;
    VmfPhaseResult result = VMF_PHASE_DONE;
    phases->last_code = 0;
    g_clear_pointer(&phases->last_message, g_free);
    switch (vmf_rpc_call(phases->rpc, procedure, args, reply, &phases->last_code, &answer)) {
    case VMF_RPC_OK:
        return VMF_PHASE_DONE;
    case VMF_RPC_ERROR:
        phases->last_message = g_strdup(answer->message);
        result = VMF_PHASE_REFUSED;
        break;
    case VMF_RPC_UNKNOWN:
        result = VMF_PHASE_UNKNOWN;
        break;
    }
    g_propagate_error(error, g_steal_pointer(&answer));
    return result;
}

/* A reply that came and cannot be read was not libvirt's: what happened is not known. */
static VmfPhaseResult
decoded(gboolean well_formed)
{
    return well_formed ? VMF_PHASE_DONE : VMF_PHASE_UNKNOWN;
}

static gboolean
authenticate(VmfPhases *phases, GError **error)
{
    g_autoptr(GBytes) reply = NULL;
    gboolean none;
    if (call(phases, VMF_PROC_AUTH_LIST, NULL, &reply, error) != VMF_PHASE_DONE ||
        !vmf_wire_get_auth_none(reply, &none, error))
        return FALSE;
    if (!none)
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_DENIED,
                            "libvirtd asks for an authentication on its local socket; run as root, "
                            "or set auth_unix_rw = \"none\" in libvirtd.conf");
    return none;
}

static gboolean
open_driver(VmfPhases *phases, GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    vmf_xdr_put_optional_string(args, DRIVER);
    vmf_xdr_put_u32(args, 0); /* flags */
    if (call(phases, VMF_PROC_CONNECT_OPEN, args, &reply, error) == VMF_PHASE_DONE)
        return TRUE;
    g_prefix_error_literal(error, "cannot open '" DRIVER "': ");
    return FALSE;
}

VmfPhases *
vmf_phases_open(const char *libvirt_socket, GError **error)
{
    g_autoptr(VmfPhases) phases = g_new0(VmfPhases, 1);
    phases->rpc = vmf_rpc_connect(libvirt_socket != NULL ? libvirt_socket : DEFAULT_SOCKET, error);
    if (phases->rpc == NULL || !authenticate(phases, error) || !open_driver(phases, error))
        return NULL;
    return g_steal_pointer(&phases);
}

VmfPhases *
vmf_phases_adopt(int fd, GError **error)
{
    g_autoptr(VmfPhases) phases = g_new0(VmfPhases, 1);
    g_autoptr(GBytes) reply = NULL;
    phases->rpc = vmf_rpc_adopt(fd, error);
    if (phases->rpc == NULL ||
        call(phases, VMF_PROC_CONNECT_GET_LIB_VERSION, NULL, &reply, error) != VMF_PHASE_DONE)
        return NULL;
    return g_steal_pointer(&phases);
}

void
vmf_phases_free(VmfPhases *phases)
{
    if (phases == NULL)
        return;
    vmf_rpc_free(phases->rpc);
    g_free(phases->last_message);
    g_free(phases);
}

int
vmf_phases_dup_fd(VmfPhases *phases, GError **error)
{
    int fd = fcntl(vmf_rpc_fd(phases->rpc), F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "cannot copy the descriptor of the libvirt connection: %s", g_strerror(errno));
    return fd;
}

void
vmf_phases_set_cancellable(VmfPhases *phases, GCancellable *cancellable)
{
    vmf_rpc_set_cancellable(phases->rpc, cancellable);
}

gboolean
vmf_phases_is_connected(const VmfPhases *phases)
{
    return vmf_rpc_is_connected(phases->rpc);
}

int
vmf_phases_last_code(const VmfPhases *phases)
{
    return phases->last_code;
}

const char *
vmf_phases_last_message(const VmfPhases *phases)
{
    return phases->last_message != NULL ? phases->last_message : "";
}

/* ---- flags and parameters, the same in every phase of one side ---- */

static guint32
destination_flags(const VmfPhaseParams *params)
{
    return VIR_MIGRATE_LIVE | (params->parallel > 0 ? VIR_MIGRATE_PARALLEL : 0);
}

/*
 * UNDEFINE_SOURCE without PERSIST_DEST: the persistent definition of the destination is defined
 * there from the rebuilt XML; PERSIST_DEST would let the peer's definition through the cookie.
 */
static guint32
source_flags(const VmfPhaseParams *params)
{
    return destination_flags(params) | VIR_MIGRATE_CHANGE_PROTECTION | VIR_MIGRATE_UNDEFINE_SOURCE |
           VIR_MIGRATE_ABORT_ON_ERROR | (params->auto_converge ? VIR_MIGRATE_AUTO_CONVERGE : 0);
}

typedef struct {
    VmfTypedParam list[PARAMS_MAX];
    guint n;
} Params;

static void
add_string(Params *out, const char *field, const char *value)
{
    g_assert(out->n < PARAMS_MAX);
    if (value != NULL)
        out->list[out->n++] = (VmfTypedParam){.field = field, .type = VMF_TYPED_STRING, .s = value};
}

static void
add_int(Params *out, const char *field, guint value)
{
    g_assert(out->n < PARAMS_MAX);
    if (value > 0)
        out->list[out->n++] = (VmfTypedParam){
            .field = field, .type = VMF_TYPED_INT, .i = (gint32)value};
}

static Params
destination_params(const VmfPhaseParams *params, const char *uri, const char *xml)
{
    Params out = {0};
    add_string(&out, VIR_MIGRATE_PARAM_URI, uri);
    add_string(&out, VIR_MIGRATE_PARAM_DEST_XML, xml);
    add_int(&out, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, params->parallel);
    return out;
}

static Params
source_params(const VmfPhaseParams *params, const char *uri)
{
    Params out = {0};
    add_string(&out, VIR_MIGRATE_PARAM_URI, uri);
    add_int(&out, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, params->parallel);
    if (params->auto_converge) {
        add_int(&out, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INITIAL, params->auto_converge_initial);
        add_int(&out, VIR_MIGRATE_PARAM_AUTO_CONVERGE_INCREMENT, params->auto_converge_increment);
    }
    if (params->bandwidth_mib > 0)
        out.list[out.n++] = (VmfTypedParam){.field = VIR_MIGRATE_PARAM_BANDWIDTH,
                                            .type = VMF_TYPED_ULLONG,
                                            .ul = params->bandwidth_mib};
    return out;
}

static gboolean
is_empty(GBytes *cookie)
{
    return cookie == NULL || g_bytes_get_size(cookie) == 0;
}

/* libvirtd 9.0 does not survive an empty cookie in Prepare and Perform. */
static gboolean
check_cookie(GBytes *cookie, const char *phase, GError **error)
{
    if (!is_empty(cookie))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "%s needs the cookie of the phase before it",
                phase);
    return FALSE;
}

/* ---- the phases ---- */

VmfPhaseResult
vmf_phases_begin(VmfPhases *phases, const VmfPhaseParams *params, GBytes **cookie, char **xml,
                 GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    Params typed = source_params(params, NULL);
    vmf_wire_put_domain(args, params->name, params->uuid);
    vmf_wire_put_params(args, typed.list, typed.n);
    vmf_xdr_put_u32(args, source_flags(params));
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_BEGIN, args, &reply, error);
    if (result == VMF_PHASE_DONE)
        result = decoded(vmf_wire_get_cookie_xml(reply, cookie, xml, error));
    if (result != VMF_PHASE_DONE)
        g_prefix_error(error, "cannot begin the move of '%s': ", params->name);
    return result;
}

VmfPhaseResult
vmf_phases_prepare(VmfPhases *phases, const VmfPhaseParams *params, const char *uri,
                   const char *xml, GBytes *cookie, GBytes **cookie_out, GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    if (!check_cookie(cookie, "prepare", error))
        return VMF_PHASE_REFUSED;
    Params typed = destination_params(params, uri, xml);
    vmf_wire_put_params(args, typed.list, typed.n);
    vmf_wire_put_cookie(args, cookie);
    vmf_xdr_put_u32(args, destination_flags(params));
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_PREPARE, args, &reply, error);
    if (result == VMF_PHASE_DONE)
        result = decoded(vmf_wire_get_cookie_uri(reply, cookie_out, error));
    if (result != VMF_PHASE_DONE)
        g_prefix_error(error, "cannot prepare '%s' on this host: ", params->name);
    return result;
}

VmfPhaseResult
vmf_phases_perform(VmfPhases *phases, const VmfPhaseParams *params, const char *uri, GBytes *cookie,
                   GBytes **cookie_out, GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    if (!check_cookie(cookie, "perform", error))
        return VMF_PHASE_REFUSED;
    Params typed = source_params(params, uri);
    vmf_wire_put_domain(args, params->name, params->uuid);
    vmf_xdr_put_optional_string(args, NULL); /* dconnuri: only for libvirt's peer-to-peer */
    vmf_wire_put_params(args, typed.list, typed.n);
    vmf_wire_put_cookie(args, cookie);
    vmf_xdr_put_u32(args, source_flags(params));
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_PERFORM, args, &reply, error);
    if (result == VMF_PHASE_DONE)
        result = decoded(vmf_wire_get_cookie(reply, cookie_out, error));
    if (result != VMF_PHASE_DONE)
        g_prefix_error(error, "cannot copy the memory of '%s': ", params->name);
    return result;
}

/* No such domain, or one that is only defined. Keeps code and message of the call before. */
static gboolean
is_not_running(VmfPhases *phases, const char *uuid)
{
    int code = 0;
    gboolean active = TRUE;
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    vmf_wire_put_uuid(args, uuid);
    switch (vmf_rpc_call(phases->rpc, VMF_PROC_LOOKUP_BY_UUID, args, &reply, &code, NULL)) {
    case VMF_RPC_OK:
        return vmf_wire_get_domain_active(reply, uuid, &active, NULL) && !active;
    case VMF_RPC_ERROR:
        return code == VMF_LIBVIRT_NO_DOMAIN;
    case VMF_RPC_UNKNOWN:
        return FALSE;
    }
    g_assert_not_reached();
}

/*
 * Thrown away as asked (libvirt: "error 93"), or not there. When its QEMU died of the stream,
 * libvirt answers with the reason of that death, kept by name: so look.
 */
static gboolean
is_thrown_away(VmfPhases *phases, const char *uuid)
{
    return phases->last_code == VMF_LIBVIRT_MIGRATE_FINISH_OK ||
           phases->last_code == VMF_LIBVIRT_NO_DOMAIN || is_not_running(phases, uuid);
}

static VmfPhaseResult
throw_away(VmfPhases *phases, const VmfPhaseParams *params, GByteArray *args, GError **error)
{
    g_autoptr(GBytes) reply = NULL;
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_FINISH, args, &reply, error);
    if (result == VMF_PHASE_REFUSED && is_thrown_away(phases, params->uuid)) {
        g_clear_error(error);
        return VMF_PHASE_DONE;
    }
    if (result == VMF_PHASE_DONE) {
        g_set_error_literal(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "libvirtd says that it runs, though it was told to throw it away");
        result = VMF_PHASE_UNKNOWN;
    }
    g_prefix_error(error, "cannot throw away the prepared '%s' on this host: ", params->name);
    return result;
}

static VmfPhaseResult
let_run(VmfPhases *phases, const VmfPhaseParams *params, GByteArray *args, GBytes **cookie_out,
        GError **error)
{
    g_autoptr(GBytes) reply = NULL;
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_FINISH, args, &reply, error);
    if (result == VMF_PHASE_DONE)
        result = decoded(vmf_wire_get_domain_cookie(reply, params->uuid, cookie_out, error));
    if (result != VMF_PHASE_DONE)
        g_prefix_error(error, "cannot resume '%s' on this host: ", params->name);
    return result;
}

VmfPhaseResult
vmf_phases_finish(VmfPhases *phases, const VmfPhaseParams *params, GBytes *cookie,
                  gboolean cancelled, GBytes **cookie_out, GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    Params typed = destination_params(params, NULL, NULL);
    add_string(&typed, VIR_MIGRATE_PARAM_DEST_NAME, params->name);
    vmf_wire_put_params(args, typed.list, typed.n);
    vmf_wire_put_cookie(args, cookie);
    vmf_xdr_put_u32(args, destination_flags(params));
    vmf_xdr_put_u32(args, cancelled != FALSE);
    return cancelled ? throw_away(phases, params, args, error)
                     : let_run(phases, params, args, cookie_out, error);
}

VmfPhaseResult
vmf_phases_confirm(VmfPhases *phases, const VmfPhaseParams *params, GBytes *cookie,
                   gboolean cancelled, GError **error)
{
    g_autoptr(GByteArray) args = g_byte_array_new();
    g_autoptr(GBytes) reply = NULL;
    Params typed = source_params(params, NULL);
    vmf_wire_put_domain(args, params->name, params->uuid);
    vmf_wire_put_params(args, typed.list, typed.n);
    vmf_wire_put_cookie(args, cookie);
    vmf_xdr_put_u32(args, source_flags(params));
    vmf_xdr_put_u32(args, cancelled != FALSE);
    VmfPhaseResult result = call(phases, VMF_PROC_MIGRATE_CONFIRM, args, &reply, error);
    if (result != VMF_PHASE_DONE)
        g_prefix_error(error, "cannot %s '%s' on the source: ", cancelled ? "resume" : "end",
                       params->name);
    return result;
}
