/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/vm-disks.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smb/disk-ledger.h"
#include "smb/share-url.h"
#include "src/base/error.h"
#include "src/base/text.h"
#include "src/migrate/qemu-socket.h"
#include "src/vm/domain-edit.h"

/* The last holder's handle may still be on its way out: a stopped VM is closed in milliseconds. */
#define START_WAIT_MS 5000

gboolean
vmf_local_user(const char *name, const char *key, uid_t *uid, gid_t *gid, GError **error)
{
    struct passwd entry, *found = NULL;
    gchar buffer[16384];
    int rc = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);
    if (found == NULL) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "no user '%s' on this host (%s of %s)%s%s",
                    name, key, VMF_LOCAL_POLICY_FILE, rc ? ": " : "", rc ? g_strerror(rc) : "");
        return FALSE;
    }
    *uid = found->pw_uid;
    *gid = found->pw_gid;
    return TRUE;
}

gboolean
vmf_vm_disks_judge(const VmfContext *context, const VmfVmDisks *vm, GError **error)
{
    if (vm->n_disks == 0) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "'%s' has no disk behind a share connection; put one there: vmferry attach %s "
                    "DEV smb://server/share/folder/file",
                    vm->name, vm->name);
        return FALSE;
    }
    for (guint i = 0; i < vm->n_disks; i++) {
        const VmfDomainDisk *disk = vm->disks[i];
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(disk->url, error);
        if (url == NULL || !vmf_local_policy_judge_share(context->policy, url->server, url->share,
                                                         url->url, error)) {
            g_prefix_error(error, "disk '%s' of '%s': ", disk->target, vm->name);
            return FALSE;
        }
    }
    return TRUE;
}

/* The longest that the shares' administrators ask for; 0: none does. */
static guint
quarantine_ms(const VmfContext *context, const VmfVmDisks *vm)
{
    guint seconds = 0;
    for (guint i = 0; i < vm->n_disks; i++) {
        g_autoptr(VmfShareUrl) url = vmf_share_url_parse(vm->disks[i]->url, NULL);
        const VmfShareRule *rule = url ? vmf_local_policy_share(context->policy, url->server,
                                                                url->share)
                                       : NULL;
        seconds = MAX(seconds, rule ? rule->quarantine_seconds : 0);
    }
    return seconds * 1000;
}

/* ADOPT: one that runs will do. RESUME: so it will; a new one takes up what a killed one had. NEW: ours alone. */
typedef enum { ADOPT, RESUME, NEW } Launch;

static VmfDiskClient *
launch(const VmfContext *context, const VmfVmDisks *vm, Launch what, GError **error)
{
    VmfDiskLaunch how = {
        .vm_uuid = vm->uuid,
        .account = context->me->account,
        .owner_sid = context->sid,
        .n_disks = vm->n_disks,
        .run_dir = context->run_dir,
        .ccache = vmf_ticket_keeper_cache_path(context->smb_ticket),
        .quarantine_ms = quarantine_ms(context, vm),
        .resume = what == RESUME,
    };
    if (!vmf_local_user(context->policy->disk_user, "[vmferry] disk-user", &how.run_uid,
                        &how.run_gid, error) ||
        !vmf_local_user(context->policy->qemu_user, "[libvirt] qemu-user", &how.qemu_uid,
                        &how.qemu_gid, error) ||
        !vmf_vm_disks_judge(context, vm, error))
        return NULL;

    g_autoptr(VmfDiskClient)
        running = what == NEW ? NULL : vmf_disk_client_connect(context->run_dir, vm->uuid, NULL);
    if (running == NULL) {
        g_autofree VmfDiskSpec *disks = g_new0(VmfDiskSpec, how.n_disks);
        for (guint i = 0; i < how.n_disks; i++) {
            const VmfDomainDisk *disk = vm->disks[i];
            disks[i] = (VmfDiskSpec){disk->target, disk->format, disk->url};
        }
        how.disks = disks;
        running = vmf_disk_client_launch(&how, error);
    }
    if (running == NULL || !vmf_qemu_socket_make_folders(context->run_dir, vm->uuid, how.qemu_uid,
                                                         how.qemu_gid, error))
        return NULL;
    if (context->disks_started)
        context->disks_started(context->keeper, vm->uuid);
    return g_steal_pointer(&running);
}

