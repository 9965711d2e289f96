/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/daemon/daemon.h"

/*
 * The VMs of this host as the administrator handles them: list, define, attach, and libvirt's hook.
 */

/** vmf_vm_admin_list() - Returns: a floating aa{sv}, as org.vmferry1.Manager.ListVms says */
GVariant *vmf_vm_admin_list(VmfDaemon *daemon, GError **error);

/** vmf_vm_admin_define() - as Manager.Define. @notes: (transfer full) NULL-terminated */
gchar *vmf_vm_admin_define(VmfDaemon *daemon, const char *xml, gchar ***notes, GError **error);

/** vmf_vm_admin_attach() - as Manager.Attach */
gboolean vmf_vm_admin_attach(VmfDaemon *daemon, const char *vm, const char *target, const char *url,
                             const char *format, GError **error);

/**
 * vmf_vm_admin_hook() - as Manager.Hook
 *
 * libvirt holds the VM's lock while its hook runs: nothing here may ask libvirt.
 */
gboolean vmf_vm_admin_hook(VmfDaemon *daemon, const char *operation, const char *phase,
                           const char *xml, GError **error);

/**
 * vmf_vm_admin_find_disks() - the disk processes that run now, before any hook is served
 *
 * Returns: (transfer full) (element-type utf8): UUIDs
 */
GPtrArray *vmf_vm_admin_find_disks(VmfDaemon *daemon);

/**
 * vmf_vm_admin_reconcile() - end the VM's disk process if the VM ended while nobody listened
 *
 * Waits until libvirt answers. One whose move is unfinished is left to recovery. Blocking
 */
void vmf_vm_admin_reconcile(VmfDaemon *daemon, const char *uuid);

/** vmf_vm_admin_wait_for_libvirt() - until libvirtd answers, however long */
void vmf_vm_admin_wait_for_libvirt(VmfDaemon *daemon);
