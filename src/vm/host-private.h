/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <libvirt/libvirt.h>

#include "src/vm/host.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNetwork, virNetworkFree)

/*
 * Lock order: dispatch, then state.
 */
struct VmfHost {
    gatomicrefcount references;
    gchar *uri;

    GMutex state;       /* guards the next six; never held while libvirt waits or a func runs */
    GCond changed;      /* closing was set */
    virConnectPtr conn; /* NULL: not connected */
    int event_id;
    gboolean closing;
    gboolean returning;
    GThread *returner; /* connects again after a loss, while there are subscribers */

    GMutex memory;          /* guards the next two; never held while libvirt waits */
    GHashTable *remembered; /* what this libvirtd answered, by question */
    virConnectPtr of;       /* whose answers they are; compared only */

    GRecMutex dispatch;     /* held while subscribers are called: see vmf_host_unsubscribe() */
    GPtrArray *subscribers; /* of Subscriber; guarded by dispatch */
    guint last_id;
};

/* The connection, made when there is none. (transfer full) */
virConnect *vmf_host_connection(VmfHost *host, GError **error);

/* By UUID, else by name; the connection lives as long as the domain. (transfer full) */
virDomain *vmf_host_domain(VmfHost *host, const char *uuid_or_name, GError **error);

/*
 * An answer that a running libvirtd does not change: asked for once per connection. @ask's result is
 * to be freed with free(); NULL is an error with libvirt's text, and is not remembered.
 * (transfer full)
 */
gchar *vmf_host_remembered(VmfHost *host, virConnect *conn, const char *question,
                           char *(*ask)(virConnect *conn, gconstpointer data), gconstpointer data,
                           GError **error);

/* host-events.c: called with a new connection, before anybody else has it */
gboolean vmf_host_events_attach(VmfHost *host, virConnect *conn, int *event_id, GError **error);
void vmf_host_events_detach(virConnect *conn, int event_id);
void vmf_host_events_free(VmfHost *host);
/* Tell every subscriber of @uuid (NULL: host-wide news for all). */
void vmf_host_events_tell(VmfHost *host, const char *uuid, VmfVmEvent event);
gboolean vmf_host_events_wanted(VmfHost *host);
