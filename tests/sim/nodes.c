/* See nodes.h. A simulated machine's process is what main() and serve.c are to the program. */
#include "nodes.h"

#include <stdio.h>
#include <string.h>

#include "chronikd/node.h"
#include "history.h"
#include "network.h"
#include "sys/process.h"

enum { SETS_MAX = 48, SET_SIZE = 128, CONTROLLERS_MAX = 3, SPARE_MAX = 5 };

struct node_host nodes[NODES_MAX];
unsigned nodes_count;

struct sets {
        char text[SETS_MAX][SET_SIZE];
        const char *list[SETS_MAX];
        size_t count;
};

static void set(struct sets *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void set(struct sets *s, const char *fmt, ...)
{
        va_list args;

        assert(s->count < SETS_MAX);
        va_start(args, fmt);
        vsnprintf(s->text[s->count], SET_SIZE, fmt, args);
        va_end(args);
        s->list[s->count] = s->text[s->count];
        s->count++;
}

/* Small and hasty, so that a run of some minutes sees segments, checkpoints, retention and compaction come and go. */
static struct conf *conf_for(const struct node_host *h)
{
        struct sets s = { .count = 0 };
        struct strbuf errors = { 0 };
        struct conf_machine machine = { .cpus = 2, .hostname = h->machine->name };
        struct conf *conf;

        set(&s, "server.node_id=%d", h->id);
        set(&s, "server.data_dir=/data");
        set(&s, "server.kafka=10.0.0.%d:%d", h->machine->number, KAFKA_PORT);
        set(&s, "server.num_network_threads=2");
        set(&s, "server.num_io_threads=3");
        set(&s, "storage.segment_size=65536");
        set(&s, "storage.preallocate_step_bytes=0");
        set(&s, "storage.recovery_bytes_max=1048576");
        set(&s, "storage.retention_check_interval_ms=20000");
        set(&s, "storage.file_delete_delay_ms=5000");
        set(&s, "storage.compaction_interval_ms=5000");
        set(&s, "storage.scrub_interval_ms=120000");
        set(&s, "storage.open_files_max=64");
        set(&s, "groups.offsets_partitions=2");
        set(&s, "transactions.state_partitions=2");
        set(&s, "groups.offsets_segment_bytes=16384");
        set(&s, "groups.initial_rebalance_delay_ms=500");
        set(&s, "groups.offsets_retention_check_interval_ms=30000");
        set(&s, "groups.share_min_session_timeout_ms=6000");
        set(&s, "groups.share_session_timeout_ms=10000");
        set(&s, "groups.share_min_heartbeat_interval_ms=1000");
        set(&s, "groups.share_heartbeat_interval_ms=2000");
        set(&s, "groups.share_min_record_lock_duration_ms=2000");
        set(&s, "groups.share_record_lock_duration_ms=5000");
        set(&s, "topics.auto_create=false");
        if (nodes_count > 1) {
                char list[SET_SIZE] = "";

                for (unsigned i = 0; i < MIN2(nodes_count, (unsigned)CONTROLLERS_MAX); i++)
                        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%d@10.0.0.%d:%d", i ? "," : "",
                                 nodes[i].id, nodes[i].machine->number, PEER_PORT);
                set(&s, "cluster.listen=10.0.0.%d:%d", h->machine->number, PEER_PORT);
                set(&s, "cluster.controllers=%s", list);
                set(&s, "cluster.plaintext=true");
                set(&s, "cluster.metadata_bytes_max=16777216");
                set(&s, "server.rack=rack%d", h->id);
                set(&s, "replication.read_from_rack=true");
                set(&s, "server.roles=%s",
                    !h->is_controller ? "ingest"
                    : h->is_ingest    ? "controller,ingest"
                                      : "controller");
        }
        if (conf_parse("sim", STR_NULL, s.list, s.count, &machine, &conf, &errors))
                world_fail("%s", errors.data ? errors.data : "no memory");
        return conf;
}

/* Those who have not heard that it is another one now do not answer any more after this (cluster.session_timeout_ms). */
#define SURE_NS (SECOND * 2)

static void be_sure(void *arg)
{
        struct node_host *h = arg;
        unsigned lives = h->machine->lives;

        fiber_sleep(SURE_NS);
        if (h->is_unsure && h->is_ready && h->machine->lives == lives) {
                h->is_unsure = false;
                history_unsure(false);
        }
}

void node_host_lost(struct node_host *h)
{
        if (!h->is_ingest) /* it has no records; one that is no voter yet is not ready for a long time */
                return;
        if (!h->is_unsure)
                history_unsure(true);
        else
                history_loss();
        h->is_unsure = true;
}

static void on_ready(void *arg)
{
        struct node_host *h = arg;

        h->is_ready = true;
        h->ready_count++;
        world_say("%s is ready", h->machine->name);
        if (h->is_unsure)
                fiber_start(machine_of(0), "be sure", be_sure, h);
}

/* ---- SIGTERM ---- */

struct term {
        struct mail mail;
        struct node *node;
};

static struct node *node_running[NODES_MAX];

struct node *node_that_runs(unsigned i)
{
        return node_running[i];
}

static void on_left(void *arg)
{
        node_stop(arg);
}

static void on_term(struct loop *l, struct mail *m)
{
        struct term *t = container_of(m, struct term, mail);

        (void)l;
        node_leave(t->node, on_left, t->node);
        free(t);
}

void node_host_stop(struct node_host *h)
{
        struct node *n = node_running[h - nodes];
        struct machine *before = machine_here();
        struct term *t;

        h->is_wanted = false;
        if (!n || h->is_stopping)
                return;
        h->is_stopping = true;
        t = calloc(1, sizeof *t);
        assert(t);
        t->node = n;
        t->mail.fn = on_term;
        machine_enter(NULL);
        loop_post(n->loop, &t->mail);
        machine_enter(before);
}

