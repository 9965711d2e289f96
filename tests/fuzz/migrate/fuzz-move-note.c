/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The note of a move, which counts when the journal is lost: whole and of its form, or left out. The disks
 * that it, or the journal, names are read line by line and written again the same, or refused.
 */
#include <string.h>

#include "src/base/error.h"
#include "src/migrate/move-note.h"
#include "src/migrate/vm-disks.h"
#include "tests/fuzz/folder.h"

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size);

static GLogWriterOutput
be_quiet(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    return G_LOG_WRITER_HANDLED;
}

static void
check_disks(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) disks = vmf_vm_disks_from_text(text, "demo", &error);
    g_assert_true((disks == NULL) == (error != NULL));
    if (disks == NULL) {
        g_assert_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_assert_cmpuint(strlen(error->message), <, 2000);
        return;
    }
    g_autofree gchar *again = vmf_vm_disks_to_text((const VmfDomainDisk *const *)disks->pdata,
                                                   disks->len);
    g_assert_cmpstr(again, ==, text);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
    static gboolean quiet;
    if (!quiet)
        g_log_set_writer_func(be_quiet, NULL, NULL);
    quiet = TRUE;
    g_autofree gchar *text = g_strndup(size ? (const gchar *)data : "", size);
    check_disks(text);
    const VmfContext context = {.run_dir = fuzz_folder()};
    const char *path = fuzz_file("11111111-2222-4333-8444-555555555555.move", data, size);
    g_autoptr(GPtrArray) list = vmf_move_note_list(&context);
    g_assert_cmpuint(list->len, <=, 1);
    g_unlink(path);
    if (list->len == 0)
        return 0;
    const VmfJournalEntry *entry = list->pdata[0];
    g_assert_true(entry->migration && entry->vm_name && entry->peer);
    g_assert_true(g_uuid_string_is_valid(entry->vm_uuid));
    g_assert_cmpint(vmf_state_role(entry->state), ==, entry->role);
    if (entry->disks)
        check_disks(entry->disks);
    return 0;
}
