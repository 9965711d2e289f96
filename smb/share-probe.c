/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-probe.h"

#include "smb/probe-kept.h"
#include "smb/probe-memory.h"
#include "smb/probe-process.h"
#include "smb/share-probe-wire.h"
#include "smb/share-url.h"
#include "src/base/error.h"

#include <string.h>

#define DEFAULT_TIMEOUT_MS 12000 /* less than a D-Bus call waits for an answer */
#define KEPT_SHARE         4 /* the part of it that a kept process has: then a fresh one is asked */

/* ---- what is asked ---- */

/* Of a file, or of a folder that may be the share's root. */
static VmfShareUrl *
parse(const VmfFactFile *file, GError **error)
{
    if (file->role != VMF_FACT_ROLE_FOLDER)
        return vmf_share_url_parse(file->url, error);
    g_autofree gchar *inside = g_strconcat(file->url, "/x", NULL);
    return vmf_share_url_parse(inside, error);
}

static VmfFactProbe *
new_probe(const VmfFactFile *file)
{
    VmfFactProbe *probe = vmf_fact_probe_new();
    vmf_fact_set(&probe->url, file->url);
    probe->folder = file->role == VMF_FACT_ROLE_FOLDER;
    return probe;
}

static gboolean
judge(const VmfLocalPolicy *policy, const VmfFactFile *file, guint before, VmfShareUrl **url,
      GError **error)
{
    *url = parse(file, error);
    if (*url == NULL ||
        !vmf_local_policy_judge_share(policy, (*url)->server, (*url)->share, file->url, error))
        return FALSE;
    if (before < VMF_SHARE_PROBE_MAX_FILES)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED, "a VM has at most %d files on shares",
                VMF_SHARE_PROBE_MAX_FILES);
    return FALSE;
}

/* A folder's list tells what no answer tells: who may add and delete (judge-access.c). */
static gchar *
want_descriptor(const VmfShareProbe *probe, const VmfFactFile *file)
{
    if (!probe->brief)
        return g_strdup(VMF_PROBE_LIST_READ);
    if (file->role != VMF_FACT_ROLE_FOLDER)
        return g_strdup(VMF_PROBE_LIST_DENIED);
    g_autofree gchar *stamp = vmf_probe_memory_stamp(file->url);
    return g_strdup(stamp[0] ? stamp : VMF_PROBE_LIST_READ);
}

/* Every file with a url gets its probe; those that may be asked for go into the request. */
static GVariant *
make_request(const VmfShareProbe *how, const VmfLocalPolicy *policy, const VmfFactVm *vm,
             GPtrArray *probes)
{
    GVariantBuilder files;
    guint n = 0;
    gboolean ask_clear = !how->brief;
    g_variant_builder_init(&files, G_VARIANT_TYPE("a(ssssbs)"));
    for (guint i = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        g_autoptr(VmfShareUrl) url = NULL;
        g_autoptr(GError) error = NULL;
        if (file->url[0] == '\0')
            continue;
        VmfFactProbe *probe = new_probe(file);
        g_ptr_array_add(probes, probe);
        probe->allowed = judge(policy, file, n, &url, &error);
        if (!probe->allowed) {
            vmf_fact_set(&probe->reason, error->message);
            continue;
        }
        const char *role = file->role == VMF_FACT_ROLE_FOLDER   ? "folder"
                           : file->role == VMF_FACT_ROLE_RECORD ? "record"
                                                                : "file";
        g_autofree gchar *list = want_descriptor(how, file);
        g_variant_builder_add(&files, "(ssssbs)", role, file->url, url->server, url->share,
                              file->writable && file->role != VMF_FACT_ROLE_FOLDER, list);
        ask_clear = ask_clear ||
                    vmf_probe_memory_encryption(url->server, url->share) == VMF_FACT_CRYPT_UNKNOWN;
        n++;
    }
    if (n == 0) {
        g_variant_builder_clear(&files);
        return NULL;
    }
    return g_variant_ref_sink(g_variant_new("(sba(ssssbs))", vm->uuid, ask_clear, &files));
}

/* ---- its answer ---- */

