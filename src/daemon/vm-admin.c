/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/daemon/vm-admin.h"

#include <string.h>

#include "smb/disk-client.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/migrate/vm-disks.h"
#include "src/vm/domain-edit.h"

/* ---- list ---- */

static void
add_disk_facts(VmfDaemon *daemon, const char *uuid, GVariantDict *out)
{
    g_autoptr(VmfDiskClient) disks = vmf_disk_client_connect(daemon->context.run_dir, uuid, NULL);
    g_autoptr(VmfDiskState) state = disks ? vmf_disk_client_describe(disks, NULL) : NULL;
    if (state == NULL)
        return;
    g_variant_dict_insert(out, "gate", "s", vmf_gate_state_name(state->gate));
    g_variant_dict_insert(out, "epoch", "t", state->epoch);
    g_variant_dict_insert(out, "held", "b", state->held);
    g_variant_dict_insert(out, "trouble", "s", state->trouble);
}

static gboolean
is_managed(VmfDaemon *daemon, const char *uuid)
{
    g_autofree gchar *xml = vmf_host_dump_xml(daemon->context.host, uuid, VMF_XML_INACTIVE, NULL);
    g_autoptr(GPtrArray) urls = xml ? vmf_domain_edit_urls(xml, NULL) : NULL;
    return urls != NULL && urls->len > 0;
}

GVariant *
vmf_vm_admin_list(VmfDaemon *daemon, GError **error)
{
    g_autoptr(GPtrArray) vms = vmf_host_list(daemon->context.host, error);
    if (vms == NULL)
        return NULL;
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < vms->len; i++) {
        const VmfVmInfo *vm = vms->pdata[i];
        GVariantDict out;
        g_variant_dict_init(&out, NULL);
        g_variant_dict_insert(&out, "name", "s", vm->name);
        g_variant_dict_insert(&out, "uuid", "s", vm->uuid);
        g_variant_dict_insert(&out, "state", "s", vmf_vm_state_name(vm->state));
        g_variant_dict_insert(&out, "managed", "b", is_managed(daemon, vm->uuid));
        g_variant_dict_insert(&out, "moving", "b", vmf_job_table_moves(daemon->jobs, vm->uuid));
        add_disk_facts(daemon, vm->uuid, &out);
        g_variant_builder_add_value(&list, g_variant_dict_end(&out));
    }
    return g_variant_builder_end(&list);
}

/* ---- define and attach ---- */

/* By name, not by content: a guest may write a qcow2 header into its raw disk. */
static const char *
format_of(const char *format, const char *url)
{
    if (format && format[0])
        return format;
    return g_str_has_suffix(url, ".qcow2") ? "qcow2" : "raw";
}

/* The files are there, on allowed shares, and this host may use them: seen, not assumed. */
static gboolean
try_disks(VmfDaemon *daemon, const char *uuid, const char *name, GPtrArray *disks, GError **error)
{
    VmfVmDisks vm = {uuid, name, (const VmfDomainDisk *const *)disks->pdata, disks->len};
    vmf_turns_own_begin(daemon->context.turns, uuid);
    g_autoptr(VmfDiskClient) client = vmf_vm_disks_launch_new(&daemon->context, &vm, error);
    if (client == NULL && g_error_matches(*error, VMF_ERROR, VMF_ERROR_BUSY))
        g_prefix_error(error, "'%s' has a running disk process; shut the VM down first: ", name);
    gboolean ok = client && vmf_disk_client_probe(client, error);
    if (client)
        vmf_disk_client_quit(client, NULL);
    vmf_turns_own_end(daemon->context.turns, uuid);
    return ok;
}

