/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/*
 * Named places in the code at which a test can hold a process, and let it go on or kill it there.
 *
 * Compiled only with -Dfault_points=true; otherwise each macro is nothing, and no name of a point is
 * in any binary (tests/unit/base/no-fault-points). What installs vmferry never sets the option.
 *
 * Operations. A point is armed by a listening socket /run/vmferry-faults/NAME. A process that comes
 * to an armed point connects, and waits until the connection ends. So the test knows by accept() that
 * the process is there, and who it is (SO_PEERCRED); it lets go by closing; and its own end lets
 * everybody go. At a point that is not armed, connect() fails at once.
 */

/* called when the guest is paused for the last bytes of its memory, which then wait in the stream */
#define VMF_FAULT_POINT_PAUSED "source.memory.end"

#ifdef VMF_FAULT_POINTS

/** vmf_fault_point() - wait here if a test wants it. Any thread; holds whatever locks are held */
void vmf_fault_point(const char *name);

/**
 * vmf_fault_point_past() - the same, once a stream has grown past @threshold
 * @total: of its bytes, the last @added of them new
 */
void vmf_fault_point_past(const char *name, guint64 threshold, guint64 total, guint64 added);

/** vmf_fault_point_call() - whoever comes by vmf_fault_point_called() next waits there */
void vmf_fault_point_call(const char *name);
void vmf_fault_point_called(const char *name);

/**
 * vmf_fault_point_share() - vmf_fault_point_call() raises @flag too, in memory shared with the process
 *   that is to wait: with vmf_fault_point_raised()
 * @on: from now on; or no longer
 */
void vmf_fault_point_share(_Atomic guint32 *flag, gboolean on);
void vmf_fault_point_raised(const char *name, _Atomic guint32 *flag);

#else

#define vmf_fault_point(name)                               ((void)0)
#define vmf_fault_point_past(name, threshold, total, added) ((void)0)
#define vmf_fault_point_call(name)                          ((void)0)
#define vmf_fault_point_called(name)                        ((void)0)
#define vmf_fault_point_share(flag, on)                     ((void)0)
#define vmf_fault_point_raised(name, flag)                  ((void)0)

#endif
