/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"

/*
 * What share probes have learnt lately, for the check that a move makes while it begins.
 *
 * Two answers cost a probe most of its time, and the file server more: whether a share lets in who
 * offers no encryption (two connections more), and a security descriptor (libsmbclient asks for
 * it over a second connection, to the server's LSA service; Samba starts that service for it, half
 * a second of a processor). So a move takes the first from here for %VMF_PROBE_MEMORY_S seconds,
 * and the second for as long as the file is the same and has not been changed: setting a
 * descriptor sets the change time (MS-FSA 2.1.5.17). `vmferry check` always asks, and is learnt
 * from.
 *
 * All may be called from any thread. Bounded: what is too much is forgotten.
 */

#define VMF_PROBE_MEMORY_S 600

/** vmf_probe_memory_learn_share() - only a verdict is kept */
void vmf_probe_memory_learn_share(const VmfFactShare *share);

/** vmf_probe_memory_encryption() - Returns: of the last %VMF_PROBE_MEMORY_S seconds, or UNKNOWN */
VmfFactCrypt vmf_probe_memory_encryption(const char *server, const char *share);

/**
 * vmf_probe_memory_learn_descriptor() - of a probe that has read one
 * @stamp: what stands for file and change time; "" is not kept
 */
void vmf_probe_memory_learn_descriptor(const VmfFactProbe *probe, const char *stamp);

/** vmf_probe_memory_stamp() - Returns: (transfer full): of the descriptor that is known; "" for none */
gchar *vmf_probe_memory_stamp(const char *url);

/** vmf_probe_memory_recall() - Returns: %FALSE: not known with that stamp any more */
gboolean vmf_probe_memory_recall(VmfFactProbe *probe, const char *stamp);