static gchar *
define_with(VmfDaemon *daemon, const char *xml, GPtrArray *disks, GError **error)
{
    g_autofree VmfDiskEdit *edits = g_new0(VmfDiskEdit, disks->len);
    for (guint i = 0; i < disks->len; i++) {
        VmfDomainDisk *disk = disks->pdata[i];
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(disk->url, error);
        if (url == NULL)
            return NULL;
        g_free(disk->url);
        disk->url = g_strdup(url->url);
        const char *format = format_of(disk->format, disk->url);
        if (format != disk->format) {
            g_free(disk->format);
            disk->format = g_strdup(format);
        }
        edits[i] = (VmfDiskEdit){disk->target, disk->bus && disk->bus[0] ? disk->bus : NULL,
                                 disk->url, disk->format};
    }
    g_autofree gchar *edited = vmf_domain_edit_disks(xml, daemon->context.run_dir, edits,
                                                     disks->len, error);
    g_autofree gchar *uuid = edited ? vmf_domain_edit_uuid(edited, error) : NULL;
    g_autofree gchar *name = uuid ? vmf_domain_edit_name(edited, error) : NULL;
    if (name == NULL || !try_disks(daemon, uuid, name, disks, error) ||
        !vmf_host_define(daemon->context.host, edited, NULL, error))
        return NULL;
    return g_steal_pointer(&name);
}

gchar *
vmf_vm_admin_define(VmfDaemon *daemon, const char *xml, gchar ***notes, GError **error)
{
    g_autoptr(GPtrArray) disks = vmf_domain_edit_urls(xml, error);
    if (disks == NULL)
        return NULL;
    if (disks->len == 0) {
        g_set_error(
            error, VMF_ERROR, VMF_ERROR_CONFIG,
            "the definition names no disk on a share; write <source "
            "file='smb://server/share/folder/file'/> for each disk, or use virsh define and "
            "vmferry attach");
        return NULL;
    }
    g_auto(GStrv) others = vmf_domain_edit_other_disks(xml, error);
    if (others == NULL)
        return NULL;
    gchar *name = define_with(daemon, xml, disks, error);
    if (name == NULL)
        return NULL;
    g_autoptr(GPtrArray) said = g_ptr_array_new();
    for (guint i = 0; i < disks->len; i++) {
        const VmfDomainDisk *disk = disks->pdata[i];
        g_ptr_array_add(
            said, g_strdup_printf("%s is behind %s (%s)", disk->target, disk->url, disk->format));
    }
    for (guint i = 0; others[i]; i++)
        g_ptr_array_add(
            said,
            g_strdup_printf("%s is not on a share: the VM cannot be moved with it", others[i]));
    g_ptr_array_add(said, NULL);
    *notes = (gchar **)g_ptr_array_free(g_steal_pointer(&said), FALSE);
    return name;
}

static void
disk_free(gpointer data)
{
    VmfDomainDisk *disk = data;
    g_free(disk->target);
    g_free(disk->bus);
    g_free(disk->format);
    g_free(disk->url);
    g_free(disk->cache);
    g_free(disk);
}

gboolean
vmf_vm_admin_attach(VmfDaemon *daemon, const char *vm, const char *target, const char *url,
                    const char *format, GError **error)
{
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(daemon->context.host, vm, error);
    if (info == NULL)
        return FALSE;
    if (info->state != VMF_VM_OFF) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "'%s' is %s; shut it down first", info->name,
                    vmf_vm_state_name(info->state));
        return FALSE;
    }
    g_autofree gchar *xml = vmf_host_dump_xml(daemon->context.host, info->uuid, VMF_XML_INACTIVE,
                                              error);
    g_autoptr(GPtrArray) disks = xml ? vmf_domain_edit_urls(xml, error) : NULL;
    if (disks == NULL)
        return FALSE;
    for (guint i = disks->len; i-- > 0;)
        if (strcmp(((VmfDomainDisk *)disks->pdata[i])->target, target) == 0)
            g_ptr_array_remove_index(disks, i);
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(disk_free);
    VmfDomainDisk *added = g_new0(VmfDomainDisk, 1);
    *added = (VmfDomainDisk){g_strdup(target), NULL, g_strdup(format_of(format, url)),
                             g_strdup(url), NULL};
    g_ptr_array_add(all, added);
    for (guint i = 0; i < disks->len; i++) {
        const VmfDomainDisk *old = disks->pdata[i];
        VmfDomainDisk *copy = g_new0(VmfDomainDisk, 1);
        *copy = (VmfDomainDisk){g_strdup(old->target), g_strdup(old->bus), g_strdup(old->format),
                                g_strdup(old->url), NULL};
        g_ptr_array_add(all, copy);
    }
    g_autofree gchar *name = define_with(daemon, xml, all, error);
    return name != NULL;
}