static gboolean
take_shares(GVariant *list, GPtrArray *shares, GError **error)
{
    for (gsize i = 0; i < g_variant_n_children(list); i++) {
        g_autoptr(GVariant) dict = g_variant_get_child_value(list, i);
        VmfFactShare *share = vmf_fact_share_from_variant(dict, error);
        if (share == NULL)
            return FALSE;
        g_ptr_array_add(shares, share);
        if (share->smb3 && share->encryption_problem[0] == '\0' &&
            share->encryption == VMF_FACT_CRYPT_UNKNOWN)
            share->encryption = vmf_probe_memory_encryption(share->server, share->share);
        else
            vmf_probe_memory_learn_share(share);
    }
    return TRUE;
}

/* None was read, and nothing says why: the one that is known has its stamp. */
static void
take_descriptor(VmfFactProbe *probe, const char *stamp)
{
    if (probe->descriptor[0] != '\0')
        vmf_probe_memory_learn_descriptor(probe, stamp);
    else if (probe->reason[0] == '\0' && probe->descriptor_problem[0] == '\0' &&
             probe->read != VMF_FACT_ANSWER_MISSING && !vmf_probe_memory_recall(probe, stamp))
        vmf_fact_set(&probe->descriptor_problem, "it was changed just now");
}

/* The answers are in the order of the request, and say each for which file they are. */
static gboolean
take_probes(GVariant *list, GPtrArray *probes, GError **error)
{
    gsize taken = 0;
    for (guint i = 0; i < probes->len; i++) {
        VmfFactProbe *asked = g_ptr_array_index(probes, i);
        if (!asked->allowed)
            continue;
        g_autoptr(GVariant) dict = NULL;
        g_autofree gchar *stamp = NULL;
        if (taken < g_variant_n_children(list))
            g_variant_get_child(list, taken++, "(s@a{sv})", &stamp, &dict);
        g_autoptr(VmfFactProbe) answer = dict != NULL ? vmf_fact_probe_from_variant(dict, error)
                                                      : NULL;
        if (answer == NULL || strcmp(answer->url, asked->url) != 0) {
            if (error != NULL && *error == NULL)
                g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                            "vmferry-share-probe says nothing about '%s'", asked->url);
            return FALSE;
        }
        answer->allowed = TRUE;
        answer->folder = asked->folder;
        take_descriptor(answer, stamp);
        vmf_fact_probe_free(asked);
        probes->pdata[i] = g_steal_pointer(&answer);
    }
    return TRUE;
}

static gboolean
take_answer(GVariant *answer, VmfFactView *view, GError **error)
{
    g_autoptr(GVariant) shares = g_variant_get_child_value(answer, 0);
    g_autoptr(GVariant) probes = g_variant_get_child_value(answer, 1);
    g_autoptr(GVariant) record = g_variant_get_child_value(answer, 2);
    g_autoptr(VmfFactOwner) owner = vmf_fact_owner_from_variant(record, error);
    if (owner == NULL || !take_shares(shares, view->shares, error) ||
        !take_probes(probes, view->probes, error))
        return FALSE;
    VmfFactOwner empty = view->owner;
    view->owner = *owner;
    *owner = empty;
    return TRUE;
}

/* Nothing was learned: each file that was asked for says why. */
static void
give_up(VmfFactView *view, const char *why)
{
    vmf_fact_set(&view->owner.reason, why);
    for (guint i = 0; i < view->probes->len; i++) {
        VmfFactProbe *probe = g_ptr_array_index(view->probes, i);
        if (probe->allowed)
            vmf_fact_set(&probe->reason, why);
    }
}

