/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * What is said on a line to a disk process (OpenLine of org.vmferry.Disk1.xml): an order and its
 * answer, one datagram each. An order is a verb's name and its arguments, GVariant "(sv)"; an
 * answer is an error's name, "" for none, its text, and the verb's results, "(ssv)". Pure.
 */

/* bytes of either; no verb that is said on a line comes near */
#define VMF_DISK_ORDER_MAX 16384

/** vmf_disk_order_encode() - @parameters: a tuple; taken if floating. Returns: VMF_ERROR_INTERNAL: too long */
GBytes *vmf_disk_order_encode(const char *verb, GVariant *parameters, GError **error);

/**
 * vmf_disk_order_decode() - what came, from whomever
 * @verb, @parameters: (out): owned by the caller
 *
 * Returns: VMF_ERROR_PROTOCOL: not of that form
 */
gboolean vmf_disk_order_decode(GBytes *bytes, gchar **verb, GVariant **parameters, GError **error);

/**
 * vmf_disk_answer_encode() - @results: a tuple of some numbers, taken if floating; NULL: it failed
 *   with @why, of whose text the first 4000 bytes are said
 */
GBytes *vmf_disk_answer_encode(GVariant *results, const GError *why);

/**
 * vmf_disk_answer_decode() - the results, of type @type
 *
 * Returns: (transfer full): NULL with the error that was sent, or with VMF_ERROR_PROTOCOL
 */
GVariant *vmf_disk_answer_decode(GBytes *bytes, const char *type, GError **error);