VmfDiskClient *
vmf_vm_disks_launch(const VmfContext *context, const VmfVmDisks *vm, GError **error)
{
    return launch(context, vm, ADOPT, error);
}

VmfDiskClient *
vmf_vm_disks_launch_new(const VmfContext *context, const VmfVmDisks *vm, GError **error)
{
    return launch(context, vm, NEW, error);
}

/* ---- for a move that was interrupted ---- */

gchar *
vmf_vm_disks_to_text(const VmfDomainDisk *const *disks, guint n_disks)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < n_disks; i++)
        g_string_append_printf(text, "%s %s %s\n", disks[i]->target, disks[i]->format,
                               disks[i]->url);
    return g_string_free(text, FALSE);
}

/* Only a whole line counts: what was cut off might have been more of a URL, or another disk. */
static VmfDomainDisk *
disk_from_line(const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 3);
    if (g_strv_length(words) != 3 || !words[0][0] || !words[1][0] || !words[2][0])
        return NULL;
    VmfDomainDisk *disk = g_new0(VmfDomainDisk, 1);
    disk->target = g_strdup(words[0]);
    disk->format = g_strdup(words[1]);
    disk->url = g_strdup(words[2]);
    return disk;
}

GPtrArray *
vmf_vm_disks_from_text(const char *text, const char *name, GError **error)
{
    g_autoptr(GPtrArray)
        disks = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_domain_disk_free);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        gboolean last = lines[i + 1] == NULL; /* behind the last line feed: nothing */
        VmfDomainDisk *disk = last ? NULL : disk_from_line(lines[i]);
        if (disk) {
            g_ptr_array_add(disks, disk);
        } else if (!last || lines[i][0]) {
            g_autofree gchar *tame = vmf_text_tame(lines[i], 200);
            g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                        "what this host noted of the disks of '%s' is damaged: line %u, '%s', is "
                        "not a whole 'DEVICE FORMAT URL'; nothing was opened; see which host its "
                        "owner record names, and take it there: vmferry recover %s",
                        name, i + 1, tame, name);
            return NULL;
        }
    }
    return g_steal_pointer(&disks);
}

static GPtrArray *
disks_from_libvirt(const VmfContext *context, const char *uuid, GError **error)
{
    g_autofree gchar *xml = vmf_host_dump_xml(context->host, uuid, VMF_XML_LIVE, error);
    return xml ? vmf_domain_edit_urls(xml, error) : NULL;
}

VmfDiskClient *
vmf_vm_disks_find(const VmfContext *context, const char *uuid, const char *name, const char *text,
                  GError **error)
{
    VmfDiskClient *running = vmf_disk_client_connect(context->run_dir, uuid, NULL);
    if (running)
        return running;
    g_autoptr(GPtrArray) disks = text ? vmf_vm_disks_from_text(text, name, error)
                                      : disks_from_libvirt(context, uuid, error);
    if (disks == NULL)
        return NULL;
    VmfVmDisks vm = {uuid, name, (const VmfDomainDisk *const *)disks->pdata, disks->len};
    return launch(context, &vm, RESUME, error);
}

gchar **
vmf_vm_disks_list(const VmfContext *context)
{
    GPtrArray *uuids = g_ptr_array_new();
    g_autoptr(GDir) folder = g_dir_open(context->run_dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder)) != NULL)
        if (g_uuid_string_is_valid(name))
            g_ptr_array_add(uuids, g_strdup(name));
    g_ptr_array_add(uuids, NULL);
    return (gchar **)g_ptr_array_free(uuids, FALSE);
}

gboolean
vmf_vm_disks_has_ended(VmfDiskClient *disks)
{
    return disks == NULL || g_dbus_connection_is_closed(vmf_disk_client_connection(disks));
}

gboolean
vmf_vm_disks_write_was_lost(const VmfContext *context, const char *uuid)
{
    g_autofree gchar *folder = g_build_filename(context->run_dir, uuid, NULL);
    return vmf_disk_ledger_tells_open_write(folder);
}

static gchar *
mark_path(const VmfContext *context, const char *uuid)
{
    return g_build_filename(context->run_dir, uuid, "untouched", NULL);
}

