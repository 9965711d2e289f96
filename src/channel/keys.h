/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "auth/host-identity.h"
#include "auth/peer.h"
#include "src/channel/helper.h"
#include "src/channel/tls.h"

/*
 * vmferryd's side of vmferry-keys, the one process that opens strangers' Kerberos tickets.
 *
 * Operations. vmferryd reads the AES keys of host/FQDN from the keytab, and passes them on as a file
 * without a name (auth/service-keytab.h). vmferry-keys takes them into memory, gives up every right, and
 * forks for each exchange a child that takes one token and gives one answer: our token, the PSK, and who
 * the ticket says the peer is. That goes to vmferryd, and not through the process that holds the
 * stranger's socket: who breaks into that one cannot say that he is somebody else.
 *
 * Failure model. A keytab that has changed (the machine's password was renewed) makes another
 * vmferry-keys, as does the end of the one there is. An exchange has 10 s. What a stranger's token does to the
 * child that reads it, it does to nobody else; it could learn the key of this host: nothing but libkrb5
 * and a buffer stand there, and no way out but the answer.
 */

typedef struct _VmfKeys VmfKeys;

/**
 * vmf_keys_new() - starts nothing yet
 * @program: path of vmferry-keys
 * @keytab:  path
 */
VmfKeys *vmf_keys_new(const VmfHostIdentity *me, const char *keytab, const char *program,
                      const VmfHelperUser *user);
void vmf_keys_free(VmfKeys *keys);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmfKeys, vmf_keys_free)

/** vmf_keys_ensure() - have the process; called by exchange(), and at the start for its message */
gboolean vmf_keys_ensure(VmfKeys *keys, GError **error);

/**
 * vmf_keys_exchange() - see vmf_exchange_accept(); any thread, blocks 10 s at most
 *
 * Returns: %FALSE and its errors, or VMF_ERROR_CONFIG (keytab) or VMF_ERROR_INTERNAL (the child ended).
 */
gboolean vmf_keys_exchange(VmfKeys *keys, const guint8 *token, gsize size, GBytes **answer,
                           guint8 key[VMF_TLS_KEY_BYTES], VmfPeerIdentity **peer, GError **error);
