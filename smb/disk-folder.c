/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

gboolean
vmf_disk_folder_is_plain(int fd)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return FALSE;
    errno = EPERM;
    return S_ISREG(facts.st_mode) && facts.st_nlink == 1;
}

/* (transfer full) */
static gchar *
read_end(int fd, gsize max, gsize *size)
{
    struct stat facts;
    if (!vmf_disk_folder_is_plain(fd) || fstat(fd, &facts) != 0)
        return NULL;
    gsize wanted = MIN((gsize)facts.st_size, max);
    g_autofree gchar *text = g_malloc0(wanted + 1);
    ssize_t got = pread(fd, text, wanted, facts.st_size - (off_t)wanted);
    if (got < 0)
        return NULL;
    *size = (gsize)got;
    return g_steal_pointer(&text);
}

gchar *
vmf_disk_folder_read_end(const char *folder, const char *name, gsize max, gsize *size)
{
    int at = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (at < 0)
        return NULL;
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    close(at);
    if (fd < 0)
        return NULL;
    gchar *text = read_end(fd, max, size);
    close(fd);
    return text;
}
