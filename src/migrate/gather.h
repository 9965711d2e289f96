/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "src/migrate/context.h"

/*
 * What this host knows: of itself, of another host, and of a VM as its own computer account sees it.
 *
 * Nothing here fails or changes anything: what cannot be found out is a fact with its reason. Blocks
 * up to about 25 s where the share does not answer; may be called from any thread.
 */

/**
 * VmfGatherPeer - the other host
 * @fqdn:        "hv2.lab.test"
 * @channel:     the connection to it; %NULL: there is none
 * @unreachable: then: why
 * @clock_us:    its clock, Unix µs, when @received_us was ours (monotonic); 0: not known
 */
typedef struct {
    const char *fqdn;
    VmfChannel *channel;
    const char *unreachable;
    gint64 clock_us, received_us;
} VmfGatherPeer;

/** vmf_gather_vm() - of a VM that runs here; @definition: (out): its migratable XML, or NULL */
VmfFactVm *vmf_gather_vm(const VmfContext *context, const char *uuid, gchar **definition);

/**
 * vmf_gather_host() - this host about itself; of its domains those that would meet @vm
 * @migration: (nullable): a move that is not counted among the busy slots
 */
void vmf_gather_host(const VmfContext *context, const VmfFactVm *vm, const char *migration,
                     gboolean brief, VmfFactHost *host);

/** vmf_gather_peer() - this host about another */
void vmf_gather_peer(const VmfContext *context, const VmfGatherPeer *peer, VmfFactPeer *facts);

/**
 * vmf_gather_view() - what this host sees of a VM
 * @definition: its migratable XML
 * @migration:  (nullable): a move of the VM that is not to be told as a job it is in
 * @brief:      for a move that begins: see VmfShareProbe
 */
void vmf_gather_view(const VmfContext *context, const VmfFactVm *vm, const char *definition,
                     const char *migration, gboolean brief, VmfFactView *view);

/**
 * vmf_gather_as_destination() - all of it about a VM that another host describes
 * @definition: untrusted; whatever it names, only allowed shares are connected to
 */
VmfFactSide *
vmf_gather_as_destination(const VmfContext *context, const char *definition, const char *migration,
                          gboolean brief, const VmfGatherPeer *peer);

/**
 * vmf_gather_arrival() - what a destination judges by itself (vmf_judge_arrival())
 * @definition: as it was written anew here
 * @vm, @here:  (inout): fresh; of @here: who it is, and ->machine. The share is not asked
 */
void vmf_gather_arrival(const VmfContext *context, const char *definition, const char *migration,
                        VmfFactVm *vm, VmfFactHost *here);
