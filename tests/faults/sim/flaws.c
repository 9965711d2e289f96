/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/faults/sim/flaws.h"

#include <string.h>

#define BIT(kind) (G_GUINT64_CONSTANT(1) << FAULT_##kind)
#define ANY       G_MAXUINT64

G_STATIC_ASSERT(SIM_N_FAULTS <= 64);

const SimFlaw sim_flaws[] = {
    {"no-disk-process", "I5", "", BIT(KILL_DISKS), "nobody starts a disk process that died again"},
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
