/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/access-check.h"

/*
 * Access checks as JSON lines: a question in, an answer out (vmferry acl eval --batch).
 *
 *     {"sd": HEX, "token": [SID…], "desired": "0x0012019f"}
 *     {"verdict": "grant|deny|unknown", "granted": "0x…", "ace": N|null, "reason": "…"}
 *
 * "sddl" instead of "sd"; optional "domain": SID (for SDDL's DA, DU …) and "complete": true (the
 * token holds the file server's own groups too). "desired" is a string, decimal or 0x…, or a
 * number. Any other name, a name twice and a missing one are errors: a question that is not
 * understood in full is not answered with grant or deny.
 */

/* Bounds: a descriptor has at most 2 lists of 64 KiB, a token of Windows at most 1,024 SIDs. */
#define VMF_ACCESS_BATCH_MAX_LINE (1024 * 1024)
#define VMF_ACCESS_BATCH_MAX_SIDS 4096

/** VmfAccessBatch - memory that is used again for each line */
typedef struct _VmfAccessBatch VmfAccessBatch;

VmfAccessBatch *vmf_access_batch_new(void);
void vmf_access_batch_free(VmfAccessBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfAccessBatch, vmf_access_batch_free)

/**
 * vmf_access_batch_line() - answer one line
 * @line:   @size bytes without line break, and a '\0' behind them; written into
 * @number: of the line, from 1, for messages
 * @out:    gets the answer and a line break
 *
 * Returns: whether the question was understood. If not, the answer is "unknown" and its reason
 *   names the line and what is wrong with it.
 */
gboolean
vmf_access_batch_line(VmfAccessBatch *batch, char *line, gsize size, guint64 number, GString *out);

/** vmf_access_batch_refuse() - the answer to a line that cannot be read at all */
void vmf_access_batch_refuse(guint64 number, const char *why, GString *out);

/** vmf_access_append_answer() - append an answer as one JSON object, without line break */
void
vmf_access_append_answer(const VmfSecurityDescriptor *sd, const VmfAccess *access, GString *out);

/** vmf_access_parse_mask() - "0x0012019f" or decimal, nothing around it, at most 32 bits */
gboolean vmf_access_parse_mask(const char *text, guint32 *mask);

/**
 * vmf_hex_decode() - hexadecimal digits, without white space
 * @out: room for @size / 2 bytes; may be @text itself
 *
 * Returns: %FALSE when there is an odd number of them, or another byte.
 */
gboolean vmf_hex_decode(const char *text, gsize size, guint8 *out);
