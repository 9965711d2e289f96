/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-set-internal.h"

#include "src/base/error.h"

#include <string.h>

/* Small files of the VM's folder, as domain.xml. The owner thread only. */

#define MAX_FILE_SIZE (1024 * 1024)
#define MAX_NAME      64

static VmfShareUrl *
file_url(const VmfDiskSet *set, const char *name, const char *format, GError **error)
{
    gsize length = strlen(name);
    if (length == 0 || length > MAX_NAME || name[0] == '.' ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") !=
            length) {
        vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                            "a file of the VM's folder cannot be called '%s'", name);
        return NULL;
    }
    g_auto(GStrv) halves = g_strsplit(format, "*", 2);
    g_autofree gchar *relative = g_strconcat(halves[0], name, halves[1], NULL);
    return vmf_share_url_sibling(set->list->entries[0].url, relative, error);
}

static gboolean
fail(VmfDiskSet *set, VmfDiskSession *session, VmfShareAnswer answer, const char *what,
     const VmfShareUrl *url, GError **error)
{
    vmf_share_set_error(error, session->share, answer, what, url, set->account, TRUE);
    return FALSE;
}

/* Written under another name first, so that no reader finds half of it. */
static gboolean
write_and_rename(VmfDiskSet *set, VmfDiskSession *session, const VmfShareUrl *temporary,
                 const VmfShareUrl *url, const char *content, GError **error)
{
    VmfShareFile *file = NULL;
    VmfShareAnswer answer = vmf_share_open(session->share, temporary, VMF_SHARE_WRITE, &file);
    if (answer.status != VMF_SHARE_OK)
        return fail(set, session, answer, "cannot make", temporary, error);
    answer = vmf_share_write(file, content, strlen(content), 0);
    answer = vmf_share_first_bad(answer, vmf_share_close(file));
    if (answer.status != VMF_SHARE_OK)
        return fail(set, session, answer, "cannot write", temporary, error);
    answer = vmf_share_rename(session->share, temporary, url);
    return answer.status == VMF_SHARE_OK ||
           fail(set, session, answer, "cannot replace", url, error);
}

gboolean
vmf_disk_set_write_file(VmfDiskSet *set, const char *name, const char *content, GError **error)
{
    VmfGateFacts gate = vmf_gate_facts(set->gate);
    g_autoptr(VmfShareUrl) temporary = file_url(set, name, ".vmferry/*.new", error);
    g_autoptr(VmfShareUrl) url = temporary != NULL ? file_url(set, name, "*", error) : NULL;

    if (url == NULL || !vmf_disk_set_gate_permits(set, &gate, error))
        return FALSE;
    if (strlen(content) > MAX_FILE_SIZE)
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error, "'%s' is larger than 1 MiB", name);
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    if (gate.epoch == 0 || set->current == NULL || !set->current->held)
        return vmf_disk_set_refuse(set, VMF_ERROR_CONFIG, error,
                                   "'%s' can only be written while the disks are held", name);
    gboolean ok = write_and_rename(set, set->current, temporary, url, content, error);
    vmf_disk_set_note_if_lost(set);
    return ok;
}

static gchar *
read_all(VmfDiskSet *set, VmfDiskSession *session, const VmfShareUrl *url, GError **error)
{
    VmfShareFile *file = NULL;
    guint64 size = 0;
    gsize got = 0;
    g_autofree gchar *content = NULL;

    VmfShareAnswer answer = vmf_share_open(session->share, url, VMF_SHARE_READ, &file);
    if (answer.status != VMF_SHARE_OK) {
        fail(set, session, answer, "cannot open", url, error);
        return NULL;
    }
    answer = vmf_share_size(file, &size);
    gboolean fits = answer.status == VMF_SHARE_OK && size <= MAX_FILE_SIZE;
    if (fits) {
        content = g_malloc0(size + 1);
        answer = vmf_share_read(file, content, size, 0, &got);
    }
    vmf_share_close(file);
    if (answer.status != VMF_SHARE_OK)
        fail(set, session, answer, "cannot read", url, error);
    else if (!fits || !g_utf8_validate_len(content, got, NULL))
        vmf_disk_set_refuse(set, VMF_ERROR_PROTOCOL, error,
                            "'%s' is larger than 1 MiB, or not a text", url->url);
    else
        return g_steal_pointer(&content);
    return NULL;
}

gchar *
vmf_disk_set_read_file(VmfDiskSet *set, const char *name, GError **error)
{
    g_autoptr(VmfShareUrl) url = file_url(set, name, "*", error);
    if (url == NULL)
        return NULL;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&set->share_lock);
    VmfDiskSession *own = NULL;
    VmfDiskSession *session = vmf_disk_set_look_through(set, &own, error);
    gchar *content = session != NULL ? read_all(set, session, url, error) : NULL;
    vmf_disk_session_free(own);
    vmf_disk_set_note_if_lost(set);
    return content;
}
