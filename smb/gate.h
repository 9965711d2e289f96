/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

typedef enum {
    VMF_GATE_CLOSED,
    VMF_GATE_OPEN,
    VMF_GATE_DRAINING,
    VMF_GATE_FENCED,
    VMF_N_GATE_STATES
} VmfGateState;

/** vmf_gate_state_name() - "closed", "open", "draining", "fenced" */
const char *vmf_gate_state_name(VmfGateState state);

/** vmf_gate_state_from_name() - Returns: %FALSE when @name is none of them */
gboolean vmf_gate_state_from_name(const char *name, VmfGateState *state);
