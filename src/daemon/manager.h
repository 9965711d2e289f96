/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/daemon/daemon.h"

/** vmf_manager_export() - org.vmferry1.Manager at /org/vmferry1; calls run in GLib's thread pool */
gboolean vmf_manager_export(VmfDaemon *daemon, GError **error);
