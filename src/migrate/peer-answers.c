/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/migrate/peer-answers.h"

#include "src/base/error.h"
#include "src/vm/cookie.h"

gboolean
vmf_peer_answer_error(GError **error, const char *fqdn)
{
    gboolean ours = (*error)->domain == VMF_ERROR && (*error)->code >= 0 &&
                    (*error)->code <= VMF_ERROR_INTERNAL;
    vmf_error_from_dbus(error, fqdn);
    if (ours)
        g_prefix_error(error, "%s: ", fqdn);
    return ours;
}

gboolean
vmf_peer_answer_cancelled(const GError *error, GCancellable *cancellable)
{
    return g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) &&
           g_cancellable_is_cancelled(cancellable);
}

gboolean
vmf_peer_answer_hello(guint protocol, const char *fqdn, GError **error)
{
    if (protocol == VMF_PEER_PROTOCOL)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_UNSUPPORTED,
                "vmferryd on %s speaks peer protocol %u, this one %d; bring both to one version",
                fqdn, protocol, VMF_PEER_PROTOCOL);
    return FALSE;
}

GBytes *
vmf_peer_answer_prepare(const VmfPeerAsked *asked, GVariant *answer, GError **error)
{
    g_autoptr(GBytes) raw = g_variant_get_data_as_bytes(answer);
    GBytes *cookie = vmf_cookie_rebuild(VMF_COOKIE_PREPARE, raw, asked->uuid, asked->name, error);
    if (cookie == NULL)
        g_prefix_error(error, "%s: ", asked->fqdn);
    return cookie;
}

gboolean
vmf_peer_answer_grant(const VmfPeerAsked *asked, guint64 new_epoch, GError **error)
{
    if (new_epoch == asked->epoch + 1)
        return TRUE;
    g_set_error(error, VMF_ERROR, VMF_ERROR_PROTOCOL,
                "%s says that it owns '%s' under epoch %" G_GUINT64_FORMAT
                ", which was granted under %" G_GUINT64_FORMAT "; look at vmferryd there",
                asked->fqdn, asked->name, new_epoch, asked->epoch);
    return FALSE;
}

GBytes *
vmf_peer_answer_finished(const VmfPeerAsked *asked, GVariant *answer)
{
    g_autoptr(GBytes) raw = g_variant_get_data_as_bytes(answer);
    return g_bytes_get_size(raw) == 0
               ? NULL
               : vmf_cookie_rebuild(VMF_COOKIE_FINISH, raw, asked->uuid, asked->name, NULL);
}

gboolean
vmf_peer_answer_clock(gint64 ours_us, gint64 its_us, gint64 *ahead_ms)
{
    gint64 ahead_us;
    if (its_us <= 0 || __builtin_sub_overflow(ours_us, its_us, &ahead_us))
        return FALSE;
    *ahead_ms = ahead_us / 1000;
    return TRUE;
}
