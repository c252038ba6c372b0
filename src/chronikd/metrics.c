/* The node's metrics: what the modules count, gathered when somebody asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "chronikd/ask.h"
#include "chronikd/metrics.h"
#include "chronikd/sharing.h"
#include "obs/expo.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { LAG_SERIES_MAX = 10000, DAMAGE_SERIES_MAX = 1000 }; /* beyond, only the sum is told: a scrape must stay small */

void metrics_gauge(struct strbuf *out, const char *name, const char *help, double value)
{
        expo_family(out, name, "gauge", help);
        expo_value(out, name, "", NULL, value);
}

void metrics_counter(struct strbuf *out, const char *name, const char *help, double value)
{
        expo_family(out, name, "counter", help);
        expo_value(out, name, "", NULL, value);
}

static void write_net(struct node *n, struct strbuf *out)
{
        struct net_stats s;
        const char *closed = "chronik_connections_closed_total";

        net_server_stats(n->net, &s);
        metrics_gauge(out, "chronik_connections", "Client connections that are open.", (double)s.connections_open);
        metrics_counter(out, "chronik_connections_total", "Client connections that were accepted.",
                        (double)s.connections_total);
        metrics_counter(out, "chronik_network_received_bytes_total", "Bytes read from clients.", (double)s.bytes_in);
        metrics_counter(out, "chronik_network_sent_bytes_total", "Bytes sent to clients.", (double)s.bytes_out);
        metrics_counter(out, "chronik_patient_requests_total",
                        "Heartbeats of groups that changed nothing, and were answered where they came in.",
                        (double)s.frames_patient);
        metrics_gauge(out, "chronik_request_memory_bytes", "Memory of requests that are being read or handled.",
                      (double)s.memory_used);
        metrics_gauge(out, "chronik_request_memory_limit_bytes", "performance.buffer_memory.",
                      (double)n->conf->performance.buffer_memory);
        metrics_counter(out, "chronik_request_memory_waits_total", "Times that reading stopped until memory was free.",
                        (double)s.waits_memory);
        metrics_counter(
                out, "chronik_warm_sends_total",
                "Stretches of up to 1 MiB of record files that were in the page cache when they were to be sent.",
                (double)s.sends_warm);
        metrics_counter(
                out, "chronik_cold_sends_total",
                "Stretches of up to 1 MiB of record files that the I/O threads had to read before they could be sent.",
                (double)s.sends_cold);
        metrics_counter(out, "chronik_connections_delayed_total",
                        "Client connections that had to wait before anything was read from them: too many came from "
                        "their address.",
                        (double)s.connections_delayed);
        expo_family(out, closed, "counter", "Connections that this node closed, by reason.");
        const struct {
                const char *reason;
                uint64_t n;
        } reasons[] = { { "limit", s.closed_limit },         { "limit_per_ip", s.closed_per_ip },
                        { "idle", s.closed_idle },           { "stalled", s.closed_stalled },
                        { "bad_frame", s.closed_bad_frame }, { "error", s.closed_error },
                        { "rate_per_ip", s.closed_rate } };
        for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
                expo_value(out, closed, "", (struct expo_label[]){ { "reason", str_of(reasons[i].reason) }, { 0 } },
                           (double)reasons[i].n);
}

static void write_store(struct node *n, struct strbuf *out)
{
        struct plog_store_stats s;

        plog_store_stats(n->store, &s);
        metrics_gauge(out, "chronik_partitions", "Partitions that this node leads.",
                      (double)partition_table_count(n->table));
        metrics_gauge(out, "chronik_partitions_read_only",
                      "Partitions that a failed write or flush made read-only until the node starts again.",
                      (double)s.logs_failed);
        metrics_counter(out, "chronik_flushes_total", "Flushes of segment files to stable storage.", (double)s.flushes);
        metrics_counter(out, "chronik_flush_errors_total", "Flushes that failed; each makes a partition read-only.",
                        (double)s.flush_errors);
        metrics_counter(out, "chronik_flush_seconds_total", "Time spent in flushes.", (double)s.flush_ns_total / 1e9);
        metrics_gauge(out, "chronik_flush_longest_seconds", "The longest flush since the start.",
                      (double)s.flush_ns_max / 1e9);
        metrics_gauge(out, "chronik_open_files", "Segment files that are open.", (double)s.files_open);
}

static void write_compaction(struct node *n, struct strbuf *out)
{
        const struct compactor *c = &n->compactor;

        metrics_counter(out, "chronik_compactions_total", "Compactions of a log that were finished.",
                        (double)atomic_load(&c->runs));
        metrics_counter(out, "chronik_compaction_failures_total",
                        "Compactions that failed; the reason is in the journal.", (double)atomic_load(&c->failures));
        metrics_counter(out, "chronik_compaction_read_bytes_total", "Bytes that compaction read to write them again.",
                        (double)atomic_load(&c->bytes_read));
        metrics_counter(out, "chronik_compaction_written_bytes_total", "Bytes that it wrote in their place.",
                        (double)atomic_load(&c->bytes_written));
}

