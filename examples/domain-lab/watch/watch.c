/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * watch [-m MIB] LOG HOST=PORT... - the outside observer of the guests' network
 *
 * Theory of operation. Each VM host's cable to the guests' network ends in a port of the lab's
 * bridge. A packet socket on each port sees what that host puts on the wire, and only that:
 * what the bridge sends out to the host is not looked at. So every frame is charged to the one
 * host it came from, with the kernel's time of its arrival (CLOCK_REALTIME).
 *
 * One line per heartbeat (guest/protocol.h) and per announcement, fields separated by a space:
 *
 *   SECONDS.NANOSECONDS HOST beat NAME MAC BOOT SEQUENCE GUEST-NS RECORDS RECORD-MISMATCHES
 *       IO-ERRORS MEMORY-MISMATCHES DIRTY-KIB/S
 *   SECONDS.NANOSECONDS HOST rarp MAC             (QEMU announces a guest)
 *   SECONDS.NANOSECONDS HOST garp MAC ADDRESS     (gratuitous ARP: the guest announces itself)
 *   SECONDS.NANOSECONDS HOST lost N               (the socket overflowed: N frames not seen)
 *   SECONDS.NANOSECONDS HOST unplugged|plugged    (the port went away, came (back))
 *
 * BOOT is hexadecimal. Lines of one host are in order; lines of two hosts are in order as far as
 * they were read in one go, so sort by time before judging. When the log exceeds MIB (default
 * 256) it becomes LOG.1 and a new one is begun. Lines reach the file within 20 ms.
 *
 * Failure model. A frame is lost only by overflow, and that is written down; a judge must treat
 * a `lost` line inside its interval as "cannot tell". Ends with status 1 when a socket fails.
 */
#include "../guest/protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX 16
#define BATCH     64
#define FRAME_MAX 256
#define FLUSH_MS  20

struct port {
    const char *host, *name;
    int fd; /* -1: the port is not there */
};

