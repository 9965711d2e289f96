/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/migrate/context.h"

/*
 * `vmferry recover`: start a VM whose host is dead, from what lies on the share.
 *
 * Theory of operation. Nobody's word is needed that the owner is dead: as long as it lives, its
 * handles are open on the file server, and the server refuses a second writer. So:
 *
 *   find       the VM's folder on the allowed shares: owner record and domain.xml, which is judged
 *              like a definition from another host
 *   ask        the owner's vmferryd: if it answers, it is not dead, and the VM is to be moved
 *   claim      all disks deny-write, again and again until the server has dropped the dead host;
 *              then the record: (this host, e+1, owned). From here a returning owner finds a foreign
 *              record, and ends its copy
 *   quarantine the dead host's last writes, held up in the server, may still land
 *   take       the record: (this host, e+2, running); the gate opens; define; start
 *
 * A VM that was shut down (state "stopped"), or that is this host's own, is defined and started
 * without waiting.
 *
 * Failure model. Each step may be the last one: what is held stays held, and the next call goes on
 * from the record. State "owned" says that the quarantine was not seen to its end: nobody but
 * this function starts such a VM, and it waits again.
 */

/** VmfTakeOverTell - what is being waited for, for people; called by the thread that waits */
typedef void (*VmfTakeOverTell)(const char *text, gpointer data);

/**
 * vmf_take_over() - @vm: name, UUID, or the smb:// URL of the VM's folder
 *
 * Blocks, for as long as the share's administrator says that the server keeps a dead client's
 * locks and its writes may land, and a little more.
 *
 * Returns: (transfer full): what was done, in a sentence.
 *   VMF_ERROR_CONFIG       no such VM on the shares, it runs here, its definition does not fit this
 *                          host; there is no owner record
 *   VMF_ERROR_DENIED       the definition or a share is not allowed here
 *   VMF_ERROR_BUSY         its owner lives: it answers, or its files are still open at the server
 *   VMF_ERROR_UNREACHABLE  the share
 */
gchar *vmf_take_over(const VmfContext *context, const char *vm, VmfTakeOverTell tell, gpointer data,
                     GError **error);
