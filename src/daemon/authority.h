/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gio/gio.h>

/*
 * Who on this host may call what of org.vmferry1: one action of polkit for each verb.
 *
 * Operations. The caller is whoever the bus says sent the message, by the user's number; nothing that
 * the message itself says counts. Root may do everything and is not asked about. libvirt's hook is root.
 * For anyone else polkitd is asked (org.freedesktop.PolicyKit1, Authority.CheckAuthorization, for the
 * caller's bus name): its answer is final, so that its rules may also take a verb from the group. The
 * rules that come with vmferry give the group everything (org.vmferry1.rules); what everybody may is
 * in org.vmferry1.policy. On a host without polkitd, members of the group may do everything and anyone
 * may read.
 *
 * A caller outside the group has a few calls under way at a time: what it may ask for costs this host
 * some work, and an administrator's calls share the threads with it.
 *
 * Failure model. polkitd is there but gives no answer, or does not know the action: the call is
 * refused, and root can go on. What was decided holds for one call; nothing is remembered.
 *
 * Threads. Calls are judged in GLib's pool, before their handlers: the question to polkitd may wait
 * for a person. So a handler may be called when its object has long been unexported: what it needs it
 * holds a reference to.
 */

typedef struct _VmfAuthority VmfAuthority;

/**
 * vmf_authority_new() - @group: whose members may do everything; it need not exist
 * @host: this host's name, for messages
 */
VmfAuthority *vmf_authority_new(const char *group, const char *host);

/** vmf_authority_free() - after the last guarded skeleton is gone */
void vmf_authority_free(VmfAuthority *authority);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfAuthority, vmf_authority_free)

/**
 * vmf_authority_guard() - from now on calls of @skeleton's methods are judged first
 *
 * Each method of its interface has to be known here. A refused call is answered with
 *   VMF_ERROR_DENIED       who may not do what, which action it is, and how it is granted
 *   VMF_ERROR_BUSY         this caller has too many calls under way
 *   VMF_ERROR_UNREACHABLE  polkitd did not answer
 */
void vmf_authority_guard(VmfAuthority *authority, GDBusInterfaceSkeleton *skeleton);
