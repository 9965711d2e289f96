/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-verbs.h"

#include "smb/disk-wire.h"
#include "src/base/error.h"

#include <string.h>

static GVariant *
nothing_if(gboolean ok)
{
    return ok ? g_variant_new("()") : NULL;
}

static GVariant *
times_if(gboolean ok, const VmfDiskTimes *times)
{
    return ok ? g_variant_new("(@a{sv})", vmf_disk_wire_from_times(times)) : NULL;
}

static GVariant *
read_record(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    gboolean present = FALSE, mine = FALSE;
    VmfOwnerRecord record;
    if (!vmf_disk_set_read_record(set, &present, &record, &mine, error))
        return NULL;
    return g_variant_new("(@a{sv})", vmf_disk_wire_from_record(present ? &record : NULL, mine));
}

static GVariant *
probe(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    return nothing_if(vmf_disk_set_probe(set, error));
}

/* Claim, and with @open OpenGate after it. */
static GVariant *
become_owner(VmfDiskSet *set, GVariant *parameters, gboolean open, GError **error)
{
    g_autoptr(GVariant) expected_facts = NULL;
    g_autoptr(GVariant) next_facts = NULL;
    guint wait_ms = 0;
    gboolean given = FALSE;
    VmfOwnerExpect expected = {0};
    VmfOwnerNext next = {0};
    VmfDiskTimes times = {0};

    g_variant_get(parameters, "(@a{sv}@a{sv}u)", &expected_facts, &next_facts, &wait_ms);
    if (!vmf_disk_wire_to_expected(expected_facts, &expected, error) ||
        !vmf_disk_wire_to_next(next_facts, &given, &next, error))
        return NULL;
    if (!given) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "Claim: what to write is missing");
        return NULL;
    }
    return times_if(vmf_disk_set_claim(set, &expected, &next, wait_ms, &times, error) &&
                        (!open || vmf_disk_set_open_gate(set, next.epoch, error)),
                    &times);
}

static GVariant *
claim(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    return become_owner(set, parameters, FALSE, error);
}

static GVariant *
take(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    return become_owner(set, parameters, TRUE, error);
}

static GVariant *
open_gate(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    guint64 epoch = 0;
    g_variant_get(parameters, "(t)", &epoch);
    return nothing_if(vmf_disk_set_open_gate(set, epoch, error));
}

static GVariant *
release(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    g_autoptr(GVariant) next_facts = NULL;
    gboolean given = FALSE;
    VmfOwnerNext next = {0};
    VmfDiskTimes times = {0};

    g_variant_get(parameters, "(@a{sv})", &next_facts);
    return times_if(vmf_disk_wire_to_next(next_facts, &given, &next, error) &&
                        vmf_disk_set_release(set, given ? &next : NULL, &times, error),
                    &times);
}

static GVariant *
write_file(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    const char *name, *content;
    g_variant_get(parameters, "(&s&s)", &name, &content);
    return nothing_if(vmf_disk_set_write_file(set, name, content, error));
}

static GVariant *
read_file(VmfDiskSet *set, GVariant *parameters, GError **error)
{
    const char *name;
    g_variant_get(parameters, "(&s)", &name);
    g_autofree gchar *content = vmf_disk_set_read_file(set, name, error);
    return content != NULL ? g_variant_new("(s)", content) : NULL;
}

static const VmfDiskVerb verbs[] = {
    {"ReadRecord", "()", FALSE, read_record}, {"Probe", "()", FALSE, probe},
    {"Claim", "(a{sv}a{sv}u)", TRUE, claim},  {"Take", "(a{sv}a{sv}u)", TRUE, take},
    {"OpenGate", "(t)", FALSE, open_gate},    {"Release", "(a{sv})", TRUE, release},
    {"WriteFile", "(ss)", FALSE, write_file}, {"ReadFile", "(s)", FALSE, read_file},
};

const VmfDiskVerb *
vmf_disk_verb_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}
