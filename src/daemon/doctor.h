/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/daemon/daemon.h"

/*
 * Is this host set up right, and who are the others: what an administrator looks at first.
 */

/** vmf_doctor_examine() - Returns: a floating aa{sv}, as org.vmferry1.Manager.Doctor says */
GVariant *vmf_doctor_examine(VmfDaemon *daemon);

/** vmf_doctor_hosts() - Returns: a floating aa{sv}, as org.vmferry1.Manager.Hosts says */
GVariant *vmf_doctor_hosts(VmfDaemon *daemon, GError **error);
