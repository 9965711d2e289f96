/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/disk-log.h"

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SIZE (1024 * 1024) /* a process that is in trouble for weeks fills no disk */

static int log_fd = STDERR_FILENO;

static const char *
level_name(GLogLevelFlags level)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
        return "error";
    return level & G_LOG_LEVEL_WARNING ? "warning" : "note";
}

static GLogWriterOutput
write_line(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
    const char *message = "";
    if (level & G_LOG_LEVEL_DEBUG)
        return G_LOG_WRITER_HANDLED;
    for (gsize i = 0; i < n_fields; i++)
        if (strcmp(fields[i].key, "MESSAGE") == 0)
            message = fields[i].value;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree gchar *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
    g_autofree gchar *line = g_strdup_printf("%s %s: %s\n", time, level_name(level), message);
    if (log_fd != STDERR_FILENO && lseek(log_fd, 0, SEEK_END) > MAX_SIZE &&
        ftruncate(log_fd, 0) != 0)
        return G_LOG_WRITER_UNHANDLED;
    return write(log_fd, line, strlen(line)) > 0 ? G_LOG_WRITER_HANDLED : G_LOG_WRITER_UNHANDLED;
}

void
vmf_disk_log_open(const char *path)
{
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        log_fd = fd;
    g_log_set_writer_func(write_line, NULL, NULL);
}
