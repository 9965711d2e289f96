/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "smb/disk-set.h"

/*
 * Lines: the short way to the owner thread, for the orders that a guest stands still for. A line is
 * one end of a socket pair, the other of which was handed out over D-Bus to somebody who was let in.
 * The owner thread reads an order from it, does it, and answers: one way between threads in each
 * direction, instead of the four of a D-Bus call.
 *
 * Failure model. Whoever says what is no order is answered with an error, or hung up on when it is
 * not even a datagram of that size. A caller that goes away changes nothing: its order runs to
 * its end.
 */

typedef struct {
    GMainContext *context; /* the owner thread's */
    VmfDiskSet *set;       /* set before the first line is opened */
    void (*done)(gpointer data);
    gpointer data; /* of @done, called in the owner thread after each order */
    gint open;     /* atomic */
} VmfDiskLines;

#define VMF_DISK_LINES_MAX 16

/**
 * vmf_disk_line_open() - another line, from any thread
 *
 * It ends when its other end is closed, or with the context, before which @lines must not go.
 *
 * Returns: the other end, close-on-exec, the caller's; -1 with VMF_ERROR_BUSY: there are too many
 */
int vmf_disk_line_open(VmfDiskLines *lines, GError **error);
