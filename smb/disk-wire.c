/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-wire.h"

#include "src/base/error.h"

#include <string.h>

static gboolean
refuse(GError **error, const char *what, const char *key)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "control socket of a disk process: %s lacks '%s', or it is of the wrong kind", what,
                key);
    return FALSE;
}

static void
put_text(GVariantDict *dict, const char *key, const char *text)
{
    g_variant_dict_insert(dict, key, "s", text != NULL ? text : "");
}

static void
put_u64(GVariantDict *dict, const char *key, guint64 value)
{
    g_variant_dict_insert(dict, key, "t", value);
}

static const char *
get_text(GVariant *facts, const char *key)
{
    const char *text = NULL;
    g_variant_lookup(facts, key, "&s", &text);
    return text;
}

static guint64
get_u64(GVariant *facts, const char *key)
{
    guint64 value = 0;
    g_variant_lookup(facts, key, "t", &value);
    return value;
}

static guint
get_u32(GVariant *facts, const char *key)
{
    guint value = 0;
    g_variant_lookup(facts, key, "u", &value);
    return value;
}

static gboolean
get_flag(GVariant *facts, const char *key)
{
    gboolean value = FALSE;
    g_variant_lookup(facts, key, "b", &value);
    return value;
}

/* --- Describe --- */

void
vmf_disk_state_free(VmfDiskState *state)
{
    if (state == NULL)
        return;
    for (guint i = 0; i < state->n_disks; i++) {
        g_free(state->disks[i].target);
        g_free(state->disks[i].url);
    }
    g_free(state->disks);
    g_free(state->trouble);
    g_free(state);
}

GVariant *
vmf_disk_wire_from_state(const VmfDiskState *state)
{
    GVariantDict dict;
    GVariantBuilder disks;

    g_variant_builder_init(&disks, G_VARIANT_TYPE("a(sst)"));
    for (guint i = 0; i < state->n_disks; i++)
        g_variant_builder_add(&disks, "(sst)", state->disks[i].target, state->disks[i].url,
                              state->disks[i].size);
    g_variant_dict_init(&dict, NULL);
    put_text(&dict, "gate", vmf_gate_state_name(state->gate));
    g_variant_dict_insert(&dict, "held", "b", state->held);
    put_u64(&dict, "epoch", state->epoch);
    put_text(&dict, "trouble", state->trouble);
    g_variant_dict_insert(&dict, "foreign", "b", state->foreign);
    g_variant_dict_insert_value(&dict, "disks", g_variant_builder_end(&disks));
    g_variant_dict_insert(&dict, "in-flight", "u", state->in_flight);
    g_variant_dict_insert(&dict, "waiting", "u", state->waiting);
    g_variant_dict_insert(&dict, "ticket-end", "x", state->ticket_end);
    put_u64(&dict, "read-bytes", state->read_bytes);
    put_u64(&dict, "written-bytes", state->written_bytes);
    put_u64(&dict, "written-since-open", state->written_since_open);
    g_variant_dict_insert(&dict, "sessions", "u", state->sessions);
    g_variant_dict_insert(&dict, "pid", "u", (guint)state->pid);
    return g_variant_dict_end(&dict);
}

static void
get_disks(GVariant *facts, VmfDiskState *state)
{
    g_autoptr(GVariant) disks = g_variant_lookup_value(facts, "disks", G_VARIANT_TYPE("a(sst)"));
    state->n_disks = disks != NULL ? (guint)g_variant_n_children(disks) : 0;
    state->disks = g_new0(VmfDiskFact, state->n_disks);
    for (guint i = 0; i < state->n_disks; i++)
        g_variant_get_child(disks, i, "(sst)", &state->disks[i].target, &state->disks[i].url,
                            &state->disks[i].size);
}

VmfDiskState *
vmf_disk_wire_to_state(GVariant *facts, GError **error)
{
    g_autoptr(VmfDiskState) state = g_new0(VmfDiskState, 1);
    if (!vmf_gate_state_from_name(get_text(facts, "gate"), &state->gate)) {
        refuse(error, "its description", "gate");
        return NULL;
    }
    state->held = get_flag(facts, "held");
    state->epoch = get_u64(facts, "epoch");
    state->trouble = g_strdup(get_text(facts, "trouble"));
    if (state->trouble == NULL)
        state->trouble = g_strdup("");
    state->foreign = get_flag(facts, "foreign");
    get_disks(facts, state);
    state->in_flight = get_u32(facts, "in-flight");
    state->waiting = get_u32(facts, "waiting");
    g_variant_lookup(facts, "ticket-end", "x", &state->ticket_end);
    state->read_bytes = get_u64(facts, "read-bytes");
    state->written_bytes = get_u64(facts, "written-bytes");
    state->written_since_open = get_u64(facts, "written-since-open");
    state->sessions = get_u32(facts, "sessions");
    state->pid = (pid_t)get_u32(facts, "pid");
    return g_steal_pointer(&state);
}

/* --- ReadRecord --- */

static gchar *
digest_to_text(const guint8 digest[32])
{
    GString *text = g_string_sized_new(64);
    for (guint i = 0; i < 32; i++)
        g_string_append_printf(text, "%02x", digest[i]);
    return g_string_free(text, FALSE);
}

static gboolean
digest_from_text(const char *text, guint8 digest[32])
{
    if (text == NULL || strlen(text) != 64)
        return FALSE;
    for (guint i = 0; i < 64; i++)
        if (!g_ascii_isxdigit(text[i]))
            return FALSE;
    for (guint i = 0; i < 32; i++)
        digest[i] = (guint8)(g_ascii_xdigit_value(text[2 * i]) * 16 +
                             g_ascii_xdigit_value(text[2 * i + 1]));
    return TRUE;
}

