/* SPDX-License-Identifier: GPL-3.0-or-later */

/*
 * The disk process: nbdkit with this plugin, one per VM (nbdkit-plugin(3)).
 *
 * Operations. nbdkit speaks NBD with QEMU on the VM's socket and calls here from many threads;
 * the export's name is the disk's target. Everything about the share begins after the last
 * fork: libsmbclient and GLib's threads do not survive one. Whether it came up is said on the
 * pipe "ready-fd": "ok", or the error's code and message; nbdkit itself is silent after it has
 * become a daemon.
 *
 * Failure model. Killed: the file server drops its handles, the guest's requests fail (QEMU
 * pauses the guest: error_policy=stop), vmferryd starts another one that takes up what this one had
 * (disk-ledger.h), and lets the guest go on. The share in trouble: requests wait (disk-set.h); no
 * error reaches the guest, except ESHUTDOWN to a client that has hung up, that belongs to an
 * ownership long ended, or when the process is told to end.
 */

#include "smb/disk-control.h"
#include "smb/disk-log.h"
#include "smb/share-smbc.h"
#include "src/base/error.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL          NBDKIT_THREAD_MODEL_PARALLEL
#define DEFAULT_QUARANTINE_MS 30000
#define PREFERRED_BLOCK       4096
#define MAX_REQUEST           (2 * 1024 * 1024) /* nbdkit keeps a buffer of that size per thread */

static struct {
    char *vm_uuid;
    char *control;
    char *account;
    char *owner_sid;
    char *log;
    VmfDiskSpec disks[VMF_MAX_DISKS];
    guint n_disks;
    guint quarantine_ms;
    int resume;
    int ready_fd;
} parameters = {.quarantine_ms = DEFAULT_QUARANTINE_MS, .ready_fd = -1};

static VmfDiskSet *set;
static VmfDiskControl *control;
static VmfDiskLedger *ledger;

typedef struct {
    guint disk;
    VmfGateLease lease;
} Client;

/* --- before the fork: parameters only --- */

static int
complain(GError *error)
{
    nbdkit_error("%s", error->message);
    g_error_free(error);
    return -1;
}

static int
add_disk(const char *value)
{
    GError *error = NULL;
    if (parameters.n_disks == VMF_MAX_DISKS) {
        nbdkit_error("more than %d disks", VMF_MAX_DISKS);
        return -1;
    }
    if (!vmf_disk_spec_parse(value, &parameters.disks[parameters.n_disks], &error))
        return complain(error);
    parameters.n_disks++;
    return 0;
}

static int
plugin_config(const char *key, const char *value)
{
    const struct {
        const char *key;
        char **value;
    } texts[] = {
        {"vm-uuid", &parameters.vm_uuid}, {"control", &parameters.control},
        {"account", &parameters.account}, {"owner-sid", &parameters.owner_sid},
        {"log", &parameters.log},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        if (strcmp(key, texts[i].key) == 0) {
            g_free(*texts[i].value);
            *texts[i].value = g_strdup(value);
            return 0;
        }
    if (strcmp(key, "disk") == 0)
        return add_disk(value);
    if (strcmp(key, "quarantine-ms") == 0)
        return nbdkit_parse_unsigned(key, value, &parameters.quarantine_ms);
    if (strcmp(key, "resume") == 0) {
        parameters.resume = nbdkit_parse_bool(value);
        return parameters.resume < 0 ? -1 : 0;
    }
    if (strcmp(key, "ready-fd") == 0)
        return nbdkit_parse_int(key, value, &parameters.ready_fd);
    nbdkit_error("unknown parameter '%s'", key);
    return -1;
}

static int
plugin_config_complete(void)
{
    if (parameters.vm_uuid == NULL || parameters.control == NULL || parameters.account == NULL ||
        parameters.owner_sid == NULL || parameters.n_disks == 0) {
        nbdkit_error("vm-uuid=, control=, account=, owner-sid= and disk= are needed");
        return -1;
    }
    if (!g_path_is_absolute(parameters.control)) {
        nbdkit_error("control='%s' has to be an absolute path", parameters.control);
        return -1;
    }
    return 0;
}

#define plugin_config_help                                                                         \
    "vm-uuid=UUID         the VM whose disks these are\n"                                          \
    "control=SOCKET       where vmferryd gives its orders (org.vmferry.Disk1)\n"                   \
    "account=NAME         the host's computer account, as HV1$\n"                                  \
    "owner-sid=SID        its SID\n"                                                               \
    "disk=TARGET:FORMAT:smb://SERVER/SHARE/PATH   a disk; may be given again\n"                    \
    "quarantine-ms=N      how long a lost write may still land (30000)\n"                          \
    "resume=BOOL          take up the disks as the killed process before this one had them\n"      \
    "log=FILE             where messages go\n"                                                     \
    "ready-fd=N           a pipe that is told whether it came up"

/* --- after the fork --- */

/* Returns: %FALSE: whoever started this process has ended meanwhile */
static gboolean
report(const char *text)
{
    if (parameters.ready_fd < 0)
        return TRUE;
    gsize length = strlen(text);
    gboolean heard = write(parameters.ready_fd, text, length) == (ssize_t)length;
    if (!heard)
        g_warning("nobody hears that: %s", text);
    close(parameters.ready_fd);
    parameters.ready_fd = -1;
    return heard;
}

static int
report_failure(GError *error)
{
    g_autofree gchar *text = g_strdup_printf("%d %s", error->code, error->message);
    g_critical("%s", error->message);
    report(text);
    return complain(error);
}

static gchar *
read_boot_id(GError **error)
{
    g_autoptr(GError) cause = NULL;
    gchar *text = NULL;
    if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, &cause))
        return g_strstrip(text);
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "this host's boot id: %s", cause->message);
    return NULL;
}