/* Where there is damage. What is whole has no series. */
struct damage_tally {
        struct strbuf *out;
        const char *name;
        bool offsets;
        unsigned series;
        int64_t ranges_all, offsets_all;
};

static int tally_damage(void *arg, struct partition *p)
{
        struct damage_tally *t = arg;
        struct plog_ends ends;
        char index[16];

        plog_ends(partition_log(p), &ends);
        if (!ends.damaged_ranges)
                return 0;
        t->ranges_all += ends.damaged_ranges;
        t->offsets_all += ends.damaged_offsets;
        if (t->series++ >= DAMAGE_SERIES_MAX)
                return 0;
        snprintf(index, sizeof index, "%d", partition_index(p));
        expo_value(t->out, t->name, "",
                   (struct expo_label[]){
                           { "topic", str_of(partition_topic_name(p)) }, { "partition", str_of(index) }, { 0 } },
                   t->offsets ? (double)ends.damaged_offsets : (double)ends.damaged_ranges);
        return 0;
}

static void write_damage(struct node *n, struct strbuf *out)
{
        struct damage_tally t = { .out = out, .name = "chronik_damaged_ranges" };

        expo_family(
                out, t.name, "gauge",
                "Ranges of offsets of a partition that are damaged on disk and refused; partitions that have none are "
                "left out.");
        (void)partition_table_visit(n->table, tally_damage, &t); /* when memory is out: the next scrape */
        t = (struct damage_tally){ .out = out, .name = "chronik_damaged_offsets", .offsets = true };
        expo_family(out, t.name, "gauge", "Offsets in these ranges.");
        (void)partition_table_visit(n->table, tally_damage, &t);
        metrics_gauge(out, "chronik_damaged_ranges_all", "Damaged ranges of all partitions together.",
                      (double)t.ranges_all);
        metrics_gauge(out, "chronik_damaged_offsets_all", "Offsets in damaged ranges of all partitions together.",
                      (double)t.offsets_all);
}

static void write_scrub(struct node *n, struct strbuf *out)
{
        const struct scrub *s = &n->scrub;

        metrics_counter(out, "chronik_scrub_passes_total", "Checks of a whole log for rot that were finished.",
                        (double)atomic_load(&s->runs));
        metrics_counter(out, "chronik_scrub_failures_total", "Checks that failed; the reason is in the journal.",
                        (double)atomic_load(&s->failures));
        metrics_counter(out, "chronik_scrub_bytes_total", "Bytes that checks read.", (double)atomic_load(&s->bytes));
        metrics_counter(out, "chronik_scrub_indexes_rebuilt_total", "Indexes that were not right and were built again.",
                        (double)atomic_load(&s->indexes_rebuilt));
        metrics_gauge(out, "chronik_scrub_last_completed_seconds",
                      "When a check of a log was finished last, in seconds since 1970; 0: none since the start.",
                      (double)atomic_load(&s->last_ms) / 1e3);
        write_damage(n, out);
}

static void write_groups(struct node *n, struct strbuf *out)
{
        struct coord_stats s;

        coord_stats(n->coord, &s);
        metrics_gauge(out, "chronik_groups", "Consumer groups that this node coordinates.", (double)s.groups);
        metrics_gauge(out, "chronik_group_members", "Members of these groups.", (double)s.members);
        metrics_counter(out, "chronik_group_rebalances_total", "Rebalances that were finished.", (double)s.rebalances);
        metrics_counter(out, "chronik_offsets_committed_total", "Offsets that groups committed.",
                        (double)s.offsets_committed);
}

static void write_transactions(struct node *n, struct strbuf *out)
{
        struct coord_stats s;

        coord_stats(n->txns, &s);
        metrics_gauge(out, "chronik_transactional_ids", "Transactional ids that this node coordinates.",
                      (double)s.txns);
        metrics_gauge(out, "chronik_transactions_open", "Transactions of these that are open, or not ended everywhere.",
                      (double)s.txns_open);
        metrics_counter(out, "chronik_transactions_committed_total", "Transactions that were committed.",
                        (double)s.txns_committed);
        metrics_counter(out, "chronik_transactions_aborted_total",
                        "Transactions that were aborted, for whatever reason.", (double)s.txns_aborted);
        metrics_counter(out, "chronik_transactions_timed_out_total",
                        "Transactions that were aborted because their time was up.", (double)s.txns_timed_out);
}

/* How far a committed offset is behind the end that consumers can read to; -1 when the partition is not led here. */
static int64_t lag_of(struct node *n, const struct meta_image *image, const struct coord_snapshot_item *item)
{
        const struct meta_topic *t = meta_image_topic(image, item->topic);
        struct partition *p = t ? partition_table_find(n->table, t->id, item->partition) : NULL;
        struct partition_view view;

        if (!p)
                return -1;
        partition_view(p, &view);
        partition_unref(p);
        return MAX2(view.high_watermark - item->offset, (int64_t)0);
}

