/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"

/*
 * The memory stream of a move, between QEMU's unix socket and a channel.
 *
 *   source QEMU ──connects──► PATH (we listen) ──► channel ══► channel ──connects──► PATH (QEMU listens)
 *
 * Failure model. A cut channel ends QEMU's socket at once; QEMU then fails the migration, and the
 * phases say so. Nothing is judged here.
 */

typedef struct _VmfMemoryStream VmfMemoryStream;

/**
 * vmf_memory_stream_listen() - source: wait for QEMU of @uid on @path (qemu-socket.h) and pump it
 *   into @channel
 * @channel: (transfer full)
 *
 * One connection is taken; @path is removed afterwards. Returns at once: a thread waits.
 */
VmfMemoryStream *vmf_memory_stream_listen(VmfChannel *channel, const char *path, uid_t uid,
                                          gid_t gid, GError **error);

/**
 * vmf_memory_stream_join() - destination: connect to @path, where QEMU of @uid listens, and pump
 * @channel: (transfer full)
 */
VmfMemoryStream *
vmf_memory_stream_join(VmfChannel *channel, const char *path, uid_t uid, GError **error);

/** vmf_memory_stream_bytes() - plain bytes of memory that passed, the larger direction */
guint64 vmf_memory_stream_bytes(VmfMemoryStream *stream);

/** vmf_memory_stream_free() - cuts it when it still runs */
void vmf_memory_stream_free(VmfMemoryStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfMemoryStream, vmf_memory_stream_free)
