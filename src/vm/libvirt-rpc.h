/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt's wire protocol, as much of it as the migration phases need.
 *
 * Frame: u32 length (itself included), u32 × 6 (program 0x20008086, version 1, procedure, type,
 * serial, status), XDR body (RFC 4506). docs/support.rst of libvirt calls it a long-term stable
 * ABI and own clients supported. Sources: src/rpc/virnetprotocol.x, src/remote/remote_protocol.x.
 *
 * Failure model. The peer is the local libvirtd, but it is read like a stranger: length, program,
 * counts and strings are checked before use. Events and replies to other serials are skipped (a
 * predecessor's calls on an adopted socket). A frame is taken off the socket by as few reads as
 * the kernel allows, so that a killed reader does not leave half a frame to its successor.
 */
#pragma once

#include <gio/gio.h>

typedef struct VmfRpc VmfRpc;

typedef enum {
    VMF_RPC_OK,
    VMF_RPC_ERROR,   /* libvirtd answered with an error */
    VMF_RPC_UNKNOWN, /* no answer, or none that makes sense: the outcome is not known */
} VmfRpcResult;

/** vmf_rpc_connect() - a connected, not yet opened socket. VMF_ERROR_UNREACHABLE, _DENIED */
VmfRpc *vmf_rpc_connect(const char *socket_path, GError **error);
/** vmf_rpc_adopt() - @fd: (transfer full): taken also on failure */
VmfRpc *vmf_rpc_adopt(int fd, GError **error);
void vmf_rpc_free(VmfRpc *rpc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfRpc, vmf_rpc_free)

int vmf_rpc_fd(const VmfRpc *rpc); /* owned by @rpc */
/** vmf_rpc_is_connected() - the other end is open, and every call so far had an outcome */
gboolean vmf_rpc_is_connected(const VmfRpc *rpc);
void vmf_rpc_set_cancellable(VmfRpc *rpc, GCancellable *cancellable);

/**
 * vmf_rpc_call() - one procedure, one reply
 * @args:  (nullable): encoded arguments
 * @reply: (out) (transfer full): the body of the reply, on VMF_RPC_OK
 * @code:  (out): libvirt's error number, on VMF_RPC_ERROR
 *
 * @error on ERROR: libvirt's text as it is, in VMF_ERROR, code by vmf_libvirt_error_code();
 * on UNKNOWN: UNREACHABLE or PROTOCOL. After UNKNOWN every further call is UNKNOWN.
 */
VmfRpcResult vmf_rpc_call(VmfRpc *rpc, guint32 procedure, GByteArray *args, GBytes **reply,
                          int *code, GError **error);
