/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/directory.h"
#include "auth/host-identity.h"
#include "auth/ticket-keeper.h"
#include "policy/local-policy.h"
#include "src/channel/channel.h"
#include "src/channel/holder.h"
#include "src/migrate/journal.h"
#include "src/migrate/turns.h"
#include "src/vm/host.h"

/** VmfContext - what every move on this host shares; made by vmferryd, outlives all moves */
typedef struct {
    const VmfLocalPolicy *policy;
    const VmfHostIdentity *me;
    const char *sid;     /* of this host's computer account */
    const char *run_dir; /* "/run/vmferry" */
    VmfTicketKeeper *smb_ticket;
    VmfDirectory *directory;
    VmfHost *host;
    VmfJournal *journal;
    VmfTurns *turns;
    VmfChannelStreams *streams;
    VmfHolder *holder; /* of the connections to libvirt that drive moves, by migration */
    VmfDoor *door;     /* through which connections to other hosts are made */
    /* told, in any thread, that the VM's disk process was started or found, or is not needed any
       more (it may still be there, or be coming up); may be NULL */
    void (*disks_started)(gpointer keeper, const char *uuid);
    void (*disks_ended)(gpointer keeper, const char *uuid);
    gpointer keeper;
} VmfContext;
