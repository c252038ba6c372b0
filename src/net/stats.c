/* The sum of what the reactors count. */
#include "net/net_internal.h"

#define SUM(field) \
        ret_stats->field += atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&c->field, memory_order_relaxed)

void net_server_stats(const struct net_server *s, struct net_stats *ret_stats)
{
        *ret_stats = (struct net_stats){ .memory_used = net_memory_used(s->memory) };

        if (s->dial_memory)
                ret_stats->memory_used += net_memory_used(s->dial_memory);
        for (unsigned i = 0; i < s->cfg.reactors_count; i++) {
                const struct net_counters *c = &s->reactors[i].counters;

                SUM(connections_open);
                SUM(connections_total);
                SUM(bytes_in);
                SUM(bytes_out);
                SUM(frames_in);
                SUM(frames_patient);
                SUM(connections_delayed);
                SUM(closed_rate);
                SUM(closed_limit);
                SUM(closed_per_ip);
                SUM(closed_idle);
                SUM(closed_stalled);
                SUM(closed_bad_frame);
                SUM(closed_error);
                SUM(closed_tls);
                SUM(waits_memory);
                SUM(sends_warm);
                SUM(sends_cold);
        }
}