/*
 * "untouched" beside our sockets: made by vmferryd for an incoming VM (src/migrate/vm-disks.h). Who
 * finds it knows that no write was made here, even when this process is gone.
 */
static void
remove_mark(gpointer ignored)
{
    g_autofree gchar *folder = g_path_get_dirname(parameters.control);
    g_autofree gchar *path = g_build_filename(folder, "untouched", NULL);
    if (unlink(path) != 0 && errno != ENOENT)
        g_error("cannot remove '%s': %s", path,
                g_strerror(errno)); /* a write would be denied later */
}

static gboolean
come_up(GError **error)
{
    g_autofree gchar *boot_id = read_boot_id(error);
    g_autofree gchar *work_dir = g_path_get_dirname(parameters.control);
    if (boot_id == NULL)
        return FALSE;
    VmfDiskList *list = vmf_disk_list_new(parameters.vm_uuid, parameters.disks, parameters.n_disks,
                                          error);
    if (list == NULL)
        return FALSE;
    VmfShare *share = vmf_share_smbc_new(list->entries[0].url->server, work_dir, error);
    if (share == NULL) {
        vmf_disk_list_free(list);
        return FALSE;
    }
    ledger = vmf_disk_ledger_map(work_dir, boot_id, error);
    if (ledger == NULL) {
        vmf_share_free(share);
        vmf_disk_list_free(list);
        return FALSE;
    }
    control = vmf_disk_control_new(nbdkit_shutdown);
    const VmfDiskSetConfig config = {
        .list = list,
        .share = share,
        .account = parameters.account,
        .owner_sid = parameters.owner_sid,
        .boot_id = boot_id,
        .quarantine_ms = parameters.quarantine_ms,
        .ledger = ledger,
        .resume = parameters.resume,
        .changed = vmf_disk_control_changed,
        .wake = vmf_disk_control_wake,
        .touched = remove_mark,
        .data = control,
    };
    set = vmf_disk_set_new(&config, error);
    return set != NULL && vmf_disk_control_serve(control, set, parameters.control, error);
}

static int
plugin_after_fork(void)
{
    GError *error = NULL;
    umask(0077);
    vmf_disk_log_open(parameters.log);
    if (!come_up(&error))
        return report_failure(error);
    /* Without disks to take up, for which QEMU waits, nobody needs it. */
    return report("ok") || ledger->epoch != 0 ? 0 : -1;
}

static void
plugin_cleanup(void)
{
    if (set != NULL)
        vmf_gate_end(vmf_disk_set_gate(set));
    g_clear_pointer(&control, vmf_disk_control_free);
    g_clear_pointer(&set, vmf_disk_set_free);
    g_clear_pointer(&ledger, vmf_disk_ledger_unmap);
}

/* --- clients --- */

/* On the thread of the request that waits: nbdkit ends this sleep when its client has hung up. */
static gboolean
client_is_alive(gpointer unused)
{
    return nbdkit_nanosleep(0, 1) == 0;
}

static int
plugin_list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
    const VmfDiskList *list = vmf_disk_set_list(set);
    for (guint i = 0; i < list->n_entries; i++)
        if (nbdkit_add_export(exports, list->entries[i].target, NULL) != 0)
            return -1;
    return 0;
}

static void *
plugin_open(int readonly)
{
    const char *name = nbdkit_export_name();
    int disk = vmf_disk_list_find(vmf_disk_set_list(set), name);
    if (disk < 0) {
        nbdkit_error("there is no disk '%s'", name);
        return NULL;
    }
    Client *client = g_new0(Client, 1);
    client->disk = (guint)disk;
    vmf_gate_lease_init(vmf_disk_set_gate(set), &client->lease, client_is_alive, NULL);
    return client;
}

static void
plugin_close(void *handle)
{
    g_free(handle);
}

static int64_t
plugin_get_size(void *handle)
{
    return (int64_t)vmf_disk_set_export_size(set, ((Client *)handle)->disk);
}

static int
plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    *minimum = 1;
    *preferred = PREFERRED_BLOCK;
    *maximum = MAX_REQUEST;
    return 0;
}

static int
yes(void *handle)
{
    return 1;
}

static int
native_fua(void *handle)
{
    return NBDKIT_FUA_NATIVE; /* a write is durable when it is answered */
}

static int
answer(int error)
{
    if (error == 0)
        return 0;
    nbdkit_set_error(error);
    return -1;
}

static int
plugin_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const Client *client = handle;
    return answer(vmf_disk_set_read(set, &client->lease, client->disk, buffer, count, offset));
}

static int
plugin_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
    const Client *client = handle;
    return answer(vmf_disk_set_write(set, &client->lease, client->disk, buffer, count, offset));
}

static int
plugin_flush(void *handle, uint32_t flags)
{
    const Client *client = handle;
    return answer(vmf_disk_set_flush(set, &client->lease, client->disk));
}

static struct nbdkit_plugin plugin = {
    .name = "vmferry",
    .longname = "vmferry disk process",
    .version = VMF_VERSION,
    .description = "a VM's disks on an SMB 3 share, written by one host at a time",
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .config_help = plugin_config_help,
    .after_fork = plugin_after_fork,
    .cleanup = plugin_cleanup,
    .list_exports = plugin_list_exports,
    .open = plugin_open,
    .close = plugin_close,
    .get_size = plugin_get_size,
    .block_size = plugin_block_size,
    .can_write = yes,
    .can_flush = yes,
    .can_fua = native_fua,
    .can_multi_conn = yes,
    .pread = plugin_pread,
    .pwrite = plugin_pwrite,
    .flush = plugin_flush,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
