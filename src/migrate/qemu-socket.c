/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/qemu-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "src/base/error.h"

#define FOLDER "mig"
#define PREFIX "libvirt-"

gchar *
vmf_qemu_socket_out(const char *run_dir, const char *uuid)
{
    g_autofree gchar *name = g_strconcat(PREFIX, uuid, ".out", NULL);
    return g_build_filename(run_dir, FOLDER, name, NULL);
}

gchar *
vmf_qemu_socket_in(const char *run_dir, const char *uuid)
{
    g_autofree gchar *name = g_strconcat(PREFIX, uuid, NULL);
    return g_build_filename(run_dir, FOLDER, name, "in", NULL);
}

static void
fail(GError **error, const char *doing, const char *path)
{
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "cannot %s '%s': %s", doing, path,
                g_strerror(errno));
}

/* Returns: a descriptor of the folder itself, whatever may have taken its name; -1: errno */
static int
folder_in(int parent, const char *name, mode_t mode, uid_t uid, gid_t gid)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fchown(fd, uid, gid) == 0 && fchmod(fd, mode) == 0)
        return fd;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

gboolean
vmf_qemu_socket_make_folders(const char *run_dir, const char *uuid, uid_t uid, gid_t gid,
                             GError **error)
{
    g_autofree gchar *name = g_strconcat(PREFIX, uuid, NULL);
    int run = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int all = run >= 0 ? folder_in(run, FOLDER, 0711, geteuid(), getegid()) : -1;
    int own = all >= 0 ? folder_in(all, name, 0700, uid, gid) : -1;
    if (own < 0)
        g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL,
                    "cannot make '%s/" FOLDER "/%s' for QEMU's user: %s", run_dir, name,
                    g_strerror(errno));
    const int fds[] = {run, all, own};
    for (gsize i = 0; i < G_N_ELEMENTS(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return own >= 0;
}

static gboolean
set_address(struct sockaddr_un *address, const char *path, GError **error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (g_strlcpy(address->sun_path, path, sizeof address->sun_path) < sizeof address->sun_path)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_INTERNAL, "socket path '%s' is too long", path);
    return FALSE;
}

/* Nobody can connect before listen(): the socket has its user and mode by then. */
int
vmf_qemu_socket_listen(const char *path, uid_t uid, gid_t gid, GError **error)
{
    struct sockaddr_un address;
    if (!set_address(&address, path, error))
        return -1;
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        chmod(path, 0600) == 0 && lchown(path, uid, gid) == 0 && listen(fd, 1) == 0)
        return fd;
    fail(error, "listen on", path);
    if (fd >= 0)
        close(fd);
    return -1;
}

static gboolean
is_of(int fd, uid_t uid, const char *path, GError **error)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        fail(error, "tell who listens on", path);
        return FALSE;
    }
    if (peer.uid == uid)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "on '%s' a process of user %u listens, not QEMU's of user %u: nothing is sent "
                "there; look at who has put it in QEMU's folder",
                path, (guint)peer.uid, (guint)uid);
    return FALSE;
}

int
vmf_qemu_socket_connect(const char *path, uid_t uid, GError **error)
{
    struct sockaddr_un address;
    if (!set_address(&address, path, error))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail(error, "connect to", path);
    else if (is_of(fd, uid, path, error))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}
