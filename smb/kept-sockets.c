/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/kept-sockets.h"

#include "src/base/error.h"

#include <string.h>
#include <unistd.h>

#define MAX_NAME 128

struct _VmfKeptSockets {
    GHashTable *fds; /* name to descriptor */
};

static void
close_fd(gpointer fd)
{
    close(GPOINTER_TO_INT(fd));
}

VmfKeptSockets *
vmf_kept_sockets_new(void)
{
    VmfKeptSockets *kept = g_new0(VmfKeptSockets, 1);
    kept->fds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_fd);
    return kept;
}

void
vmf_kept_sockets_free(VmfKeptSockets *kept)
{
    if (kept == NULL)
        return;
    g_hash_table_unref(kept->fds);
    g_free(kept);
}

gboolean
vmf_kept_sockets_keep(VmfKeptSockets *kept, const char *name, int fd, GError **error)
{
    gsize length = strlen(name);
    if (length > 0 && length <= MAX_NAME &&
        (g_hash_table_contains(kept->fds, name) ||
         g_hash_table_size(kept->fds) < VMF_MAX_KEPT_SOCKETS)) {
        g_hash_table_replace(kept->fds, g_strdup(name), GINT_TO_POINTER(fd));
        return TRUE;
    }
    close(fd);
    g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                "the socket '%.*s' is not kept: a name has 1 to %d characters, and %d sockets are "
                "kept at most",
                MAX_NAME, name, MAX_NAME, VMF_MAX_KEPT_SOCKETS);
    return FALSE;
}

void
vmf_kept_sockets_drop(VmfKeptSockets *kept, const char *name)
{
    if (*name == '\0')
        g_hash_table_remove_all(kept->fds);
    else
        g_hash_table_remove(kept->fds, name);
}

GVariant *
vmf_kept_sockets_list(VmfKeptSockets *kept, GUnixFDList **fds, GError **error)
{
    g_autoptr(GUnixFDList) list = g_unix_fd_list_new();
    GVariantBuilder builder;
    GHashTableIter iter;
    gpointer name, fd;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sh}"));
    g_hash_table_iter_init(&iter, kept->fds);
    while (g_hash_table_iter_next(&iter, &name, &fd)) {
        int handle = g_unix_fd_list_append(list, GPOINTER_TO_INT(fd), error);
        if (handle < 0) {
            g_variant_builder_clear(&builder);
            return NULL;
        }
        g_variant_builder_add(&builder, "{sh}", (const char *)name, handle);
    }
    *fds = g_steal_pointer(&list);
    return g_variant_builder_end(&builder);
}
