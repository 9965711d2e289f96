/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-client.h"
#include "src/migrate/context.h"
#include "src/vm/domain.h"

/*
 * The disk process of a VM of this host: judged, started, made owner, ended.
 *
 * Failure model. A disk process outlives vmferryd, so every function first looks for one that
 * runs. Starting a VM whose record names another host fails: taking over from a dead host is a
 * decision of its own, never a side effect of a start.
 */

/**
 * VmfVmDisks - a VM and its disks behind share connections; nothing is owned
 * @disks: as vmf_domain_edit_urls() finds them in a definition this host trusts, or those of a rebuilt one
 */
typedef struct {
    const char *uuid, *name;
    const VmfDomainDisk *const *disks;
    guint n_disks;
} VmfVmDisks;

/** vmf_vm_disks_judge() - each disk's URL against the rules for paths and the allowed shares */
gboolean vmf_vm_disks_judge(const VmfContext *context, const VmfVmDisks *vm, GError **error);

/**
 * vmf_vm_disks_launch() - a disk process with a closed gate; one that runs already is taken
 *
 * Also makes QEMU's folder for the migration's socket (qemu-socket.h). Returns: (transfer full)
 */
VmfDiskClient *vmf_vm_disks_launch(const VmfContext *context, const VmfVmDisks *vm, GError **error);

/** vmf_vm_disks_launch_new() - the same, for a VM that has none here; VMF_ERROR_BUSY: it has */
VmfDiskClient *
vmf_vm_disks_launch_new(const VmfContext *context, const VmfVmDisks *vm, GError **error);

/**
 * vmf_vm_disks_start() - own the disks and open the gate, for a VM that is about to start here
 *
 * Takes a VM that nobody owns: no record yet, state stopped, or this host's own from before.
 *
 * @definition: its copy on the share is brought up to date
 *
 * Returns: VMF_ERROR_BUSY when another host owns it: says whom, and what to do
 */
gboolean vmf_vm_disks_start(const VmfContext *context, const VmfVmDisks *vm, const char *definition,
                            GError **error);

/**
 * vmf_vm_disks_stop() - the VM has ended here: write "stopped", close the disks, end the process
 *
 * Where the record names another host by now (the VM moved), it is left as it is.
 * No disk process: success. What fails is tried again by the keeper of @context until it succeeds,
 * or the VM is started again; a disk process that is just coming up is ended then.
 */
gboolean vmf_vm_disks_stop(const VmfContext *context, const char *uuid, GError **error);

/** vmf_vm_disks_to_text() - "vda raw smb://…\n…" for the journal. (transfer full) */
gchar *vmf_vm_disks_to_text(const VmfDomainDisk *const *disks, guint n_disks);

/**
 * vmf_vm_disks_from_text() - the reverse
 * @name: the VM's, for the message
 *
 * Returns: (transfer full) (element-type VmfDomainDisk): VMF_ERROR_PROTOCOL, with the line: it is not
 *   what vmf_vm_disks_to_text() writes, or was cut within a line
 */
GPtrArray *vmf_vm_disks_from_text(const char *text, const char *name, GError **error);

/**
 * vmf_vm_disks_find() - the disk process of a VM whose move was interrupted
 *
 * The running one; else a new one, to ask the owner record through. It takes up the disks only if
 * the one before it was killed with an open gate and the record still names this host and epoch.
 * @text: of vmf_vm_disks_to_text(); NULL: libvirt is asked for the definition
 *
 * Returns: (transfer full); VMF_ERROR_CONFIG: nothing on this host knows its disks (any more);
 *   VMF_ERROR_PROTOCOL: @text is damaged
 */
VmfDiskClient *vmf_vm_disks_find(const VmfContext *context, const char *uuid, const char *name,
                                 const char *text, GError **error);

/** vmf_vm_disks_list() - (transfer full): UUIDs of VMs with a folder in @run_dir, NULL-terminated */
gchar **vmf_vm_disks_list(const VmfContext *context);

/** vmf_vm_disks_has_ended() - the disk process that @disks talked to is gone, as far as is known */
gboolean vmf_vm_disks_has_ended(VmfDiskClient *disks);

/** vmf_vm_disks_write_was_lost() - one that died since the claim had not answered all writes, or may not have */
gboolean vmf_vm_disks_write_was_lost(const VmfContext *context, const char *uuid);

/*
 * The mark of an incoming VM whose disks have not been written to here: @run_dir/UUID/untouched.
 * Made before memory comes; the disk process removes it before the first write that it sends.
 * Where it is found, the source can go on with its copy of the guest's memory: that outlives
 * vmferryd, QEMU and the disk process. A restart of the host empties @run_dir: no mark, no proof.
 */
gboolean vmf_vm_disks_mark(const VmfContext *context, const char *uuid, GError **error);
gboolean vmf_vm_disks_is_marked(const VmfContext *context, const char *uuid);
void vmf_vm_disks_unmark(const VmfContext *context, const char *uuid); /* the move is over */

/** vmf_local_user() - uid and gid of a user the policy file names; VMF_ERROR_CONFIG: none such */
gboolean vmf_local_user(const char *name, const char *key, uid_t *uid, gid_t *gid, GError **error);
