/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/channel/keys.h"

#include "auth/peer-bytes.h"
#include "auth/service-keytab.h"
#include "src/base/error.h"
#include "src/channel/line.h"
#include "src/channel/owned-fd.h"

#include <string.h>
#include <sys/stat.h>

#define DEFAULT_KEYTAB "/etc/krb5.keytab"
#define EXCHANGE_S     ((gint64)10)

struct _VmfKeys {
    VmfHostIdentity *me;
    gchar *keytab, *program;
    VmfHelperUser user;
    GMutex lock;
    VmfHelper helper; /* line -1: none */
    struct stat read; /* the keytab when it was read */
};

VmfKeys *
vmf_keys_new(const VmfHostIdentity *me, const char *keytab, const char *program,
             const VmfHelperUser *user)
{
    VmfKeys *keys = g_new0(VmfKeys, 1);
    keys->me = vmf_host_identity_copy(me);
    keys->keytab = g_strdup(keytab ? keytab : DEFAULT_KEYTAB);
    keys->program = g_strdup(program);
    keys->user = *user;
    keys->helper.line = -1;
    g_mutex_init(&keys->lock);
    return keys;
}

static void
end_helper(VmfKeys *keys)
{
    if (keys->helper.line < 0)
        return;
    g_autofree gchar *how = vmf_helper_end(&keys->helper);
    g_debug("vmferry-keys: %s", how);
}

void
vmf_keys_free(VmfKeys *keys)
{
    if (keys == NULL)
        return;
    end_helper(keys);
    vmf_host_identity_free(keys->me);
    g_free(keys->keytab);
    g_free(keys->program);
    g_mutex_clear(&keys->lock);
    g_free(keys);
}

static gboolean
same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The lock is held. */
static gboolean
start_helper(VmfKeys *keys, GError **error)
{
    g_autoptr(VmfServiceKeytab) read = vmf_service_keytab_new(keys->me, keys->keytab, error);
    if (read == NULL)
        return FALSE;
    g_auto(VmfOwnedFd) file = vmf_service_keytab_to_fd(read, error);
    const char *argv[] = {keys->program, keys->me->account, keys->me->realm, keys->me->fqdn, NULL};
    return file >= 0 && vmf_helper_start(argv, &keys->user, file, &keys->helper, error);
}

/* The lock is held. */
static gboolean
ensure(VmfKeys *keys, GError **error)
{
    struct stat now = {0};
    /* read anew when in doubt: a keytab that cannot be looked at has words for that */
    if (keys->helper.line >= 0 && stat(keys->keytab, &now) == 0 && same_file(&now, &keys->read))
        return TRUE;
    end_helper(keys);
    (void)stat(keys->keytab, &keys->read);
    return start_helper(keys, error);
}

gboolean
vmf_keys_ensure(VmfKeys *keys, GError **error)
{
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&keys->lock);
    return ensure(keys, error);
}

/* A line to a child of its own for one exchange, or -1. */
static int
order_child(VmfKeys *keys, GError **error)
{
    g_auto(VmfOwnedFd) mine = -1;
    g_auto(VmfOwnedFd) theirs = -1;
    int ends[2];
    if (!vmf_line_pair(ends, error))
        return -1;
    mine = ends[0];
    theirs = ends[1];
    g_autoptr(GMutexLocker) locked = g_mutex_locker_new(&keys->lock);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!ensure(keys, error))
            return -1;
        VmfLineDraft draft = vmf_line_draft(VMF_LINE_EXCHANGE);
        if (vmf_line_send(keys->helper.line, &draft, &ends[1], attempt == 1 ? error : NULL))
            return vmf_owned_fd_steal(&mine);
        end_helper(keys); /* it has ended since: another one */
    }
    return -1;
}

static gboolean
take_answer(const VmfLineMessage *message, GBytes **answer, guint8 key[VMF_TLS_KEY_BYTES],
            VmfPeerIdentity **peer, GError **error)
{
    const VmfLineField *fields = message->fields;
    if (fields[1].size > 0)
        *answer = g_bytes_new(fields[1].data, fields[1].size);
    if (!vmf_line_verdict(message, 0, error))
        return FALSE;
    memcpy(key, fields[2].data, VMF_TLS_KEY_BYTES);
    *peer = vmf_peer_identity_from_bytes(fields[3].data, fields[3].size, error);
    return *peer != NULL;
}

gboolean
vmf_keys_exchange(VmfKeys *keys, const guint8 *token, gsize size, GBytes **answer,
                  guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error)
{
    g_auto(VmfOwnedFd) line = order_child(keys, error);
    if (line < 0)
        return FALSE;
    VmfLineDraft draft = vmf_line_draft(VMF_LINE_ACCEPT);
    vmf_line_add(&draft, token, size);
    g_auto(VmfLineMessage) message = {0};
    gint64 deadline = g_get_monotonic_time() + EXCHANGE_S * G_USEC_PER_SEC;
    g_autoptr(GError) cause = NULL;
    if (vmf_line_send(line, &draft, NULL, &cause) &&
        vmf_line_receive(line, deadline, &message, &cause, VMF_LINE_ACCEPTED, 0))
        return take_answer(&message, answer, key, peer, error);
    g_set_error(error, VMF_ERROR, cause->code,
                "the peer's Kerberos ticket could not be looked into: vmferry-keys: %s",
                cause->message);
    return FALSE;
}
