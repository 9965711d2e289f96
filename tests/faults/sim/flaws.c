/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/flaws.h"

#include <string.h>

#define BIT(kind) (G_GUINT64_CONSTANT(1) << FAULT_##kind)
#define ANY       G_MAXUINT64
#define LIBVIRTD                                                                                   \
    (BIT(KILL_LIBVIRTD) | BIT(TERM_LIBVIRTD) | BIT(STOP_LIBVIRTD) | BIT(LOSE_PHASE_REPLY))
#define VMFERRYD (BIT(KILL_VMFERRYD) | BIT(STOP_VMFERRYD) | BIT(JOURNAL_OLD) | BIT(JOURNAL_OLDER))
#define PEERS                                                                                      \
    (BIT(CUT_PEERS) | BIT(DROP_PEERS) | BIT(DROP_PEERS_LATE) | BIT(ISOLATE) | BIT(POWER) |         \
     BIT(REPEAT_CALL) | VMFERRYD)
#define OLD_JOURNAL (BIT(JOURNAL_OLD) | BIT(JOURNAL_OLDER))

G_STATIC_ASSERT(SIM_N_FAULTS <= 64);

const SimFlaw sim_flaws[] = {
    {"no-disk-process", "I5", "", BIT(KILL_DISKS), "nobody starts a disk process that died again"},
    {"old-journal", "", "", OLD_JOURNAL,
     "a journal that was set back is believed where the record should be asked"},
    {"unreachable-taken-for-silence", "I5", "", LIBVIRTD,
     "mended for single faults; left: a libvirtd killed beside two other faults, seed 78570"},
    {"await-after-reboot", "I5", "", BIT(POWER),
     "AwaitRunning of a move that ended while the host was down is never answered"},
    {"lost-with-an-idle-destination", "I6", "Confirm)", BIT(POWER) | BIT(KILL_DISKS),
     "the destination's host (or disk process) dies between claim and Finish; recovery without a "
     "disk process calls the move aborted, and the source ends its good copy"},
    {"lost-with-an-idle-destination", "I6", "killed by vmferryd)", BIT(POWER) | BIT(KILL_DISKS),
     "the same, after libvirtd was restarted as well"},
    {"source-qemu-gone", "I5", "", BIT(KILL_QEMU) | BIT(POWER),
     "the source's QEMU died while the move was decided: the job waits for ever for its disk "
     "process, or ends as 'paused-waiting' with an open journal entry"},
    {"returned-not-noted", "abort", "", VMFERRYD,
     "vmferryd killed between the record 'returned' and its journal: each start of it aborts"},
    {"offer-outlives-connection", "I5", "a journal entry is still open", PEERS,
     "a connection that ends while Offer is in vmf_incoming_new() leaves a move that nobody ends"},
    {"journal-cannot-be-written", "abort", "", BIT(JOURNAL),
     "recovery with a journal that cannot be written runs into the state table's assertion"},
    {"gate-never-opens", "I5", "gate of the host that runs the guest", VMFERRYD | BIT(POWER),
     "a restarted destination whose Take fails lets the guest run all the same, and nobody opens "
     "its gate later"},
};
const guint sim_n_flaws = G_N_ELEMENTS(sim_flaws);

int
sim_find_flaw(const char *rule, const char *text, guint64 struck)
{
    for (guint i = 0; i < sim_n_flaws; i++) {
        const SimFlaw *flaw = &sim_flaws[i];
        if ((flaw->rule[0] == '\0' || strcmp(flaw->rule, rule) == 0) &&
            strstr(text, flaw->text) != NULL && (flaw->kinds == ANY || (struck & flaw->kinds)))
            return (int)i;
    }
    return -1;
}