/* ---- the process ---- */

static void node_main(void *arg)
{
        struct node_host *h = arg;
        struct conf *conf = conf_for(h);
        struct node *n;

        if (node_new(conf, &n))
                process_end(1);
        n->on_ready = on_ready;
        n->arg = h;
        node_running[h - nodes] = n;
        node_start(n);
        if (!h->is_wanted) /* told to stop before it could hear */
                node_host_stop(h);
        loop_run(n->loop);
        node_running[h - nodes] = NULL;
        node_free(n);
        conf_unref(conf);
}

static void on_end(struct machine *m)
{
        struct node_host *h = m->user;

        node_running[h - nodes] = NULL;
        h->is_ready = h->is_stopping = false;
        if (nodes_count > 1) /* the only one keeps what it told */
                history_node_ended((int)(h - nodes));
        if (m->lost_power)
                node_host_lost(h);
        world_say("%s is down, %s", m->name,
                  m->lost_power        ? "without power"
                  : m->exit_status < 0 ? "killed"
                  : m->exit_status     ? "failed"
                                       : "stopped");
}

/* What systemd is to the program: it starts again. */
static void keep_running(void *arg)
{
        struct node_host *h = arg;

        for (;;) {
                while (h->machine->is_up)
                        fiber_queue_wait(&h->machine->ended, NEVER);
                fiber_sleep(100 * MS + chance_below(&sim_chance, 400 * MS));
                if (h->is_wanted && !h->machine->is_up) {
                        world_say("%s starts", h->machine->name);
                        machine_start(h->machine, node_main, h);
                }
        }
}

void nodes_new(unsigned count, enum layout layout)
{
        struct machine *world = machine_of(0);

        nodes_count = count;
        for (unsigned i = 0; i < count; i++) {
                char name[MACHINE_NAME_SIZE];
                bool is_controller = i < (layout == LAYOUT_SPARE ? SPARE_MAX : CONTROLLERS_MAX);

                snprintf(name, sizeof name, "node%u", i + 1);
                nodes[i] = (struct node_host){ .machine = machine_new(name, true),
                                               .id = (int)i + 1,
                                               .is_controller = is_controller,
                                               .may_wait = is_controller && layout == LAYOUT_SPARE,
                                               .is_ingest = !is_controller || layout == LAYOUT_TOGETHER };
                nodes[i].machine->user = &nodes[i];
                nodes[i].machine->on_end = on_end;
                fiber_start(world, name, keep_running, &nodes[i]);
        }
}

bool nodes_wait_ready(int64_t ns)
{
        int64_t until_ns = sim_now() + ns;

        for (unsigned i = 0; i < nodes_count; i++)
                while (nodes[i].is_wanted && !nodes[i].is_ready && !nodes[i].may_wait) {
                        if (sim_now() >= until_ns)
                                return false;
                        fiber_sleep(10 * MS);
                }
        return true;
}

/* ---- for who looks for what is wrong ---- */

static int say_partition(void *arg, struct partition *p)
{
        const struct node_host *h = arg;
        struct partition_view v;

        partition_view(p, &v);
        world_say("%s: %s-%d: role %d, leader %d in epoch %d, log %lld to %lld, high watermark %lld%s%s",
                  h->machine->name, partition_topic_name(p), partition_index(p), v.role, v.leader, v.leader_epoch,
                  (long long)v.start_offset, (long long)v.end_offset, (long long)v.high_watermark,
                  v.watermark_known ? "" : " at least", v.failed ? ", failed" : "");
        return 0;
}

static void say_ids(char *text, size_t size, const char *name, const int32_t *ids, unsigned count)
{
        size_t len = strlen(text);

        len += (size_t)snprintf(text + len, size - len, " %s", name);
        for (unsigned i = 0; i < count && len < size; i++)
                len += (size_t)snprintf(text + len, size - len, " %d", ids[i]);
}

static void say_metadata(const struct node_host *h, const struct meta_image *image)
{
        const struct meta_topic *t;
        const struct meta_broker *b;

        world_say("%s: metadata up to %lld", h->machine->name, (long long)image->index);
        pmap_for_each (it, b, &image->brokers)
                world_say("%s: broker %d, epoch %lld%s%s", h->machine->name, b->id, (long long)b->epoch,
                          b->fenced ? ", fenced" : "", b->in_shutdown ? ", in shutdown" : "");
        pmap_for_each (it, t, &image->topics_by_name)
                for (uint32_t i = 0; i < t->partitions_count; i++) {
                        const struct meta_partition *p = meta_topic_partition(t, (int32_t)i);
                        char text[200] = "";

                        say_ids(text, sizeof text, "replicas", meta_partition_replicas(p), p->replicas_count);
                        say_ids(text, sizeof text, "isr", meta_partition_isr(p), p->isr_count);
                        say_ids(text, sizeof text, "elr", meta_partition_elr(p), p->elr_count);
                        world_say("%s: %.*s-%u: leader %d in epoch %d,%s", h->machine->name, STR_FMT(t->name), i,
                                  p->leader, p->leader_epoch, text);
                }
}

void nodes_say(void)
{
        for (unsigned i = 0; i < nodes_count; i++) {
                struct node *n = node_running[i];
                struct meta_image *image;

                if (!n)
                        continue;
                image = controller_image(n->controller);
                say_metadata(&nodes[i], image);
                meta_image_unref(image);
                partition_table_visit(n->table, say_partition, &nodes[i]);
        }
}
