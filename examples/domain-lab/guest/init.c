/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The test guest: PID 1 of a virtual machine that has nothing but this program.
 *
 * It judges from inside what happens to it: its disks (records.c) and its memory (memory.c);
 * and it lets its outage be judged from outside, by a heartbeat every 2 ms (protocol.h). The
 * heartbeat runs at real-time priority, so that the guest's own work does not look like an
 * outage.
 *
 * Kernel command line: vmferry.name=NAME vmferry.ip=A.B.C.D (of a /24) vmferry.disks=N
 * vmferry.records=PER-SECOND vmferry.dirty=MIB-PER-SECOND vmferry.pool=MIB
 */
#include "guest.h"
#include "protocol.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BEAT_PERIOD_NS 2000000u

static struct {
    char name[24], ip[16];
    unsigned n_disks, records, dirty, pool;
} settings = {"guest", "10.98.0.100", 1, 50, 0, 48};

static uint64_t boot;

uint64_t
guest_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void
guest_sleep_until(uint64_t ns)
{
    struct timespec when = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

void
guest_say(const char *format, ...)
{
    char line[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    dprintf(STDOUT_FILENO, "[%5llu ms] %s\n", (unsigned long long)(guest_clock_ns() / 1000000),
            line);
}

/* There is nothing to fall back to: tell, and stop the machine so that somebody looks. */
static void
must(bool done, const char *what)
{
    if (done)
        return;
    guest_say("cannot %s: %s", what, strerror(errno));
    sleep(1);
    reboot(RB_POWER_OFF);
}

static void
mount_all(void)
{
    must(mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) == 0 || errno == EBUSY, "mount /dev");
    must(mount("proc", "/proc", "proc", 0, NULL) == 0, "mount /proc");
    must(mount("sysfs", "/sys", "sysfs", 0, NULL) == 0, "mount /sys");
}

static void
read_settings(void)
{
    char line[2048] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

    must(fd >= 0 && read(fd, line, sizeof line - 1) > 0, "read /proc/cmdline");
    close(fd);
    for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
        sscanf(word, "vmferry.name=%23s", settings.name);
        sscanf(word, "vmferry.ip=%15s", settings.ip);
        sscanf(word, "vmferry.disks=%u", &settings.n_disks);
        sscanf(word, "vmferry.records=%u", &settings.records);
        sscanf(word, "vmferry.dirty=%u", &settings.dirty);
        sscanf(word, "vmferry.pool=%u", &settings.pool);
    }
    if (settings.n_disks > N_DISKS_MAX)
        settings.n_disks = N_DISKS_MAX;
}