struct arp_ipv4 {
    uint16_t hardware, protocol;
    uint8_t hardware_size, protocol_size;
    uint16_t operation;
    uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

static const char *log_path;
static FILE *log_file;
static long log_limit = 256L << 20;

static void
fail(const char *what)
{
    fprintf(stderr, "watch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
log_open(void)
{
    log_file = fopen(log_path, "ae");
    if (!log_file)
        fail(log_path);
    setvbuf(log_file, NULL, _IOFBF, 1 << 16);
}

static void
log_rotate(void)
{
    char old[4096];

    if (ftell(log_file) < log_limit)
        return;
    snprintf(old, sizeof old, "%s.1", log_path);
    fclose(log_file);
    if (rename(log_path, old) < 0)
        fail(old);
    log_open();
}

static void
log_begin(const struct timespec *when, const char *host, const char *kind)
{
    fprintf(log_file, "%lld.%09ld %s %s", (long long)when->tv_sec, when->tv_nsec, host, kind);
}

static void
log_event(const char *host, const char *kind)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    log_begin(&now, host, kind);
    putc('\n', log_file);
}

static void
port_open(struct port *port)
{
    int on = 1, size = 8 << 20;
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};

    address.sll_ifindex = (int)if_nametoindex(port->name);
    if (address.sll_ifindex == 0)
        return;
    port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (port->fd < 0 ||
        setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
        setsockopt(port->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 ||
        bind(port->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(port->name);
    log_event(port->host, "plugged");
}

static void
port_close(struct port *port)
{
    close(port->fd);
    port->fd = -1;
    log_event(port->host, "unplugged");
}

static void
log_mac(const uint8_t *mac)
{
    fprintf(log_file, " %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
            mac[5]);
}

static void
see_rarp(const struct timespec *when, const char *host, const struct ether_header *ether)
{
    log_begin(when, host, "rarp");
    log_mac(ether->ether_shost);
    putc('\n', log_file);
}

static void
see_arp(const struct timespec *when, const char *host, const uint8_t *data, size_t size)
{
    struct arp_ipv4 arp;
    char ip[INET_ADDRSTRLEN];

    if (size < sizeof arp)
        return;
    memcpy(&arp, data, sizeof arp);
    if (memcmp(arp.sender_ip, arp.target_ip, sizeof arp.sender_ip) != 0)
        return;
    log_begin(when, host, "garp");
    log_mac(arp.sender_mac);
    fprintf(log_file, " %s\n", inet_ntop(AF_INET, arp.sender_ip, ip, sizeof ip));
}

static void
see_beat(const struct timespec *when, const char *host, const uint8_t *mac,
         const struct vmf_beat *beat)
{
    log_begin(when, host, "beat");
    fprintf(log_file, " %.*s", (int)strnlen(beat->name, sizeof beat->name), beat->name);
    log_mac(mac);
    fprintf(log_file, " %016llx %llu %llu %llu %llu %llu %llu %u\n", (unsigned long long)beat->boot,
            (unsigned long long)beat->sequence, (unsigned long long)beat->monotonic_ns,
            (unsigned long long)beat->records, (unsigned long long)beat->record_mismatches,
            (unsigned long long)beat->io_errors, (unsigned long long)beat->memory_mismatches,
            beat->dirty_kib_s);
}

static void
see_ip(const struct timespec *when, const char *host, const uint8_t *mac, const uint8_t *data,
       size_t size)
{
    struct iphdr ip;
    struct udphdr udp;
    struct vmf_beat beat;
    size_t header;

    if (size < sizeof ip)
        return;
    memcpy(&ip, data, sizeof ip);
    header = ip.ihl * 4u;
    if (ip.version != 4 || ip.protocol != IPPROTO_UDP || size < header + sizeof udp + sizeof beat)
        return;
    memcpy(&udp, data + header, sizeof udp);
    memcpy(&beat, data + header + sizeof udp, sizeof beat);
    if (ntohs(udp.dest) == VMF_BEAT_PORT && beat.magic == VMF_BEAT_MAGIC &&
        beat.version == VMF_BEAT_VERSION)
        see_beat(when, host, mac, &beat);
}

static void
see_frame(const struct timespec *when, const char *host, const uint8_t *frame, size_t size)
{
    struct ether_header ether;

    if (size < sizeof ether)
        return;
    memcpy(&ether, frame, sizeof ether);
    frame += sizeof ether;
    size -= sizeof ether;
    switch (ntohs(ether.ether_type)) {
    case ETHERTYPE_REVARP:
        see_rarp(when, host, &ether);
        break;
    case ETHERTYPE_ARP:
        see_arp(when, host, frame, size);
        break;
    case ETHERTYPE_IP:
        see_ip(when, host, ether.ether_shost, frame, size);
        break;
    }
}

static struct timespec
arrival(struct msghdr *message)
{
    struct timespec when = {0};

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS)
            memcpy(&when, CMSG_DATA(c), sizeof when);
    return when;
}

/* Reads what has arrived, at most one batch; returns the number of frames. */
static int
port_read(struct port *port)
{
    static uint8_t frames[BATCH][FRAME_MAX], control[BATCH][64];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    int n;

    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){frames[i], FRAME_MAX};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i];
        messages[i].msg_hdr.msg_controllen = sizeof control[i];
    }
    n = recvmmsg(port->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (n < 0 && errno == ENETDOWN)
        port_close(port);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        fail(port->name);
    for (int i = 0; i < n; i++) {
        struct timespec when = arrival(&messages[i].msg_hdr);

        see_frame(&when, port->host, frames[i], messages[i].msg_len);
    }
    return n;
}

static void
note_losses(const struct port *port)
{
    struct tpacket_stats stats = {0};
    socklen_t size = sizeof stats;
    struct timespec now;

    if (getsockopt(port->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
        fail(port->name);
    if (stats.tp_drops == 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    log_begin(&now, port->host, "lost");
    fprintf(log_file, " %u\n", stats.tp_drops);
}

static void
port_serve(struct port *port)
{
    if (port->fd < 0)
        port_open(port);
    while (port->fd >= 0 && port_read(port) == BATCH)
        ;
    if (port->fd >= 0)
        note_losses(port);
}

static void
watch_forever(struct port *ports, nfds_t n_ports)
{
    struct pollfd waits[PORTS_MAX];

    for (;;) {
        struct timespec pause = {0, FLUSH_MS * 1000000L};
        bool absent = false;

        for (nfds_t i = 0; i < n_ports; i++) {
            port_serve(&ports[i]);
            waits[i] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
            absent |= ports[i].fd < 0;
        }
        fflush(log_file);
        log_rotate();
        if (poll(waits, n_ports, absent ? FLUSH_MS : -1) < 0 && errno != EINTR)
            fail("poll");
        nanosleep(&pause, NULL); /* the sockets collect: one batch costs less than many */
    }
}

int
main(int argc, char **argv)
{
    struct port ports[PORTS_MAX];
    nfds_t n_ports = 0;
    int option;

    while ((option = getopt(argc, argv, "m:")) == 'm')
        log_limit = atol(optarg) << 20;
    if (option != -1 || argc - optind < 2 || argc - optind - 1 > PORTS_MAX) {
        fprintf(stderr, "usage: watch [-m MIB] LOG HOST=PORT...\n");
        return 2;
    }
    log_path = argv[optind];
    log_open();
    for (int i = optind + 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');

        if (!equals) {
            fprintf(stderr, "watch: \"%s\" is not HOST=PORT\n", argv[i]);
            return 2;
        }
        *equals = '\0';
        ports[n_ports++] = (struct port){argv[i], equals + 1, -1};
    }
    watch_forever(ports, n_ports);
}
