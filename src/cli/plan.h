/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "policy/facts.h"
#include "policy/report.h"

/*
 * A plan: what "vmferry check --save" found, and what that rests on. A JSON file, read again by
 * "vmferry migrate --plan":
 *
 *   {"schema": "vmferry.plan/1", "vm", "from", "to", "report": a "vmferry.check/1" object,
 *    "facts": a VmfFactCase, field by field (policy/facts.h)}
 */

/**
 * vmf_cli_plan_write() - @path anew, or not at all
 * @facts: the a{sv} of a VmfFactCase
 *
 * Returns: %FALSE with the error of writing, or VMF_ERROR_PROTOCOL: @facts are none.
 */
gboolean
vmf_cli_plan_write(const char *path, const VmfReportSet *set, GVariant *facts, GError **error);

/**
 * vmf_cli_plan_read() - the facts of a plan
 * @vm, @to: (out) (optional): for which VM and host it was made
 *
 * Returns: (transfer full): the a{sv} of a VmfFactCase, or %NULL with VMF_ERROR_CONFIG: no such
 *   file, too large, no plan, or one of another version, by the field that differs.
 */
GVariant *vmf_cli_plan_read(const char *path, gchar **vm, gchar **to, GError **error);
