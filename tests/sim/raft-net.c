/* Time, clocks, and a network that loses, doubles, delays and reorders. */
#include <stdlib.h>
#include <string.h>

#include "raft-world.h"

/* ---- what will happen: a heap ---- */

static bool is_before(const struct happening *a, const struct happening *b)
{
        return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

struct happening *world_plan(uint64_t after_us, enum happening_type type, struct node *n)
{
        struct happening h = {
                .at_us = w.now_us + after_us,
                .number = w.happenings_made++,
                .type = type,
                .node = n ? n->slot : 0,
                .life = n ? n->life : 0,
        };
        size_t at;

        if (w.heap_count == w.heap_size) {
                w.heap_size = w.heap_size ? 2 * w.heap_size : 1024;
                w.heap = realloc(w.heap, w.heap_size * sizeof *w.heap);
                assert(w.heap);
        }
        for (at = w.heap_count++; at && is_before(&h, &w.heap[(at - 1) / 2]); at = (at - 1) / 2)
                w.heap[at] = w.heap[(at - 1) / 2];
        w.heap[at] = h;
        return &w.heap[at];
}

bool world_next(struct happening *ret)
{
        struct happening last;
        size_t at = 0, child;

        if (!w.heap_count)
                return false;
        *ret = w.heap[0];
        last = w.heap[--w.heap_count];
        while ((child = 2 * at + 1) < w.heap_count) {
                if (child + 1 < w.heap_count && is_before(&w.heap[child + 1], &w.heap[child]))
                        child++;
                if (!is_before(&w.heap[child], &last))
                        break;
                w.heap[at] = w.heap[child];
                at = child;
        }
        w.heap[at] = last;
        w.now_us = ret->at_us;
        return true;
}

void world_forget(void)
{
        for (size_t i = 0; i < w.heap_count; i++)
                packet_free(w.heap[i].packet);
        w.heap_count = 0;
}

/* ---- packets ---- */

struct packet *packet_new(void)
{
        struct packet *p = w.unused;

        if (p)
                w.unused = p->next;
        else
                p = malloc(sizeof *p);
        assert(p);
        p->next = NULL;
        p->type = PACKET_RAFT;
        p->count = 0;
        p->is_last_chunk = false;
        p->offer = 0;
        return p;
}

void packet_free(struct packet *p)
{
        if (!p)
                return;
        p->next = w.unused;
        w.unused = p;
}

static uint64_t delay_us(void)
{
        uint64_t d;

        if (w.is_calm)
                return w.delay_us; /* nothing overtakes anything, as on one connection */
        d = w.delay_us / 2 + chance_below(&w.chance, w.delay_us);

        if (w.late_one_in && chance_one_in(&w.chance, w.late_one_in))
                d += chance_below(&w.chance, 3000 * (uint64_t)w.options.election_ms);
        return d;
}

static void put(struct packet *p)
{
        struct node *to = &w.nodes[p->m.to.node - 1];

        world_plan(delay_us(), HAPPENS_PACKET, to)->packet = p;
}

void net_send(struct node *from, struct packet *p)
{
        assert(p->m.to.node >= 1 && p->m.to.node <= NODES);
        if (w.blocked[from->slot][p->m.to.node - 1]) {
                packet_free(p);
                return;
        }
        if (!w.is_calm && w.loss_one_in && chance_one_in(&w.chance, w.loss_one_in)) {
                counted.packets_lost++;
                packet_free(p);
                return;
        }
        if (!w.is_calm && w.double_one_in && chance_one_in(&w.chance, w.double_one_in)) {
                struct packet *twin = packet_new();

                counted.packets_doubled++;
                memcpy(twin, p, sizeof *twin);
                put(twin);
        }
        put(p);
}

/* ---- clocks ---- */

static int64_t clock_us(const struct node *n)
{
        return n->local_us + (int64_t)((w.now_us - n->true_us) * n->rate_permille / 1000);
}

int64_t node_clock_ms(const struct node *n)
{
        return clock_us(n) / 1000;
}

void node_set_clock(struct node *n, int64_t jump_us, uint32_t rate_permille)
{
        n->local_us = clock_us(n) + jump_us;
        n->true_us = w.now_us;
        n->rate_permille = rate_permille;
}

void node_wake_at(struct node *n, int64_t local_ms)
{
        uint64_t after = 0;

        n->wake_ms = local_ms;
        if (local_ms == INT64_MAX)
                return;
        if (local_ms * 1000 > clock_us(n))
                after = (uint64_t)(local_ms * 1000 - clock_us(n)) * 1000 / n->rate_permille + 1;
        if (n->wake_us && n->wake_us <= w.now_us + after)
                return; /* an earlier tick comes, and looks again */
        n->wake_us = w.now_us + after;
        world_plan(after, HAPPENS_TICK, n);
}
