/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/share.h"

#include "src/base/error.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static const VmfShareAnswer dead_answer = {VMF_SHARE_DEAD, ENOTCONN};

/* Every answer passes here: a lost session is marked, so that nothing is sent on it again. */
static VmfShareAnswer
noted(VmfShareSession *session, VmfShareAnswer answer)
{
    if (vmf_share_is_lost(answer))
        session->dead = TRUE;
    return answer;
}

void
vmf_share_free(VmfShare *share)
{
    if (share != NULL)
        share->ops->free(share);
}

gint64
vmf_share_ticket_end(VmfShare *share)
{
    return share->ops->ticket_end(share);
}

VmfShareSession *
vmf_share_session_new(VmfShare *share, GError **error)
{
    return share->ops->session_new(share, error);
}

void
vmf_share_session_break(VmfShareSession *session)
{
    session->ops->session_break(session);
}

void
vmf_share_session_free(VmfShareSession *session)
{
    if (session != NULL)
        session->ops->session_free(session);
}

VmfShareAnswer
vmf_share_open(VmfShareSession *session, const VmfShareUrl *url, VmfShareMode mode,
               VmfShareFile **file)
{
    if (session->dead)
        return dead_answer;
    return noted(session, session->ops->open(session, url, mode, file));
}

VmfShareAnswer
vmf_share_make_folder(VmfShareSession *session, const VmfShareUrl *url)
{
    if (session->dead)
        return dead_answer;
    return noted(session, session->ops->make_folder(session, url));
}

VmfShareAnswer
vmf_share_rename(VmfShareSession *session, const VmfShareUrl *from, const VmfShareUrl *to)
{
    if (session->dead)
        return dead_answer;
    return noted(session, session->ops->rename(session, from, to));
}

VmfShareAnswer
vmf_share_close(VmfShareFile *file)
{
    VmfShareSession *session = file->session;
    gboolean was_dead = session->dead;
    VmfShareAnswer answer = session->ops->close(file);
    return was_dead ? dead_answer : noted(session, answer);
}

VmfShareAnswer
vmf_share_size(VmfShareFile *file, guint64 *size)
{
    VmfShareSession *session = file->session;
    return session->dead ? dead_answer : noted(session, session->ops->size(file, size));
}

VmfShareAnswer
vmf_share_read(VmfShareFile *file, void *buffer, gsize count, guint64 offset, gsize *got)
{
    VmfShareSession *session = file->session;
    if (session->dead)
        return dead_answer;
    return noted(session, session->ops->read(file, buffer, count, offset, got));
}

VmfShareAnswer
vmf_share_write(VmfShareFile *file, const void *buffer, gsize count, guint64 offset)
{
    VmfShareSession *session = file->session;
    if (session->dead)
        return dead_answer;
    return noted(session, session->ops->write(file, buffer, count, offset));
}

VmfShareAnswer
vmf_share_flush(VmfShareFile *file)
{
    VmfShareSession *session = file->session;
    return session->dead ? dead_answer : noted(session, session->ops->flush(file));
}

gboolean
vmf_share_hung_up(const VmfShareSession *session)
{
    if (session->dead)
        return TRUE;
    struct pollfd watch = {.fd = session->watch_fd, .events = POLLRDHUP};
    return poll(&watch, 1, 0) == 1 && (watch.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* The commands that grant it: Samba's, and Windows's on the file server. */
static gchar *
describe_cure(const VmfShareUrl *url, const char *account)
{
    g_autofree gchar *short_server = g_strndup(url->server, strcspn(url->server, "."));
    g_autofree gchar *windows_path = g_strdelimit(g_strdup(url->path), "/", '\\');
    return g_strdup_printf(
        "smbcacls '//%s/%s' '%s' -a 'ACL:%s:ALLOWED/0x0/FULL'  or  "
        "icacls '\\\\%s\\%s\\%s' /grant '%s:(F)'  (better: for a group of hosts)",
        url->server, url->share, url->path, account, short_server, url->share, windows_path,
        account);
}

static void
set_denied(GError **error, const VmfShareSession *session, const char *what, const char *unc,
           const VmfShareUrl *url, const char *account, gboolean write)
{
    if (session != NULL && !session->known) {
        g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                    "%s '%s' as %s: the file server refused the logon or the share '%s' "
                    "(access denied); check the host's computer account, its clock, and the "
                    "share's own permissions",
                    what, unc, account, url->share);
        return;
    }
    g_autofree gchar *cure = describe_cure(url, account);
    g_set_error(error, VMF_ERROR, VMF_ERROR_DENIED,
                "%s '%s': %s may not %s (access denied); grant it with  %s", what, unc, account,
                write ? "write" : "read", cure);
}

void
vmf_share_set_error(GError **error, const VmfShareSession *session, VmfShareAnswer answer,
                    const char *what, const VmfShareUrl *url, const char *account, gboolean write)
{
    g_autofree gchar *unc = vmf_share_url_unc(url);
    const char *text = answer.os_error != 0 ? g_strerror(answer.os_error) : "no detail";

    switch (answer.status) {
    case VMF_SHARE_OK:
        g_assert_not_reached();
    case VMF_SHARE_DENIED:
        set_denied(error, session, what, unc, url, account, write);
        return;
    case VMF_SHARE_BUSY:
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "%s '%s' as %s: another host holds it open",
                    what, unc, account);
        return;
    case VMF_SHARE_MISSING:
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s '%s' as %s: it does not exist", what,
                    unc, account);
        return;
    case VMF_SHARE_EXISTS:
        g_set_error(error, VMF_ERROR, VMF_ERROR_BUSY, "%s '%s' as %s: it exists already", what, unc,
                    account);
        return;
    case VMF_SHARE_WRONG_TYPE:
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG, "%s '%s' as %s: it is a folder", what, unc,
                    account);
        return;
    case VMF_SHARE_FULL:
        g_set_error(error, VMF_ERROR, VMF_ERROR_CONFIG,
                    "%s '%s' as %s: the share has no room left (%s)", what, unc, account, text);
        return;
    case VMF_SHARE_LOST:
    case VMF_SHARE_DEAD:
        g_set_error(error, VMF_ERROR, VMF_ERROR_UNREACHABLE,
                    "%s '%s' as %s: the file server does not answer (%s)", what, unc, account,
                    text);
        return;
    }
    g_assert_not_reached();
}