static void write_lag(struct node *n, struct strbuf *out)
{
        struct meta_image *image = controller_image(n->controller);
        struct coord_snapshot ask = { 0 };
        int64_t sum = 0;

        coord_request_init(&ask.rq, COORD_SNAPSHOT, STR_NULL);
        ask_coord(n, &ask.rq);
        expo_family(out, "chronik_consumer_lag", "gauge",
                    "Records between a group's committed offset and the end that consumers can read to.");
        for (size_t i = 0; i < ask.ret_items_count; i++) {
                const struct coord_snapshot_item *item = &ask.ret_items[i];
                int64_t lag = lag_of(n, image, item);
                char index[16];

                sum += MAX2(lag, (int64_t)0);
                if (lag < 0 || i >= LAG_SERIES_MAX)
                        continue;
                snprintf(index, sizeof index, "%d", item->partition);
                expo_value(out, "chronik_consumer_lag", "",
                           (struct expo_label[]){ { "group", item->group_id },
                                                  { "topic", item->topic },
                                                  { "partition", str_of(index) },
                                                  { 0 } },
                           (double)lag);
        }
        metrics_gauge(out, "chronik_consumer_lag_all", "Lag of all groups and partitions together.", (double)sum);
        coord_request_fini(&ask.rq);
        meta_image_unref(image);
}

static int count_one(void *arg, const char *name)
{
        (void)name;
        ++*(int64_t *)arg;
        return 0;
}

static void write_process(struct strbuf *out)
{
        struct rusage u = { 0 };
        struct rlimit limit;
        CLEANUP(freep) char *statm = NULL;
        size_t len;
        int64_t files = 0;
        long pages = 0;

        getrusage(RUSAGE_SELF, &u);
        metrics_counter(out, "process_cpu_seconds_total", "Processor time of this process.",
                        (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
        if (file_read_whole("/proc/self/statm", 4096, &statm, &len) == 0)
                pages = strtol(statm + strcspn(statm, " "), NULL, 10); /* proc(5): the second number */
        metrics_gauge(out, "process_resident_memory_bytes", "Resident memory of this process.",
                      (double)pages * (double)sysconf(_SC_PAGESIZE));
        (void)file_list("/proc/self/fd", count_one, &files); /* the folder's own descriptor is one of them */
        metrics_gauge(out, "process_open_fds", "Files and sockets that this process has open.",
                      (double)MAX2(files - 1, INT64_C(0)));
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                metrics_gauge(out, "process_max_fds", "Most files and sockets that this process may open.",
                              (double)limit.rlim_cur);
}

static void write_disk(struct node *n, struct strbuf *out)
{
        uint64_t bytes_free, bytes_total;

        node_disk_space(n, &bytes_free, &bytes_total);
        metrics_gauge(out, "chronik_disk_free_bytes",
                      "Space left on the file system of records, log in server.data_dir; of meta where there are none.",
                      (double)bytes_free);
        metrics_gauge(out, "chronik_disk_size_bytes", "Size of that file system.", (double)bytes_total);
}

/* What nodes without the role ingest do not have. */
static void write_ingest(struct node *n, struct strbuf *out)
{
        handler_expose(n->handler, out);
        write_net(n, out);
        write_store(n, out);
        write_compaction(n, out);
        write_scrub(n, out);
        write_groups(n, out);
        write_transactions(n, out);
        sharing_metrics(n, out);
        if (atomic_load(&n->ready) && !atomic_load(&n->stopping))
                write_lag(n, out);
}

void metrics_write(struct node *n, struct strbuf *out)
{
        expo_family(out, "chronik_build_info", "gauge", "Always 1; the version is in the label.");
        expo_value(out, "chronik_build_info", "",
                   (struct expo_label[]){ { "version", STR_LIT(CHRONIK_VERSION) }, { 0 } }, 1);
        metrics_gauge(out, "chronik_ready", "1 when this node serves.",
                      atomic_load(&n->ready) && !atomic_load(&n->stopping));
        if (n->gate && n->gate->guarded) {
                metrics_counter(out, "chronik_admin_unauthenticated_total",
                                "Requests to the admin listener of nobody that is known (401).",
                                (double)atomic_load(&n->gate->unknown));
                metrics_counter(out, "chronik_admin_denied_total",
                                "Requests to the admin listener that need a higher role (403).",
                                (double)atomic_load(&n->gate->refused));
        }
        metrics_cluster(n, out);
        audit_expose(&n->audit, out);
        secret_ages_expose(&n->secret_ages, n, out);
        if (n->store)
                write_ingest(n, out);
        write_disk(n, out);
        write_process(out);
}
