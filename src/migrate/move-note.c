/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/move-note.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "src/base/error.h"

#define GROUP  "move"
#define SUFFIX ".move"

static gchar *
path_of(const VmfContext *context, const char *uuid)
{
    g_autofree gchar *base = g_strconcat(uuid, SUFFIX, NULL);
    return g_build_filename(context->run_dir, base, NULL);
}

gboolean
vmf_move_note_write(const VmfContext *context, const VmfJournalEntry *entry, GError **error)
{
    g_autoptr(GKeyFile) note = g_key_file_new();
    g_autofree gchar *path = path_of(context, entry->vm_uuid);
    g_autoptr(GError) local = NULL;
    g_key_file_set_string(note, GROUP, "migration", entry->migration);
    g_key_file_set_string(note, GROUP, "state", vmf_state_name(vmf_role_first_state(entry->role)));
    g_key_file_set_string(note, GROUP, "vm-uuid", entry->vm_uuid);
    g_key_file_set_string(note, GROUP, "vm-name", entry->vm_name);
    g_key_file_set_string(note, GROUP, "peer", entry->peer);
    g_key_file_set_uint64(note, GROUP, "epoch", entry->epoch);
    if (entry->disks)
        g_key_file_set_string(note, GROUP, "disks", entry->disks);
    g_autofree gchar *text = g_key_file_to_data(note, NULL, NULL);
    /* Renamed into its place: whole, or not there. */
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local))
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "the note of the move of '%s': %s",
                entry->vm_name, local->message);
    return FALSE;
}

static VmfJournalEntry *
read_note(const char *path, GError **error)
{
    g_autoptr(GKeyFile) note = g_key_file_new();
    g_autoptr(VmfJournalEntry) entry = g_new0(VmfJournalEntry, 1);
    g_autofree gchar *text = NULL;
    g_autoptr(GError) no_epoch = NULL;
    gsize size;
    if (!g_file_get_contents(path, &text, &size, error) ||
        !g_key_file_load_from_data(note, text, size, G_KEY_FILE_NONE, error))
        return NULL;
    g_autofree gchar *state = g_key_file_get_string(note, GROUP, "state", NULL);
    entry->migration = g_key_file_get_string(note, GROUP, "migration", NULL);
    entry->vm_uuid = g_key_file_get_string(note, GROUP, "vm-uuid", NULL);
    entry->vm_name = g_key_file_get_string(note, GROUP, "vm-name", NULL);
    entry->peer = g_key_file_get_string(note, GROUP, "peer", NULL);
    entry->epoch = g_key_file_get_uint64(note, GROUP, "epoch", &no_epoch);
    entry->disks = g_key_file_get_string(note, GROUP, "disks", NULL);
    /* a last line without its end may be a part of one */
    if (size > 0 && text[size - 1] == '\n' && no_epoch == NULL && entry->migration &&
        entry->vm_uuid && g_uuid_string_is_valid(entry->vm_uuid) && entry->vm_name && entry->peer &&
        state && vmf_state_from_name(state, &entry->state)) {
        entry->role = vmf_state_role(entry->state);
        return g_steal_pointer(&entry);
    }
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL, "'%s' is no note of a move", path);
    return NULL;
}

void
vmf_move_note_remove(const VmfContext *context, const char *uuid, const char *migration)
{
    g_autofree gchar *path = path_of(context, uuid);
    g_autoptr(VmfJournalEntry) entry = read_note(path, NULL);
    if (entry == NULL || strcmp(entry->migration, migration) == 0)
        unlink(path);
}

GPtrArray *
vmf_move_note_list(const VmfContext *context)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)vmf_journal_entry_free);
    g_autoptr(GDir) folder = g_dir_open(context->run_dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder)) != NULL) {
        if (!g_str_has_suffix(name, SUFFIX))
            continue;
        g_autoptr(GError) error = NULL;
        g_autofree gchar *path = g_build_filename(context->run_dir, name, NULL);
        VmfJournalEntry *entry = read_note(path, &error);
        if (entry)
            g_ptr_array_add(list, entry);
        else
            g_warning("%s", error->message);
    }
    return list;
}
