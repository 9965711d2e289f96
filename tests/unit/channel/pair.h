/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "src/channel/channel.h"

/*
 * Two channels, connected, in one process: TLS and relays are real, the key is given instead of
 * agreed on by Kerberos.
 */
typedef struct {
    VmfChannel *client, *server;
    int middle[2]; /* with pair_with_middle(): the wire, cut in two; [0] towards the client */
} Pair;

/** pair_new() - connected by a socketpair */
Pair pair_new(void);

/** pair_over() - going on over two ends of another connection; takes both */
Pair pair_over(int client_sock, int server_sock);

/** pair_with_middle() - connected through the caller, who moves the bytes between middle[0] and [1] */
Pair pair_with_middle(void);

void pair_clear(Pair *pair);

/** pair_read() - exactly @size bytes of a plain fd */
void pair_read(int fd, void *data, gsize size);
void pair_write(int fd, const void *data, gsize size);

/** pair_expect_end() - the next read gives the end */
void pair_expect_end(int fd);

/** pair_count_fds() - file descriptors open in this process */
guint pair_count_fds(void);
/** pair_count_threads() - threads of this process */
guint pair_count_threads(void);
