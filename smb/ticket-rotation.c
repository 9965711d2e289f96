/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "smb/ticket-times.h"

#define HOUR_S 3600

gint64
vmf_ticket_rotation_due(VmfTicketTimes times)
{
    gint64 life = times.end - times.start;
    gint64 due = times.start + life / 5 * 4;
    if (life >= 5 * HOUR_S)
        due = MIN(due, times.end - HOUR_S);
    return due;
}
