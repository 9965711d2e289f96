/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* Carries every connection made to one unix socket on to another one, in both directions. */
typedef struct Relay Relay;

/* Listens on @from at once; connects to @to for each connection. Aborts when it cannot listen. */
Relay *relay_start(const char *from, const char *to);
/* Ends the listening and every carried connection, waits for its threads; removes @from. */
void relay_stop(Relay *relay);
guint64 relay_bytes(Relay *relay);
