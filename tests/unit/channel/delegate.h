/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/**
 * delegate_credentials - whether this program, when it initiates, hands its ticket-granting ticket to the other side
 *
 * vmferry never does (auth/gss.h). It takes a forwardable one; "delegating" or "nothing to delegate" is
 * said on stdout. The linker puts delegate.c between auth/ and libgssapi:
 * -Wl,--wrap=gss_init_sec_context.
 */
extern gboolean delegate_credentials;