/* ---- hook ---- */

/* @definition: of a VM that starts; NULL: it has ended */
static gboolean
hooked(VmfDaemon *daemon, const VmfVmDisks *vm, const char *definition, GError **error)
{
    /* A VM on its way here has its disk process already, and ends it by itself if it fails. */
    if (vmf_peer_table_expects(daemon->peers, vm->uuid))
        return TRUE;
    g_mutex_lock(&daemon->hooks);
    g_hash_table_add(daemon->hooked, g_strdup(vm->uuid));
    g_mutex_unlock(&daemon->hooks);
    if (definition)
        return vmf_vm_disks_start(&daemon->context, vm, definition, error);
    return vmf_vm_disks_stop(&daemon->context, vm->uuid, error);
}

gboolean
vmf_vm_admin_hook(VmfDaemon *daemon, const char *operation, const char *phase, const char *xml,
                  GError **error)
{
    gboolean starts = strcmp(operation, "prepare") == 0 && strcmp(phase, "begin") == 0;
    gboolean ended = strcmp(operation, "release") == 0 && strcmp(phase, "end") == 0;
    if (!starts && !ended)
        return TRUE;
    g_autoptr(GPtrArray) disks = vmf_domain_edit_urls(xml, error);
    if (disks == NULL)
        return FALSE;
    if (disks->len == 0)
        return TRUE;
    g_autofree gchar *uuid = vmf_domain_edit_uuid(xml, error);
    g_autofree gchar *name = uuid ? vmf_domain_edit_name(xml, error) : NULL;
    if (name == NULL)
        return FALSE;
    VmfVmDisks vm = {uuid, name, (const VmfDomainDisk *const *)disks->pdata, disks->len};
    vmf_turns_own_begin(daemon->context.turns, uuid);
    gboolean ok = hooked(daemon, &vm, ended ? NULL : xml, error);
    vmf_turns_own_end(daemon->context.turns, uuid);
    return ok;
}

/* ---- after a restart ---- */

GPtrArray *
vmf_vm_admin_find_disks(VmfDaemon *daemon)
{
    GPtrArray *uuids = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) folder = g_dir_open(daemon->context.run_dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder)) != NULL)
        if (g_uuid_string_is_valid(name))
            g_ptr_array_add(uuids, g_strdup(name));
    return uuids;
}

static gboolean
has_ended(VmfDaemon *daemon, const char *uuid)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VmfVmInfo) info = vmf_host_lookup(daemon->context.host, uuid, &error);
    if (info)
        return info->state == VMF_VM_OFF || info->state == VMF_VM_CRASHED;
    return g_error_matches(error, VMF_ERROR, VMF_ERROR_CONFIG);
}

void
vmf_vm_admin_wait_for_libvirt(VmfDaemon *daemon)
{
    for (guint wait_ms = 200;; wait_ms = MIN(wait_ms * 2, 10000)) {
        g_autoptr(GPtrArray) vms = vmf_host_list(daemon->context.host, NULL);
        if (vms)
            return;
        g_usleep((gulong)wait_ms * 1000);
    }
}

void
vmf_vm_admin_reconcile(VmfDaemon *daemon, const char *uuid)
{
    vmf_vm_admin_wait_for_libvirt(daemon);
    gboolean ended = has_ended(daemon, uuid); /* not under the lock: libvirt may wait for a hook */
    vmf_turns_own_begin(daemon->context.turns, uuid);
    g_mutex_lock(&daemon->hooks);
    g_autoptr(VmfDiskClient) running = vmf_disk_client_connect(daemon->context.run_dir, uuid, NULL);
    if (running && ended && !g_hash_table_contains(daemon->hooked, uuid) &&
        !vmf_peer_table_expects(daemon->peers, uuid)) {
        g_message("VM %s ended while vmferryd did not run: its disks are released", uuid);
        vmf_vm_disks_stop(&daemon->context, uuid, NULL); /* the keeper goes on */
    }
    g_mutex_unlock(&daemon->hooks);
    vmf_turns_own_end(daemon->context.turns, uuid);
}
