/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-list.h"
#include "smb/disk-owner.h"
#include "smb/disk-wire.h"
#include "smb/gate.h"
#include "smb/owner-record.h"

#include <gio/gio.h>
#include <sys/types.h>

/*
 * The disk process of a VM as vmferryd sees it: start it, find it again, talk to it. The protocol
 * is org.vmferry.Disk1.xml, where each verb's meaning and errors are written down; here are its
 * typed forms. No libsmbclient is linked by this.
 *
 * All calls block and may be made from any thread. VMF_ERROR_UNREACHABLE also means that the disk
 * process itself does not answer; then nothing is known about what it did.
 */

/**
 * VmfDiskLaunch - how to start the disk process of one VM
 * @vm_uuid:     the VM's UUID, lower case
 * @account:     whom the share knows us as: "HV1$", for messages and the owner record
 * @owner_sid:   its SID, for the owner record
 * @disks:       the VM's writable disks, all in one folder of one share
 * @plugin_path: NULL: where it is installed
 * @nbdkit_path: NULL: found in PATH
 * @run_dir:     NULL: /run/vmferry; the process lives in @run_dir/@vm_uuid, which is made (0711,
 *               owned by @run_uid)
 * @ccache:      file ticket cache, readable by @run_uid; NULL: @run_dir/smb.cc
 * @resume:      take up what a killed disk process of this VM had, as after a lost session; nothing to
 *               take up: as without
 * @quarantine_ms: how long an unanswered write is waited for after a lost session; 0: 30 s
 * @run_uid, @run_gid: whom the process runs as
 * @qemu_uid, @qemu_gid: whom the NBD socket belongs to (0600)
 */
typedef struct {
    const char *vm_uuid;
    const char *account;
    const char *owner_sid;
    const VmfDiskSpec *disks;
    guint n_disks;
    const char *plugin_path;
    const char *nbdkit_path;
    const char *run_dir;
    const char *ccache;
    gboolean resume;
    guint quarantine_ms;
    uid_t run_uid;
    gid_t run_gid;
    uid_t qemu_uid;
    gid_t qemu_gid;
} VmfDiskLaunch;

typedef struct _VmfDiskClient VmfDiskClient;

/**
 * vmf_disk_client_launch() - start a disk process and wait until it serves
 *
 * It is a daemon afterwards: it does not end with the caller. Its first SMB session is made, each
 * disk is open for reading, the NBD socket is QEMU's.
 *
 * Returns: the process, or NULL with the process's own error (VMF_ERROR_DENIED, _UNREACHABLE,
 *   _CONFIG, _UNSUPPORTED … as it found the disks); nothing is left running then.
 *   VMF_ERROR_BUSY: a disk process of this VM runs already: use vmf_disk_client_connect().
 */
VmfDiskClient *vmf_disk_client_launch(const VmfDiskLaunch *launch, GError **error);

/**
 * vmf_disk_client_connect() - find the running disk process of a VM
 * @run_dir: NULL: /run/vmferry
 *
 * Returns: the process, or NULL with VMF_ERROR_UNREACHABLE when none runs.
 */
VmfDiskClient *vmf_disk_client_connect(const char *run_dir, const char *vm_uuid, GError **error);

VmfDiskClient *vmf_disk_client_ref(VmfDiskClient *client);

/** vmf_disk_client_unref() - forget it; the process itself goes on */
void vmf_disk_client_unref(VmfDiskClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfDiskClient, vmf_disk_client_unref)

/**
 * vmf_disk_client_connection() - for the signals: "closed" of GDBusConnection (the process is
 *   gone), and org.vmferry.Disk1.GateChanged of the object VMF_DISK_OBJECT_PATH
 *
 * Returns: (transfer none)
 */
GDBusConnection *vmf_disk_client_connection(VmfDiskClient *client);

#define VMF_DISK_OBJECT_PATH "/org/vmferry/Disk1"
#define VMF_DISK_INTERFACE   "org.vmferry.Disk1"

/** vmf_disk_client_nbd_socket() - path of the NBD socket. Returns: (transfer none) */
const char *vmf_disk_client_nbd_socket(VmfDiskClient *client);

/**
 * vmf_disk_client_open_line() - from now on Claim, Take and Release go the short way (OpenLine)
 *
 * Nothing fails by it: without a line, or when it is lost, they go by D-Bus. Takes as long as one
 * D-Bus call, once.
 */
void vmf_disk_client_open_line(VmfDiskClient *client);

/** vmf_disk_client_describe() - Returns: never waits for the share; NULL on error */
VmfDiskState *vmf_disk_client_describe(VmfDiskClient *client, GError **error);

/**
 * vmf_disk_client_read_record() - the owner record as it is on the share
 * @present: (out): %FALSE: there is none yet, and @record is untouched
 */
gboolean vmf_disk_client_read_record(VmfDiskClient *client, gboolean *present,
                                     VmfOwnerRecord *record, GError **error);

/** vmf_disk_client_probe() - may this account own the disks? Changes nothing */
gboolean vmf_disk_client_probe(VmfDiskClient *client, GError **error);

/** vmf_disk_client_claim() - become owner; @times may be NULL */
gboolean
vmf_disk_client_claim(VmfDiskClient *client, const VmfOwnerExpect *expected,
                      const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error);

/** vmf_disk_client_take() - become owner and let writes through; VMF_ERROR_UNREACHABLE: say it again */
gboolean
vmf_disk_client_take(VmfDiskClient *client, const VmfOwnerExpect *expected,
                     const VmfOwnerNext *next, guint wait_ms, VmfDiskTimes *times, GError **error);

/** vmf_disk_client_open_gate() - let writes through, as owner with @epoch */
gboolean vmf_disk_client_open_gate(VmfDiskClient *client, guint64 epoch, GError **error);

/** vmf_disk_client_release() - close the disks; @next NULL: the record stays. @times may be NULL */
gboolean vmf_disk_client_release(VmfDiskClient *client, const VmfOwnerNext *next,
                                 VmfDiskTimes *times, GError **error);

/** vmf_disk_client_write_file() - @name in the VM's folder, e.g. "domain.xml"; only while held */
gboolean vmf_disk_client_write_file(VmfDiskClient *client, const char *name, const char *content,
                                    GError **error);

/** vmf_disk_client_read_file() - Returns: the text, or NULL; VMF_ERROR_CONFIG: no such file */
gchar *vmf_disk_client_read_file(VmfDiskClient *client, const char *name, GError **error);

/** vmf_disk_client_quit() - end the process, and wait until it is gone */
gboolean vmf_disk_client_quit(VmfDiskClient *client, GError **error);