gboolean
vmf_vm_disks_mark(const VmfContext *context, const char *uuid, GError **error)
{
    g_autofree gchar *path = mark_path(context, uuid);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0) {
        close(fd);
        return TRUE;
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot make '%s': %s", path,
                g_strerror(errno));
    return FALSE;
}

gboolean
vmf_vm_disks_is_marked(const VmfContext *context, const char *uuid)
{
    g_autofree gchar *path = mark_path(context, uuid);
    return access(path, F_OK) == 0;
}

void
vmf_vm_disks_unmark(const VmfContext *context, const char *uuid)
{
    g_autofree gchar *path = mark_path(context, uuid);
    unlink(path);
}

/* Who may be succeeded by a plain start: nobody, a stopped VM, and ourselves. */
static gboolean
may_start(const VmfContext *context, const VmfVmDisks *vm, const VmfOwnerRecord *record,
          GError **error)
{
    gboolean ours = strcmp(record->owner_sid, context->sid) == 0;
    if (record->state == VMF_OWNER_STOPPED || (ours && record->state != VMF_OWNER_OWNED))
        return TRUE;
    if (ours) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY,
                    "'%s' cannot start yet: it was taken over from a dead host, whose last writes "
                    "may still land; go on with: vmferry recover %s",
                    vm->name, vm->name);
        return FALSE;
    }
    g_autofree gchar *owner = vmf_owner_record_describe(record);
    g_set_error(
        error, VMF_ERROR, VMF_ERROR_BUSY,
        "'%s' cannot start on %s: its owner is %s; move it from there (vmferry migrate), or "
        "shut it down there; if that host is dead for good: vmferry recover %s",
        vm->name, context->me->fqdn, owner, vm->name);
    return FALSE;
}

static gboolean
own(const VmfContext *context, const VmfVmDisks *vm, VmfDiskClient *disks, GError **error)
{
    VmfOwnerRecord record = {0};
    gboolean present;
    if (!vmf_disk_client_read_record(disks, &present, &record, error) ||
        (present && !may_start(context, vm, &record, error)))
        return FALSE;
    VmfOwnerExpect expected = {record.owner_sid, record.epoch};
    VmfOwnerNext next = {
        .epoch = record.epoch + 1, .state = VMF_OWNER_RUNNING, .reason = "started"};
    return vmf_disk_client_take(disks, &expected, &next, START_WAIT_MS, NULL, error);
}

gboolean
vmf_vm_disks_start(const VmfContext *context, const VmfVmDisks *vm, const char *definition,
                   GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(VmfDiskClient) disks = vmf_vm_disks_launch(context, vm, error);
    if (disks == NULL)
        return FALSE;
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(disks, error);
    if (state == NULL)
        return FALSE;
    if (state->held && state->gate == VMF_GATE_OPEN)
        return TRUE;
    if (!own(context, vm, disks, error)) {
        vmf_disk_client_quit(disks, NULL);
        return FALSE;
    }
    if (!vmf_disk_client_write_file(disks, "domain.xml", definition, &local))
        g_warning("'%s': its definition could not be copied to the share: %s", vm->name,
                  local->message);
    return TRUE;
}

static gboolean
stop(const VmfContext *context, const char *uuid, GError **error)
{
    g_autoptr(VmfDiskClient) disks = vmf_disk_client_connect(context->run_dir, uuid, NULL);
    if (disks == NULL)
        return TRUE;
    g_autoptr(VmfDiskState) state = vmf_disk_client_describe(disks, error);
    if (state == NULL)
        return FALSE;
    VmfOwnerNext next = {.epoch = state->epoch, .state = VMF_OWNER_STOPPED, .reason = "stopped"};
    const VmfOwnerNext *stopped = state->foreign ? NULL : &next; /* nothing of ours to write */
    if (state->held && !vmf_disk_client_release(disks, stopped, NULL, error))
        return FALSE;
    return vmf_disk_client_quit(disks, error);
}

gboolean
vmf_vm_disks_stop(const VmfContext *context, const char *uuid, GError **error)
{
    gboolean stopped = stop(context, uuid, error);
    if (context->disks_ended)
        context->disks_ended(context->keeper, uuid);
    return stopped;
}