/* Each share of the VM has its facts, also those that were not connected to. */
static void
complete_shares(const VmfFactVm *vm, const char *why, VmfFactView *view)
{
    for (guint i = 0, n = 0; i < vm->files->len; i++) {
        const VmfFactFile *file = g_ptr_array_index(vm->files, i);
        if (file->url[0] == '\0')
            continue;
        const VmfFactProbe *probe = g_ptr_array_index(view->probes, n++);
        g_autoptr(VmfShareUrl) url = parse(file, NULL);
        gboolean known = url == NULL;
        for (guint j = 0; !known && j < view->shares->len; j++) {
            const VmfFactShare *share = g_ptr_array_index(view->shares, j);
            known = strcmp(share->server, url->server) == 0 &&
                    g_ascii_strcasecmp(share->share, url->share) == 0;
        }
        if (known)
            continue;
        VmfFactShare *share = vmf_fact_share_new();
        vmf_fact_set(&share->server, url->server);
        vmf_fact_set(&share->share, url->share);
        vmf_fact_set(&share->reason, probe->reason[0] != '\0' ? probe->reason : why);
        g_ptr_array_add(view->shares, share);
    }
}

static VmfProbeCall
call_of(const VmfShareProbe *probe, GVariant *request)
{
    return (VmfProbeCall){
        .request = request,
        .answer_type = VMF_PROBE_ANSWER,
        .answer_max = VMF_PROBE_ANSWER_MAX,
        .timeout_ms = probe->timeout_ms != 0 ? probe->timeout_ms : DEFAULT_TIMEOUT_MS,
        .keep = probe->brief,
    };
}

/* ---- a process that is there from the move before ---- */

static gboolean
went_well(const VmfFactProbe *probe)
{
    gboolean write_ok = probe->write == VMF_FACT_ANSWER_OK ||
                        probe->write == VMF_FACT_ANSWER_HELD ||
                        probe->write == VMF_FACT_ANSWER_NOT_TRIED;
    return probe->allowed && probe->reason[0] == '\0' && probe->problem[0] == '\0' &&
           probe->read == VMF_FACT_ANSWER_OK && write_ok &&
           (!probe->folder || probe->descriptor_problem[0] == '\0');
}

static gboolean
all_well(const VmfFactView *view)
{
    gboolean well = view->owner.reason[0] == '\0';
    for (guint i = 0; i < view->shares->len; i++)
        well = well && ((const VmfFactShare *)view->shares->pdata[i])->smb3;
    for (guint i = 0; i < view->probes->len; i++)
        well = well && went_well(view->probes->pdata[i]);
    return well;
}

static void
swap(VmfFactView *a, VmfFactView *b)
{
    VmfFactView before = *a;
    a->shares = b->shares;
    a->probes = b->probes;
    a->owner = b->owner;
    b->shares = before.shares;
    b->probes = before.probes;
    b->owner = before.owner;
}

/* Returns: FALSE: nothing is known yet; a fresh process is to be asked */
static gboolean
ask_kept(const VmfShareProbe *probe, const VmfLocalPolicy *policy, const VmfFactVm *vm,
         VmfFactView *view)
{
    gboolean ask_clear = TRUE;
    g_autoptr(VmfFactView) seen = vmf_fact_view_new();
    g_autoptr(GVariant) request = make_request(probe, policy, vm, seen->probes);
    if (request)
        g_variant_get_child(request, 1, "b", &ask_clear);
    if (ask_clear) /* takes another configuration of libsmbclient, which is a process's */
        return FALSE;
    VmfProbeCall call = call_of(probe, request);
    call.timeout_ms /= KEPT_SHARE;
    g_autoptr(GVariant) answer = vmf_probe_kept_ask(probe, &call);
    if (answer == NULL || !take_answer(answer, seen, NULL) || !all_well(seen))
        return FALSE;
    swap(view, seen);
    return TRUE;
}

/* ---- the whole ---- */

void
vmf_share_probe_run(const VmfShareProbe *probe, const VmfLocalPolicy *policy, const VmfFactVm *vm,
                    VmfFactView *view)
{
    if (probe->brief && ask_kept(probe, policy, vm, view))
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) request = make_request(probe, policy, vm, view->probes), answer = NULL;
    if (request) {
        VmfProbeCall call = call_of(probe, request);
        answer = vmf_probe_process_run(probe, &call, &error);
    }
    if (request == NULL)
        vmf_fact_set(&view->owner.reason, "no file of the VM is on a share that may be asked");
    else if (answer == NULL || !take_answer(answer, view, &error))
        give_up(view, error != NULL ? error->message : "vmferry-share-probe gave no answer");
    complete_shares(vm, error != NULL ? error->message : "", view);
}
