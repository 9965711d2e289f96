/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * guestctl ADDRESS TIMEOUT-MS COMMAND [ARGUMENT] - tell a test guest something (protocol.h)
 *
 * Repeats the command until it is answered; the guest carries it out once. Prints the answer
 * without its ID. Exit status: 0 "ok", 1 "error", 2 wrong usage, 3 no answer.
 */
#include "protocol.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPEAT_MS 250

static long
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The rest of an answer to `id`, or NULL when the datagram is something else */
static const char *
answer_text(const char *datagram, const char *id)
{
    size_t length = strlen(id);

    return strncmp(datagram, id, length) == 0 && datagram[length] == ' ' ? datagram + length + 1
                                                                         : NULL;
}

int
main(int argc, char **argv)
{
    struct sockaddr_in guest = {.sin_family = AF_INET, .sin_port = htons(VMF_COMMAND_PORT)};
    char id[20], line[256], answer[VMF_COMMAND_MAX + 1];
    unsigned long long random = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    long deadline;

    if (argc < 4 || argc > 5 || inet_pton(AF_INET, argv[1], &guest.sin_addr) != 1) {
        fprintf(stderr, "usage: guestctl ADDRESS TIMEOUT-MS COMMAND [ARGUMENT]\n");
        return 2;
    }
    deadline = now_ms() + atol(argv[2]);
    if (getrandom(&random, sizeof random, 0) < 0)
        random = (unsigned long long)now_ms();
    snprintf(id, sizeof id, "%016llx", random);
    snprintf(line, sizeof line, "%s %s %s", id, argv[3], argc == 5 ? argv[4] : "");
    if (connect(fd, (struct sockaddr *)&guest, sizeof guest) < 0) {
        perror("guestctl: connect");
        return 3;
    }
    while (now_ms() < deadline) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const char *text;
        ssize_t n;

        (void)!send(fd, line, strlen(line), 0); /* refused or lost: sent again */
        if (poll(&p, 1, REPEAT_MS) <= 0 || (n = recv(fd, answer, sizeof answer - 1, 0)) <= 0)
            continue;
        answer[n] = '\0';
        text = answer_text(answer, id);
        if (!text)
            continue;
        puts(text);
        return strncmp(text, "ok", 2) == 0 ? 0 : 1;
    }
    fprintf(stderr, "guestctl: no answer from %s to \"%s\"\n", argv[1], argv[3]);
    return 3;
}