/* Modules are numbered in the order in which they can be loaded. */
static void
load_modules(void)
{
    struct dirent **entries;
    int n = scandir("/modules", &entries, NULL, alphasort);

    must(n >= 0, "list /modules");
    for (int i = 0; i < n; i++) {
        char path[300];
        int fd;

        if (entries[i]->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/modules/%s", entries[i]->d_name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        must(fd >= 0 && (syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST), path);
        close(fd);
    }
}

/* Not only random: the pool may not be ready so early, and two boots must still differ. */
static uint64_t
boot_number(void)
{
    struct timespec now;
    uint64_t random = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(&random, sizeof random, GRND_INSECURE) < 0)
        random = 0;
    random ^= (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return random * 0x9e3779b97f4a7c15u;
}

static struct sockaddr_in
address(const char *ip, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    must(inet_pton(AF_INET, ip, &a.sin_addr) == 1, "read vmferry.ip");
    return a;
}

static void
interface_up(int fd, const char *name, const char *ip)
{
    struct ifreq request = {0};
    struct sockaddr_in a = address(ip, 0);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    memcpy(&request.ifr_addr, &a, sizeof a);
    must(ioctl(fd, SIOCSIFADDR, &request) == 0, "set the address");
    a = address("255.255.255.0", 0);
    memcpy(&request.ifr_netmask, &a, sizeof a);
    must(ioctl(fd, SIOCSIFNETMASK, &request) == 0, "set the netmask");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    must(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "raise the interface");
}

static void
network_up(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int notify;

    for (unsigned i = 0; access("/sys/class/net/eth0", F_OK) != 0; i++) {
        must(i < 1000, "find eth0");
        usleep(10000);
    }
    /* With this the guest announces itself, too, after a move (virtio-net's announce). */
    notify = open("/proc/sys/net/ipv4/conf/all/arp_notify", O_WRONLY | O_CLOEXEC);
    must(write(notify, "1", 1) == 1, "set arp_notify");
    close(notify);
    interface_up(fd, "lo", "127.0.0.1");
    interface_up(fd, "eth0", settings.ip);
    close(fd);
}

static void
disks_start(void)
{
    for (unsigned i = 0; i < settings.n_disks; i++) {
        char device[16];

        snprintf(device, sizeof device, "/dev/vd%c", 'a' + (char)i);
        for (unsigned tries = 0; access(device, F_OK) != 0; tries++) {
            must(tries < 1000, "find the disk");
            usleep(10000);
        }
        records_start(device, settings.records, boot);
    }
}

static void
fill_beat(struct vmf_beat *beat, uint64_t sequence)
{
    struct records_totals totals = records_totals();

    beat->n_disks = (uint16_t)records_n_disks();
    beat->sequence = sequence;
    beat->monotonic_ns = guest_clock_ns();
    beat->records = totals.records;
    beat->record_mismatches = totals.mismatches;
    beat->io_errors = totals.io_errors;
    beat->memory_mismatches = memory_mismatches();
    beat->dirty_kib_s = memory_achieved_kib_s();
    beat->dirty_target_mib_s = memory_rate();
}

static void *
beat_thread(void *unused)
{
    struct vmf_beat beat = {.magic = VMF_BEAT_MAGIC, .version = VMF_BEAT_VERSION, .boot = boot};
    struct sockaddr_in everyone = address(settings.ip, VMF_BEAT_PORT);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    uint64_t next = guest_clock_ns();

    (void)unused;
    memcpy(beat.name, settings.name, sizeof beat.name);
    everyone.sin_addr.s_addr |= htonl(0xff);
    must(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0, "broadcast");
    for (uint64_t sequence = 1;; sequence++) {
        uint64_t now;

        fill_beat(&beat, sequence);
        sendto(fd, &beat, sizeof beat, 0, (struct sockaddr *)&everyone, sizeof everyone);
        next += BEAT_PERIOD_NS;
        now = guest_clock_ns();
        if (now > next)
            next = now; /* no volley of late beats: a gap stays one gap */
        guest_sleep_until(next);
    }
    return NULL;
}

static void
answer_status(char *text, size_t size)
{
    size_t length = (size_t)snprintf(
        text, size,
        "ok name=%s boot=%016llx uptime_ms=%llu memory_mismatches=%llu dirty_kib_s=%u"
        " dirty_target_mib_s=%u",
        settings.name, (unsigned long long)boot, (unsigned long long)(guest_clock_ns() / 1000000),
        (unsigned long long)memory_mismatches(), memory_achieved_kib_s(), memory_rate());

    records_status(text + length, size - length);
}

static void
command_records(const char *argument, char *text, size_t size)
{
    unsigned n;

    if (strcmp(argument, "on") == 0)
        records_set_rate(settings.records);
    else if (strcmp(argument, "off") == 0)
        records_set_rate(0);
    else if (sscanf(argument, "%u", &n) == 1)
        records_set_rate(n);
    else {
        snprintf(text, size, "error records takes on, off or a number per second");
        return;
    }
    snprintf(text, size, "ok");
}

/* Carries out one command; *stop becomes what reboot() is to be called with, once answered. */
static void
command_run(const char *verb, const char *argument, char *text, size_t size, int *stop)
{
    unsigned n;

    if (strcmp(verb, "status") == 0)
        answer_status(text, size);
    else if (strcmp(verb, "dirty") == 0 && sscanf(argument, "%u", &n) == 1) {
        memory_set_rate(n);
        snprintf(text, size, "ok");
    } else if (strcmp(verb, "records") == 0)
        command_records(argument, text, size);
    else if (strcmp(verb, "scan") == 0)
        snprintf(text, size, "ok scanned=%ld record_mismatches=%llu", records_scan(),
                 (unsigned long long)records_totals().mismatches);
    else if (strcmp(verb, "reset") == 0) {
        records_reset();
        snprintf(text, size, "ok");
    } else if (strcmp(verb, "poweroff") == 0 || strcmp(verb, "reboot") == 0) {
        *stop = *verb == 'p' ? RB_POWER_OFF : RB_AUTOBOOT;
        snprintf(text, size, "ok");
    } else
        snprintf(text, size, "error unknown command");
}

/* Never returns: the main thread's work. */
static void
serve_commands(void)
{
    struct sockaddr_in here = address(settings.ip, VMF_COMMAND_PORT), peer;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), stop = -1;
    char last_id[32] = "", answer[VMF_COMMAND_MAX] = "";

    must(bind(fd, (struct sockaddr *)&here, sizeof here) == 0, "listen for commands");
    for (;;) {
        char line[256] = "", id[32] = "", verb[32] = "", argument[64] = "";
        char text[VMF_COMMAND_MAX - sizeof id];
        socklen_t peer_size = sizeof peer;

        if (recvfrom(fd, line, sizeof line - 1, 0, (struct sockaddr *)&peer, &peer_size) <= 0 ||
            sscanf(line, "%31s %31s %63s", id, verb, argument) < 2)
            continue;
        if (strcmp(id, last_id) != 0) {
            command_run(verb, argument, text, sizeof text, &stop);
            memcpy(last_id, id, sizeof last_id);
            snprintf(answer, sizeof answer, "%s %s", id, text);
        }
        sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&peer, peer_size);
        if (stop >= 0) {
            usleep(100000); /* let the answer leave */
            sync();
            reboot(stop);
        }
    }
}

static void
start_beat(void)
{
    struct sched_param priority = {.sched_priority = 50};
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &priority);
    must(pthread_create(&thread, &attributes, beat_thread, NULL) == 0, "start the heartbeat");
}

int
main(void)
{
    mount_all();
    read_settings();
    load_modules();
    boot = boot_number();
    network_up();
    memory_start((size_t)settings.pool << 20);
    memory_set_rate(settings.dirty);
    disks_start();
    start_beat();
    guest_say("guest %s is ready at %s", settings.name, settings.ip);
    serve_commands();
}
