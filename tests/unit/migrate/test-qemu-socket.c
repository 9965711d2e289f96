/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/qemu-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "src/base/error.h"

#define UUID "11111111-2222-4333-8444-555555555555"

/* A run folder, and beside it what somebody would like to have. As root, QEMU's user is another. */
typedef struct {
    gchar *root, *run, *prize, *out, *in;
    uid_t uid;
    gid_t gid;
} Host;

static Host
host_new(void)
{
    g_autoptr(GError) error = NULL;
    Host host = {.root = g_dir_make_tmp("qemu-socket-XXXXXX", &error)};
    g_assert_no_error(error);
    g_assert_cmpint(g_chmod(host.root, 0755), ==, 0);
    host.run = g_build_filename(host.root, "run", NULL);
    host.prize = g_build_filename(host.root, "prize", NULL);
    host.out = vmf_qemu_socket_out(host.run, UUID);
    host.in = vmf_qemu_socket_in(host.run, UUID);
    host.uid = geteuid() == 0 ? 12345 : geteuid();
    host.gid = geteuid() == 0 ? 12345 : getegid();
    g_assert_cmpint(g_mkdir(host.run, 0755), ==, 0);
    g_assert_cmpint(g_mkdir(host.prize, 0750), ==, 0);
    return host;
}

static void
host_clear(Host *host)
{
    const gchar *argv[] = {"rm", "-rf", host->root, NULL};
    g_spawn_sync(NULL, (gchar **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
    g_free(host->root);
    g_free(host->run);
    g_free(host->prize);
    g_free(host->out);
    g_free(host->in);
}

static void
assert_is(const char *path, mode_t kind, mode_t mode, uid_t uid)
{
    struct stat facts;
    g_assert_cmpint(lstat(path, &facts), ==, 0);
    g_assert_cmpuint(facts.st_mode & S_IFMT, ==, kind);
    if (kind != S_IFLNK)
        g_assert_cmpuint(facts.st_mode & 07777, ==, mode);
    g_assert_cmpuint(facts.st_uid, ==, uid);
}

static void
make(const Host *host)
{
    g_autoptr(GError) error = NULL;
    vmf_qemu_socket_make_folders(host->run, UUID, host->uid, host->gid, &error);
    g_assert_no_error(error);
}

static void
assert_folders(const Host *host)
{
    g_autofree gchar *all = g_path_get_dirname(host->out);
    g_autofree gchar *own = g_path_get_dirname(host->in);
    assert_is(all, S_IFDIR, 0711, geteuid());
    assert_is(own, S_IFDIR, 0700, host->uid);
}

static void
test_folders(void)
{
    Host host = host_new();
    mode_t before = umask(0077);
    make(&host);
    assert_folders(&host);
    make(&host);
    assert_folders(&host);
    umask(before);
    host_clear(&host);
}

/* One of them is a link to something else: that is given to nobody. */
static void
test_folder_link(void)
{
    for (guint own = 0; own < 2; own++) {
        Host host = host_new();
        g_autoptr(GError) error = NULL;
        make(&host);
        g_autofree gchar *path = g_path_get_dirname(own ? host.in : host.out);
        g_autofree gchar *aside = g_strconcat(host.run, "/aside", NULL);
        g_assert_cmpint(rename(path, aside), ==, 0);
        g_assert_cmpint(symlink(host.prize, path), ==, 0);
        g_assert_false(vmf_qemu_socket_make_folders(host.run, UUID, host.uid, host.gid, &error));
        g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
        assert_is(host.prize, S_IFDIR, 0750, geteuid());
        g_autoptr(GDir) inside = g_dir_open(host.prize, 0, NULL);
        g_assert_null(g_dir_read_name(inside));
        host_clear(&host);
    }
}

static void
test_listen(void)
{
    Host host = host_new();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *file = g_build_filename(host.prize, "file", NULL);
    make(&host);
    g_assert_true(g_file_set_contents_full(file, "mine", -1, G_FILE_SET_CONTENTS_NONE, 0640, NULL));
    for (guint round = 0; round < 2; round++) { /* in the place of a link, and of a socket */
        if (round == 0)
            g_assert_cmpint(symlink(file, host.out), ==, 0);
        int fd = vmf_qemu_socket_listen(host.out, host.uid, host.gid, &error);
        g_assert_no_error(error);
        assert_is(host.out, S_IFSOCK, 0600, host.uid);
        int client = vmf_qemu_socket_connect(host.out, geteuid(), &error);
        g_assert_no_error(error);
        close(client);
        close(fd);
    }
    assert_is(file, S_IFREG, 0640, geteuid());
    host_clear(&host);
}

static int
listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/* QEMU's folder has a link to another user's socket, as libvirtd's is: nothing is said there. */
static void
test_connect_elsewhere(void)
{
    Host host = host_new();
    g_autoptr(GError) error = NULL;
    g_autofree gchar *privileged = g_build_filename(host.prize, "sock", NULL);
    make(&host);
    int fd = listen_on(privileged);
    g_assert_cmpint(symlink(privileged, host.in), ==, 0);
    uid_t qemu = geteuid() + 1; /* who listens is not QEMU's user, whoever runs this test */
    g_assert_cmpint(vmf_qemu_socket_connect(host.in, qemu, &error), ==, -1);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_DENIED);
    g_assert_nonnull(strstr(error->message, host.in));
    char byte;
    int heard = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(recv(heard, &byte, 1, 0), ==, 0);
    close(heard);
    close(fd);
    host_clear(&host);
}

static void
test_connect(void)
{
    Host host = host_new();
    g_autoptr(GError) error = NULL;
    make(&host);
    g_assert_cmpint(vmf_qemu_socket_connect(host.in, geteuid(), &error), ==, -1);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    g_clear_error(&error);
    int fd = listen_on(host.in);
    int client = vmf_qemu_socket_connect(host.in, geteuid(), &error);
    g_assert_no_error(error);
    close(client);
    close(fd);
    host_clear(&host);
}

static void
test_too_long(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *run = g_strnfill(100, 'x');
    g_autofree gchar *path = vmf_qemu_socket_in(run, UUID);
    g_assert_cmpint(vmf_qemu_socket_connect(path, 0, &error), ==, -1);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
    g_clear_error(&error);
    g_assert_cmpint(vmf_qemu_socket_listen(path, 0, 0, &error), ==, -1);
    g_assert_error(error, VMF_ERROR, VMF_ERROR_INTERNAL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-socket/folders/made", test_folders);
    g_test_add_func("/qemu-socket/folders/link-not-followed", test_folder_link);
    g_test_add_func("/qemu-socket/listen/link-not-followed", test_listen);
    g_test_add_func("/qemu-socket/connect/qemu-s-user", test_connect);
    g_test_add_func("/qemu-socket/connect/another-user-refused", test_connect_elsewhere);
    g_test_add_func("/qemu-socket/path/too-long", test_too_long);
    return g_test_run();
}
