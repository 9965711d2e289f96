/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>
#include <libsmbclient.h>

/*
 * The search of share-find.h, in the process `vmferry-share-probe FOLDER find`.
 */

/**
 * vmf_share_find_scan() - search
 * @context: connected with the first folder
 * @request: VMF_FIND_REQUEST
 *
 * Returns: (transfer full): VMF_FIND_ANSWER
 */
GVariant *vmf_share_find_scan(SMBCCTX *context, GVariant *request);
