/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share-find.h"

#include "smb/probe-process.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/base/text.h"

#include <string.h>

#define SEARCH_MS 60000

/* Of what others have made on the shares a message quotes so much. */
#define TOLD_MAX   10
#define TOLD_BYTES 400

void
vmf_found_vm_free(VmfFoundVm *found)
{
    if (found == NULL)
        return;
    g_free(found->folder);
    g_free(found->uuid);
    g_free(found->name);
    g_free(found->definition);
    g_free(found->problem);
    g_free(found);
}

/* ---- the question ---- */

static gboolean
add_url(const VmfLocalPolicy *policy, const char *text, GVariantBuilder *places, GError **error)
{
    g_autofree gchar *inside = g_strconcat(text, g_str_has_suffix(text, "/") ? "x" : "/x", NULL);
    g_autoptr(VmfShareUrl) url = vmf_share_url_parse(inside, error);
    if (url == NULL || !vmf_local_policy_judge_share(policy, url->server, url->share, text, error))
        return FALSE;
    g_autofree gchar *folder = g_path_get_dirname(url->url);
    g_variant_builder_add(places, "s", folder);
    return TRUE;
}

static GVariant *
make_request(const VmfLocalPolicy *policy, const char *vm, GError **error)
{
    gboolean is_url = g_str_has_prefix(vm, "smb://");
    GVariantBuilder places;
    g_variant_builder_init(&places, G_VARIANT_TYPE("as"));
    if (is_url && !add_url(policy, vm, &places, error)) {
        g_variant_builder_clear(&places);
        return NULL;
    }
    for (guint i = 0; !is_url && i < policy->shares->len; i++) {
        const VmfShareRule *rule = policy->shares->pdata[i];
        g_autofree gchar *root = g_strdup_printf("smb://%s/%s", rule->server, rule->share);
        g_variant_builder_add(&places, "s", root);
    }
    return g_variant_ref_sink(g_variant_new("(sas)", is_url ? "" : vm, &places));
}

/* ---- the answer ---- */

/* The process looks for the name in the text; this is what the text says. */
static gchar *
name_of(const char *definition)
{
    const char *start = strstr(definition, "<name>");
    const char *end = start ? strstr(start, "</name>") : NULL;
    return end ? g_strndup(start + 6, (gsize)(end - start - 6)) : g_strdup("");
}

static VmfFoundVm *
read_one(GVariant *item)
{
    VmfFoundVm *found = g_new0(VmfFoundVm, 1);
    g_autoptr(GVariant) bytes = NULL;
    g_autoptr(GError) error = NULL;
    gsize size;
    guint slot;
    g_variant_get(item, "(sss@ays)", &found->folder, &found->uuid, &found->definition, &bytes,
                  &found->problem);
    const guint8 *file = g_variant_get_fixed_array(bytes, &size, 1);
    if (!vmf_owner_record_decode_file(file, size, found->uuid, &found->record, &slot, &error) &&
        found->problem[0] == '\0') {
        g_free(found->problem);
        found->problem = g_strdup(error->message);
    }
    found->name = name_of(found->definition);
    return found;
}

static gboolean
is_wanted(const VmfFoundVm *found, const char *vm)
{
    g_autofree gchar *markup = g_markup_escape_text(vm, -1);
    return g_str_has_prefix(vm, "smb://") || g_ascii_strcasecmp(found->uuid, vm) == 0 ||
           strcmp(found->name, markup) == 0;
}

static gboolean
must_be_one(const VmfLocalPolicy *policy, const char *vm, const GPtrArray *all, char **troubles,
            GError **error)
{
    if (all->len == 1)
        return TRUE;
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < MIN(all->len, TOLD_MAX); i++) {
        const VmfFoundVm *found = all->pdata[i];
        g_string_append_printf(list, "%s%.*s (%.*s)", i ? ", " : "",
                               vmf_text_head(found->folder, TOLD_BYTES), found->folder,
                               vmf_text_head(found->uuid, TOLD_BYTES), found->uuid);
    }
    if (all->len > TOLD_MAX)
        g_string_append_printf(list, " and %u more", all->len - TOLD_MAX);
    if (all->len > 1) {
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_CONFIG,
            "there are %u VMs '%s' on the shares: %s; say which by its UUID or its folder's "
            "URL",
            all->len, vm, list->str);
        return FALSE;
    }
    g_autofree gchar *joined = g_strjoinv("; ", troubles);
    g_autofree gchar *trouble = vmf_text_tame(joined, TOLD_MAX * TOLD_BYTES);
    for (guint i = 0; i < policy->shares->len; i++) {
        const VmfShareRule *rule = policy->shares->pdata[i];
        g_string_append_printf(list, "%s//%s/%s", i ? ", " : "", rule->server, rule->share);
    }
    if (trouble[0])
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "no VM '%s' was found, and not all could be searched: %s", vm, trouble);
    else
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "no folder on %s holds a VM '%s' that vmferry has run (domain.xml with that "
                    "name, .vmferry/UUID.own); a folder may also be named by its smb:// URL",
                    list->str, vm);
    return FALSE;
}

VmfFoundVm *
vmf_share_find_answer(const VmfLocalPolicy *policy, const char *vm, GVariant *answer,
                      GError **error)
{
    g_autoptr(GVariant) list = g_variant_get_child_value(answer, 0);
    g_auto(GStrv) troubles = NULL;
    g_variant_get_child(answer, 1, "^as", &troubles);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_found_vm_free);
    for (gsize i = 0; i < g_variant_n_children(list); i++) {
        g_autoptr(GVariant) item = g_variant_get_child_value(list, i);
        VmfFoundVm *found = read_one(item);
        if (is_wanted(found, vm))
            g_ptr_array_add(all, found);
        else
            vmf_found_vm_free(found);
    }
    if (!must_be_one(policy, vm, all, troubles, error))
        return NULL;
    return g_ptr_array_steal_index(all, 0);
}

VmfFoundVm *
vmf_share_find_vm(const VmfShareProbe *probe, const VmfLocalPolicy *policy, const char *vm,
                  GError **error)
{
    g_autoptr(GVariant) request = make_request(policy, vm, error);
    if (request == NULL)
        return NULL;
    VmfProbeCall call = {"find", request, VMF_FIND_ANSWER, VMF_FIND_ANSWER_MAX, SEARCH_MS};
    g_autoptr(GVariant) answer = vmf_probe_process_run(probe, &call, error);
    return answer ? vmf_share_find_answer(policy, vm, answer, error) : NULL;
}
