/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "tests/faults/sim/world.h"

/*
 * Flaws of vmferry that the simulator has found and that are not mended yet. A violation that
 * looks like one is counted apart, so that a new one is seen. Each is removed from flaws.c when it
 * is mended: then its violations count.
 */

/**
 * SimFlaw - how a known flaw shows
 * @rule:  "" any; "abort": an assertion of the product
 * @text:  part of the violation's text
 * @kinds: bits of SimFaultKind, one of which has struck
 */
typedef struct {
    const char *name, *rule, *text;
    guint64 kinds;
    const char *what;
} SimFlaw;

extern const SimFlaw sim_flaws[];
extern const guint sim_n_flaws;

/** sim_find_flaw() - Returns: its index, or -1: it is a new one */
int sim_find_flaw(const char *rule, const char *text, guint64 struck);
