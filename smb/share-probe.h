/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "policy/local-policy.h"

#include <sys/types.h>

/*
 * What this host's computer account sees of a VM's files on their shares.
 *
 * Operations. `vmferry-share-probe` is started for one VM, as the disk process's user and with its
 * ticket cache; it opens SMB sessions of its own, asks, answers and ends, or stays for the next move's
 * question (probe-kept.h). Its requests are those of
 * vmf_share_probe_ask() on its standard input, its answer comes on standard output (share-probe-wire.h).
 * It changes nothing on a share: each file is opened with the rights of its use and closed at once. For
 * that instant it cannot be taken deny-write; it is denied to nobody else.
 *
 * Only shares that this host's policy file allows are connected to, whoever named the file: a peer
 * must not be able to send our computer account to a server of its choice.
 *
 * Failure model. The process is killed when its time is up. Whatever goes wrong, with all files or
 * one, is a fact with its reason; nothing here fails.
 */

#define VMF_SHARE_PROBE_MAX_FILES 256

/**
 * VmfShareProbe - how to start the process
 * @program:    NULL: where it is installed
 * @run_dir:    NULL: /run/vmferry; a folder "probe-…" is made in it, and removed
 * @ccache:     file ticket cache, readable by @run_uid; NULL: @run_dir/smb.cc
 * @timeout_ms: 0: 12 s
 * @brief:      for a move that begins: what was learnt lately may serve (probe-memory.h), and a file's
 *              descriptor is read only when the server refuses access, to tell why
 * @run_uid, @run_gid: whom it runs as
 */
typedef struct {
    const char *program;
    const char *run_dir;
    const char *ccache;
    guint timeout_ms;
    gboolean brief;
    uid_t run_uid;
    gid_t run_gid;
} VmfShareProbe;

/**
 * vmf_share_probe_run() - gather @view->shares, ->probes and ->owner
 * @policy: which shares may be connected to
 * @vm:     uuid and files; those with a url are probed, the record among them is read
 * @view:   (inout): fresh from vmf_fact_view_new(); the rest of it is untouched
 *
 * Blocks, up to the time-out; may be called from any thread.
 */
void vmf_share_probe_run(const VmfShareProbe *probe, const VmfLocalPolicy *policy,
                         const VmfFactVm *vm, VmfFactView *view);
