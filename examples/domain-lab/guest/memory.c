/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dirties a pool of memory page by page at a commanded rate, and checks that each page still
 * holds what was stored in it last.
 *
 * A few words per page are enough to make the page travel again, and cheap enough that an
 * emulated CPU keeps up with hundreds of MiB per second. Their values depend on the page, the
 * place and the page's generation, so that a page that arrived stale, or at another page's
 * place, is seen when it is next visited.
 */
#include "guest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE          4096
#define WORDS_CHECKED 4
#define TICK_NS       5000000u

static unsigned char *pool;
static uint32_t *generations;
static size_t n_pages;

static _Atomic unsigned rate_mib_s;
static _Atomic uint32_t achieved_kib_s;
static _Atomic uint64_t mismatches;

static uint64_t *
word_of(size_t page, unsigned i)
{
    return (uint64_t *)(pool + page * PAGE + i * (PAGE / WORDS_CHECKED));
}

/* Generation 0 is memory never touched, which reads as zero. */
static uint64_t
expected(size_t page, unsigned i, uint32_t generation)
{
    uint64_t x = ((uint64_t)page << 34) ^ ((uint64_t)i << 32) ^ generation;

    if (generation == 0)
        return 0;
    x *= 0x9e3779b97f4a7c15u;
    return x ^ (x >> 29);
}

static void
dirty_page(size_t page)
{
    uint32_t generation = generations[page];

    for (unsigned i = 0; i < WORDS_CHECKED; i++) {
        volatile uint64_t *word = word_of(page, i);

        if (*word != expected(page, i, generation))
            mismatches++;
        *word = expected(page, i, generation + 1);
    }
    generations[page] = generation + 1;
}

static void *
dirty_thread(void *unused)
{
    size_t next = 0;
    uint64_t tick = guest_clock_ns(), second = tick, dirtied = 0, owed = 0;

    (void)unused;
    for (;;) {
        uint64_t now;

        tick += TICK_NS;
        guest_sleep_until(tick);
        now = guest_clock_ns();
        owed += rate_mib_s * (uint64_t)(1024 * 1024 / PAGE) * TICK_NS;
        for (; owed >= 1000000000u; owed -= 1000000000u) {
            dirty_page(next);
            next = (next + 1) % n_pages;
            dirtied++;
        }
        /* What could not be done in time is dropped, or a slow CPU would never come to rest. */
        if (now > tick + 20 * TICK_NS)
            tick = now;
        if (now - second >= 1000000000u) {
            achieved_kib_s = (uint32_t)(dirtied * (PAGE / 1024) * 1000000000u / (now - second));
            dirtied = 0;
            second = now;
        }
    }
    return NULL;
}

void
memory_start(size_t pool_bytes)
{
    pthread_t thread;

    n_pages = pool_bytes / PAGE;
    pool = mmap(NULL, n_pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    generations = calloc(n_pages, sizeof *generations);
    if (pool == MAP_FAILED || !generations) {
        guest_say("no memory for a pool of %zu bytes", pool_bytes);
        abort();
    }
    pthread_create(&thread, NULL, dirty_thread, NULL);
}

void
memory_set_rate(unsigned mib_per_second)
{
    rate_mib_s = mib_per_second;
}

unsigned
memory_rate(void)
{
    return rate_mib_s;
}

uint32_t
memory_achieved_kib_s(void)
{
    return achieved_kib_s;
}

uint64_t
memory_mismatches(void)
{
    return mismatches;
}
