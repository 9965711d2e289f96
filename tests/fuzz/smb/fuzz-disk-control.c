/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What comes over the control socket of a disk process or its lines, from either side. The first
 * byte picks the message; the rest is the body of its a{sv}, or the datagram, as it is on the wire.
 * What is understood says the same when it is written and read again.
 */
#include "smb/disk-order.h"
#include "smb/disk-wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static void
check_state(GVariant *facts)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfDiskState) state = vmf_disk_wire_to_state(facts, &error);
    g_assert_true((state == NULL) == (error != NULL));
    if (state == NULL)
        return;
    g_autoptr(GVariant) again = g_variant_ref_sink(vmf_disk_wire_from_state(state));
    g_autoptr(VmfDiskState) same = vmf_disk_wire_to_state(again, NULL);
    g_assert_cmpuint(same->n_disks, ==, state->n_disks);
    g_assert_cmpstr(same->trouble, ==, state->trouble);
    g_assert_true(same->epoch == state->epoch && same->gate == state->gate);
}

static void
check_record(GVariant *facts)
{
    g_autoptr(GError) error = NULL;
    gboolean present = FALSE;
    VmfOwnerRecord record;
    memset(&record, 0, sizeof record);
    gboolean ok = vmf_disk_wire_to_record(facts, &present, &record, &error);
    g_assert_true(ok == (error == NULL));
    if (!ok || !present)
        return;
    VmfOwnerRecord same = {0};
    g_autoptr(GVariant) again = g_variant_ref_sink(vmf_disk_wire_from_record(&record, FALSE));
    g_assert_true(vmf_disk_wire_to_record(again, &present, &same, NULL) && present);
    g_assert_cmpstr(same.owner_sid, ==, record.owner_sid);
    g_assert_cmpmem(same.disks_digest, 32, record.disks_digest, 32);
}

static void
check_orders(GVariant *facts)
{
    VmfOwnerExpect expected = {0};
    VmfOwnerNext next = {0};
    VmfDiskTimes times;
    gboolean given = FALSE;
    g_autoptr(GError) error = NULL;
    g_assert_true(vmf_disk_wire_to_expected(facts, &expected, &error) == (error == NULL));
    g_clear_error(&error);
    gboolean ok = vmf_disk_wire_to_next(facts, &given, &next, &error);
    g_assert_true(ok == (error == NULL));
    if (ok && given) {
        g_autoptr(GVariant) again = g_variant_ref_sink(vmf_disk_wire_from_next(&next));
        VmfOwnerNext same = {0};
        g_assert_true(vmf_disk_wire_to_next(again, &given, &same, NULL) && given);
        g_assert_cmpuint(same.state, ==, next.state);
        g_assert_true(same.epoch == next.epoch);
    }
    vmf_disk_wire_to_times(facts, &times);
}

static void
check_datagram(GBytes *bytes)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *verb = NULL;
    g_autoptr(GVariant) parameters = NULL;
    gboolean ok = vmf_disk_order_decode(bytes, &verb, &parameters, &error);
    g_assert_true(ok == (error == NULL));
    if (ok) {
        g_autoptr(GBytes) again = vmf_disk_order_encode(verb, parameters, NULL);
        g_assert_true(g_bytes_equal(again, bytes));
    }
    g_clear_error(&error);
    g_autoptr(GVariant) results = vmf_disk_answer_decode(bytes, "(a{sv})", &error);
    g_assert_true((results == NULL) == (error != NULL));
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    if (size == 0)
        return 0;
    g_autoptr(GBytes) body = g_bytes_new(data + 1, size - 1);
    if (data[0] >= 0xf0) {
        check_datagram(body);
        return 0;
    }
    g_autoptr(GVariant)
        facts = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, body, FALSE));
    if (data[0] % 3 == 0)
        check_state(facts);
    else if (data[0] % 3 == 1)
        check_record(facts);
    else
        check_orders(facts);
    return 0;
}