GVariant *
vmf_disk_wire_from_record(const VmfOwnerRecord *record, gboolean mine)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "present", "b", record != NULL);
    if (record == NULL)
        return g_variant_dict_end(&dict);
    g_autofree gchar *digest = digest_to_text(record->disks_digest);
    put_text(&dict, "vm-uuid", record->vm_uuid);
    put_u64(&dict, "sequence", record->sequence);
    put_u64(&dict, "epoch", record->epoch);
    put_text(&dict, "owner-sid", record->owner_sid);
    put_text(&dict, "owner-account", record->owner_account);
    put_text(&dict, "boot-id", record->boot_id);
    put_text(&dict, "state", vmf_owner_state_name(record->state));
    put_text(&dict, "migration-id", record->migration_id);
    put_text(&dict, "reason", record->reason);
    put_text(&dict, "disks-digest", digest);
    g_variant_dict_insert(&dict, "written-at", "x", record->written_at_us);
    g_variant_dict_insert(&dict, "mine", "b", mine);
    return g_variant_dict_end(&dict);
}

static gboolean
copy_text(GVariant *facts, const char *key, char *field, gsize size, GError **error)
{
    const char *text = get_text(facts, key);
    return (text != NULL && g_strlcpy(field, text, size) < size) ||
           refuse(error, "the owner record", key);
}

gboolean
vmf_disk_wire_to_record(GVariant *facts, gboolean *present, VmfOwnerRecord *record, GError **error)
{
    VmfOwnerRecord out = {0};
    gboolean there = FALSE;
    if (!g_variant_lookup(facts, "present", "b", &there))
        return refuse(error, "the owner record", "present");
    *present = there;
    if (!there)
        return TRUE;
#define COPY(key, field) copy_text(facts, key, out.field, sizeof out.field, error)
    if (!COPY("vm-uuid", vm_uuid) || !COPY("owner-sid", owner_sid) ||
        !COPY("owner-account", owner_account) || !COPY("boot-id", boot_id) ||
        !COPY("migration-id", migration_id) || !COPY("reason", reason))
        return FALSE;
#undef COPY
    if (!vmf_owner_state_from_name(get_text(facts, "state"), &out.state))
        return refuse(error, "the owner record", "state");
    if (!digest_from_text(get_text(facts, "disks-digest"), out.disks_digest))
        return refuse(error, "the owner record", "disks-digest");
    if (!g_variant_lookup(facts, "epoch", "t", &out.epoch) ||
        !g_variant_lookup(facts, "sequence", "t", &out.sequence))
        return refuse(error, "the owner record", "epoch");
    g_variant_lookup(facts, "written-at", "x", &out.written_at_us);
    *record = out;
    return TRUE;
}

/* --- Claim, Release --- */

GVariant *
vmf_disk_wire_from_expected(const VmfOwnerExpect *expected)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    put_text(&dict, "owner-sid", expected->owner_sid);
    put_u64(&dict, "epoch", expected->epoch);
    return g_variant_dict_end(&dict);
}

gboolean
vmf_disk_wire_to_expected(GVariant *facts, VmfOwnerExpect *expected, GError **error)
{
    if (!g_variant_lookup(facts, "epoch", "t", &expected->epoch))
        return refuse(error, "what is expected", "epoch");
    expected->owner_sid = get_text(facts, "owner-sid");
    return TRUE;
}

GVariant *
vmf_disk_wire_from_next(const VmfOwnerNext *next)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    if (next == NULL)
        return g_variant_dict_end(&dict);
    put_u64(&dict, "epoch", next->epoch);
    put_text(&dict, "state", vmf_owner_state_name(next->state));
    put_text(&dict, "migration-id", next->migration_id);
    put_text(&dict, "reason", next->reason);
    if (next->owner_sid != NULL)
        put_text(&dict, "owner-sid", next->owner_sid);
    if (next->owner_account != NULL)
        put_text(&dict, "owner-account", next->owner_account);
    return g_variant_dict_end(&dict);
}

gboolean
vmf_disk_wire_to_next(GVariant *facts, gboolean *given, VmfOwnerNext *next, GError **error)
{
    *given = g_variant_n_children(facts) > 0;
    if (!*given)
        return TRUE;
    if (!g_variant_lookup(facts, "epoch", "t", &next->epoch))
        return refuse(error, "what the record shall say", "epoch");
    if (!vmf_owner_state_from_name(get_text(facts, "state"), &next->state))
        return refuse(error, "what the record shall say", "state");
    next->migration_id = get_text(facts, "migration-id");
    next->reason = get_text(facts, "reason");
    next->owner_sid = get_text(facts, "owner-sid");
    next->owner_account = get_text(facts, "owner-account");
    return TRUE;
}

GVariant *
vmf_disk_wire_from_times(const VmfDiskTimes *times)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    put_u64(&dict, "open-us", times->open_us);
    put_u64(&dict, "record-us", times->record_us);
    put_u64(&dict, "drain-us", times->drain_us);
    put_u64(&dict, "close-us", times->close_us);
    return g_variant_dict_end(&dict);
}

void
vmf_disk_wire_to_times(GVariant *facts, VmfDiskTimes *times)
{
    *times = (VmfDiskTimes){
        .open_us = get_u64(facts, "open-us"),
        .record_us = get_u64(facts, "record-us"),
        .drain_us = get_u64(facts, "drain-us"),
        .close_us = get_u64(facts, "close-us"),
    };
}
