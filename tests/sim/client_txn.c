/* Transactional producers, of both versions of transactions, and readers of committed records (ledger.h). Producers hang until their
 * time is up, and are replaced by others of the same transactional id while they go on. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "ledger.h"
#include "share_book.h"
#include "sys/clock.h"
#include "wire/batch_records.h"

enum { TIMEOUT_MS = 8000, BATCH_MAX = 6, NO_ANSWER = -2 };

struct ledger_writer {
        struct client *client;
        struct history_topic *topic;
        uint32_t number; /* of the writer */
        char id[24], group[24];
        bool v2;
        int node, group_node; /* coordinators; -1: not known */
        int64_t producer_id;
        int16_t epoch;
        int32_t sequences[HISTORY_PARTITIONS_MAX];
        uint32_t txn; /* its number in the ledger */
};

static struct ledger_txn *txn_of(const struct ledger_writer *w)
{
        return ledger_find(w->txn);
}

/* ---- coordinators ---- */

static int find(struct client *c, const char *key, int8_t type)
{
        struct find_coordinator_request rq;
        struct find_coordinator_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        find_coordinator_request_init(&rq);
        rq.key = str_of(key);
        rq.key_type = type;
        if (client_call(c, client_any_node(c), CLIENT_API(find_coordinator, FIND_COORDINATOR_REQUEST_KEY, 3), &rq, &rs,
                        &mem))
                return -1;
        if (rs.error_code) {
                client_error(c, "FindCoordinator", rs.error_code);
                if (!client_is_passing(rs.error_code))
                        world_fail("%s: FindCoordinator is refused with error %d", c->name, rs.error_code);
                return -1;
        }
        return rs.node_id - 1;
}

/* The transaction cannot be committed any more: its time was up, or another producer has taken over. */
static bool ends_it(int code)
{
        switch (code) {
        case KERR_INVALID_PRODUCER_EPOCH:
        case KERR_PRODUCER_FENCED:
        case KERR_INVALID_TXN_STATE:
        case KERR_TRANSACTION_ABORTABLE:
                return true;
        default:
                return false;
        }
}

/* After an answer of a coordinator, @node: is it asked again? */
static bool again(struct ledger_writer *w, const char *what, int code, int *node)
{
        if (!code)
                return false;
        if (code > 0)
                client_error(w->client, what, code);
        if (code == KERR_CONCURRENT_TRANSACTIONS)
                ledger_counts.concurrent++;
        else if (code > 0 && ends_it(code))
                return false;
        else if (code > 0 && !client_is_passing(code))
                world_fail("%s: %s is refused with error %d", w->client->name, what, code);
        else
                *node = -1;
        client_pause(w->client);
        return true;
}

static int ask(struct ledger_writer *w, int *node, const char *key, int8_t type)
{
        while (*node < 0) {
                *node = find(w->client, key, type);
                if (*node < 0)
                        client_pause(w->client);
        }
        return *node;
}

/* ---- the producer's requests. Return: 0 or a code that ends the transaction ---- */

static void init(struct ledger_writer *w)
{
        struct init_producer_id_request rq;
        struct init_producer_id_response rs;
        int code;

        init_producer_id_request_init(&rq);
        rq.transactional_id = str_of(w->id);
        rq.transaction_timeout_ms = TIMEOUT_MS;
        do {
                CLEANUP(arena_finip) struct arena mem;

                arena_init(&mem, 0);
                code = client_call(w->client, ask(w, &w->node, w->id, 1),
                                   CLIENT_API(init_producer_id, INIT_PRODUCER_ID_REQUEST_KEY, 4), &rq, &rs, &mem)
                               ? -1
                               : rs.error_code;
        } while (again(w, "InitProducerId", code, &w->node));
        if (code)
                world_fail("%s: InitProducerId is refused with error %d", w->client->name, code);
        w->producer_id = rs.producer_id;
        w->epoch = rs.producer_epoch;
        memset(w->sequences, 0, sizeof w->sequences);
}

static int add_partition(struct ledger_writer *w, int32_t part)
{
        struct add_partitions_to_txn_request_topic topic;
        struct add_partitions_to_txn_request rq;
        struct add_partitions_to_txn_response rs;
        int code;

        add_partitions_to_txn_request_init(&rq);
        add_partitions_to_txn_request_topic_init(&topic);
        topic.name = str_of(w->topic->name);
        topic.partitions = &part;
        topic.partitions_count = 1;
        rq.v3_and_below_transactional_id = str_of(w->id);
        rq.v3_and_below_producer_id = w->producer_id;
        rq.v3_and_below_producer_epoch = w->epoch;
        rq.v3_and_below_topics = &topic;
        rq.v3_and_below_topics_count = 1;
        do {
                CLEANUP(arena_finip) struct arena mem;

                arena_init(&mem, 0);
                code = client_call(w->client, ask(w, &w->node, w->id, 1),
                                   CLIENT_API(add_partitions_to_txn, ADD_PARTITIONS_TO_TXN_REQUEST_KEY, 3), &rq, &rs,
                                   &mem)
                               ? -1
                               : rs.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
        } while (again(w, "AddPartitionsToTxn", code, &w->node));
        return code;
}

static int add_offsets(struct ledger_writer *w)
{
        struct add_offsets_to_txn_request rq;
        struct add_offsets_to_txn_response rs;
        int code;

        add_offsets_to_txn_request_init(&rq);
        rq.transactional_id = str_of(w->id);
        rq.producer_id = w->producer_id;
        rq.producer_epoch = w->epoch;
        rq.group_id = str_of(w->group);
        do {
                CLEANUP(arena_finip) struct arena mem;

                arena_init(&mem, 0);
                code = client_call(w->client, ask(w, &w->node, w->id, 1),
                                   CLIENT_API(add_offsets_to_txn, ADD_OFFSETS_TO_TXN_REQUEST_KEY, 3), &rq, &rs, &mem)
                               ? -1
                               : rs.error_code;
        } while (again(w, "AddOffsetsToTxn", code, &w->node));
        return code;
}

static int stage(struct ledger_writer *w, int64_t offset)
{
        struct txn_offset_commit_request_partition partition;
        struct txn_offset_commit_request_topic topic;
        struct txn_offset_commit_request rq;
        struct txn_offset_commit_response rs;
        int code;

        txn_offset_commit_request_init(&rq);
        txn_offset_commit_request_topic_init(&topic);
        txn_offset_commit_request_partition_init(&partition);
        partition.committed_offset = offset;
        partition.committed_metadata = STR_LIT("");
        topic.name = str_of(w->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.transactional_id = str_of(w->id);
        rq.group_id = str_of(w->group);
        rq.producer_id = w->producer_id;
        rq.producer_epoch = w->epoch;
        rq.member_id = STR_LIT("");
        rq.topics = &topic;
        rq.topics_count = 1;
        do {
                CLEANUP(arena_finip) struct arena mem;

                arena_init(&mem, 0);
                code = client_call(w->client, ask(w, &w->group_node, w->group, 0),
                                   w->v2 ? CLIENT_API(txn_offset_commit, TXN_OFFSET_COMMIT_REQUEST_KEY, 5)
                                         : CLIENT_API(txn_offset_commit, TXN_OFFSET_COMMIT_REQUEST_KEY, 4),
                                   &rq, &rs, &mem)
                               ? -1
                               : rs.topics[0].partitions[0].error_code;
        } while (again(w, "TxnOffsetCommit", code, &w->group_node));
        return code;
}

/* @ret_unsure: some try of it had no answer that says what became of it. */
static int end(struct ledger_writer *w, bool commit, bool *ret_unsure)
{
        struct end_txn_request rq;
        struct end_txn_response rs;
        int code;

        *ret_unsure = false;
        end_txn_request_init(&rq);
        rq.transactional_id = str_of(w->id);
        rq.producer_id = w->producer_id;
        rq.producer_epoch = w->epoch;
        rq.committed = commit;
        for (;;) {
                CLEANUP(arena_finip) struct arena mem;

                arena_init(&mem, 0);
                code = client_call(w->client, ask(w, &w->node, w->id, 1),
                                   w->v2 ? CLIENT_API(end_txn, END_TXN_REQUEST_KEY, 5)
                                         : CLIENT_API(end_txn, END_TXN_REQUEST_KEY, 4),
                                   &rq, &rs, &mem)
                               ? -1
                               : rs.error_code;
                if (!again(w, "EndTxn", code, &w->node))
                        break;
                *ret_unsure = true;
        }
        if (!code && w->v2) {
                if (rs.producer_epoch != w->epoch || rs.producer_id != w->producer_id)
                        memset(w->sequences, 0, sizeof w->sequences);
                w->producer_id = rs.producer_id;
                w->epoch = rs.producer_epoch;
        }
        return code;
}

/* ---- records ---- */

static void build(const struct ledger_writer *w, int32_t part, uint32_t first, uint32_t count, struct strbuf *out)
{
        struct batch_build_args args = batch_build_args();
        struct batch_builder b;
        uint8_t value[LEDGER_VALUE_LEN];

        args.producer_id = w->producer_id;
        args.producer_epoch = w->epoch;
        args.base_sequence = w->sequences[part];
        args.transactional = true;
        batch_builder_init(&b, &args);
        for (uint32_t i = 0; i < count; i++) {
                struct batch_record r = { .offset = i,
                                          .timestamp = clock_wall_ms(),
                                          .value = span_of(value, sizeof value) };

                ledger_value(txn_of(w), part, first + i, value);
                if (batch_builder_add(&b, &r))
                        abort();
        }
        if (batch_builder_finish(&b, out))
                abort();
        batch_builder_fini(&b);
}

/* Return: Kafka's code; -1: no answer. */
static int produce(struct ledger_writer *w, int node, int32_t part, const struct strbuf *bytes)
{
        struct produce_request_partition partition = { .index = part };
        struct produce_request_topic topic;
        struct produce_request rq;
        struct produce_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        produce_request_init(&rq);
        produce_request_topic_init(&topic);
        partition.records = (struct wire_records){ .data = (const uint8_t *)bytes->data, .len = bytes->len };
        topic.name = str_of(w->topic->name);
        topic.partition_data = &partition;
        topic.partition_data_count = 1;
        rq.transactional_id = str_of(w->id);
        rq.acks = -1;
        rq.timeout_ms = 5000;
        rq.topic_data = &topic;
        rq.topic_data_count = 1;
        if (client_call(w->client, node,
                        w->v2 ? CLIENT_API(produce, PRODUCE_REQUEST_KEY, 12)
                              : CLIENT_API(produce, PRODUCE_REQUEST_KEY, 11),
                        &rq, &rs, &mem))
                return -1;
        return rs.responses[0].partition_responses[0].error_code;
}

static int send_some(struct ledger_writer *w, int32_t part, uint32_t count)
{
        CLEANUP(strbuf_finip) struct strbuf bytes = { 0 };
        struct ledger_txn *t = txn_of(w);
        struct history_part *p = &w->topic->parts[part];
        int code;

        build(w, part, t->sent[part], count, &bytes);
        t->sent[part] += count;
        for (;;) {
                int node = client_leader(w->client, p);

                code = node >= 0 ? produce(w, node, part, &bytes) : -1;
                if (!code || code == KERR_DUPLICATE_SEQUENCE_NUMBER)
                        break;
                if (code > 0)
                        client_error(w->client, "produce", code);
                if (code > 0 && ends_it(code))
                        return code;
                if (code == KERR_CONCURRENT_TRANSACTIONS)
                        ledger_counts.concurrent++;
                else if (code > 0 && !client_is_passing(code))
                        world_fail("%s: produce is refused with error %d", w->client->name, code);
                else
                        client_forget_leader(w->client, p);
                client_pause(w->client);
        }
        w->sequences[part] += (int32_t)count;
        return 0;
}

/* ---- one transaction ---- */

static int write_some(struct ledger_writer *w)
{
        struct chance *c = &w->client->chance;
        unsigned batches = 1 + chance_below(c, 4);
        bool added[HISTORY_PARTITIONS_MAX] = { 0 };
        int code = 0;

        for (unsigned i = 0; !code && i < batches; i++) {
                int32_t part = (int32_t)chance_below(c, (uint64_t)w->topic->parts_count);

                if (!w->v2 && !added[part])
                        code = add_partition(w, part);
                added[part] = true;
                if (!code)
                        code = send_some(w, part, 1 + chance_below(c, BATCH_MAX));
        }
        if (!code && chance_one_in(c, 2)) {
                if (!w->v2)
                        code = add_offsets(w);
                if (!code)
                        code = stage(w, w->txn);
                txn_of(w)->staged = !code;
                ledger_counts.staged += !code;
        }
        return code;
}

static void note(struct ledger_writer *w, enum ledger_outcome outcome)
{
        txn_of(w)->outcome = outcome;
        ledger_counts.committed += outcome == LEDGER_COMMITTED;
        ledger_counts.aborted += outcome == LEDGER_ABORTED;
        ledger_counts.unknown += outcome == LEDGER_UNKNOWN;
        world_say("%s: transaction %u of producer %lld/%d is %s", w->client->name, w->txn, (long long)w->producer_id,
                  w->epoch,
                  outcome == LEDGER_COMMITTED ? "committed"
                  : outcome == LEDGER_ABORTED ? "not committed"
                                              : "perhaps committed");
}

/* Another producer of the same id comes; this one does not know, and goes on. */
static void replace(struct ledger_writer *w)
{
        struct ledger_writer old = *w;
        bool unsure;

        note(w, LEDGER_ABORTED); /* it has not asked for a commit */
        init(w);
        ledger_counts.zombies++;
        if (!send_some(&old, 0, 1))
                world_fail("%s: producer %lld/%d was replaced by %lld/%d, and may write", w->client->name,
                           (long long)old.producer_id, old.epoch, (long long)w->producer_id, w->epoch);
        if (!end(&old, true, &unsure))
                world_fail("%s: producer %lld/%d was replaced by %lld/%d, and may commit", w->client->name,
                           (long long)old.producer_id, old.epoch, (long long)w->producer_id, w->epoch);
}

static void transact(struct ledger_writer *w)
{
        struct chance *c = &w->client->chance;
        bool commit, unsure;
        int code;

        w->txn = ledger_begin(w->number)->number;
        code = write_some(w);
        if (!code && chance_one_in(c, 15)) {
                ledger_counts.timed_out++;
                fiber_sleep(MS * (TIMEOUT_MS + (int64_t)chance_below(c, TIMEOUT_MS)));
        }
        if (!code && chance_one_in(c, 15)) {
                replace(w);
                return;
        }
        commit = !code && !chance_one_in(c, 4);
        if (!code)
                code = end(w, commit, &unsure);
        if (!commit)
                note(w, LEDGER_ABORTED);
        else if (!code)
                note(w, LEDGER_COMMITTED);
        else
                note(w, unsure ? LEDGER_UNKNOWN : LEDGER_ABORTED);
        if (code) {
                w->v2 = w->number % 2 ? w->v2 : chance_one_in(c, 2);
                init(w);
        }
}

static void live(void *arg)
{
        struct ledger_writer *w = arg;

        init(w);
        while (!clients_are_done) {
                transact(w);
                fiber_sleep(chance_below(&w->client->chance, SECOND));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(w->client, i);
}

static struct ledger_writer *writer_new(struct history_topic *t, uint32_t number)
{
        struct ledger_writer *w = calloc(1, sizeof *w);
        char name[24];

        assert(w && number < LEDGER_WRITERS_MAX);
        snprintf(name, sizeof name, "writer%u", number);
        w->client = client_new(name);
        w->topic = t;
        w->number = number;
        w->v2 = number % 2;
        w->node = w->group_node = -1;
        snprintf(w->id, sizeof w->id, "ledger-%u", number);
        snprintf(w->group, sizeof w->group, "ledger-group-%u", number);
        return w;
}

/* ---- readers of committed records ---- */

struct reader {
        struct client *client;
        struct history_part *part;
        int64_t at;
        void (*see)(struct history_part *p, int64_t offset, struct span value);
};

enum { ABORTED_MAX = 256 };

static void read_batch(struct reader *r, struct span bytes)
{
        struct batch_records it;
        struct batch_record rec;
        int rc = batch_records_open(&it, bytes, 0);

        while (!rc && !(rc = batch_records_next(&it, &rec)))
                if (rec.offset >= r->at)
                        r->see(r->part, rec.offset, rec.value);
        if (rc != BATCH_END)
                world_fail("%s: a batch of %s-%d ends badly", r->client->name, r->part->topic->name, r->part->index);
        batch_records_close(&it);
}

/* As consumers do it: of a producer that is told as aborted from an offset on all goes, up to its marker. */
static void read_committed(struct reader *r, const struct fetch_response_partition *p)
{
        struct batch_iter it = batch_iter_of(span_of(p->records.data, p->records.len));
        int64_t aborted[ABORTED_MAX];
        int32_t count = 0, next = 0;
        struct batch_header h;
        struct batch_marker m;
        struct span one;

        while (!batch_iter_next(&it, &one, &h)) {
                bool goes = false;

                if (p->last_stable_offset >= 0 &&
                    batch_last_offset(&h) >= p->last_stable_offset) /* a new leader may not tell it */
                        world_fail("%s: offset %lld of %s-%d is told, and %lld is the last stable offset",
                                   r->client->name, (long long)batch_last_offset(&h), r->part->topic->name,
                                   r->part->index, (long long)p->last_stable_offset);
                for (; next < p->aborted_transactions_count &&
                       p->aborted_transactions[next].first_offset <= batch_last_offset(&h);
                     next++) {
                        assert(count < ABORTED_MAX);
                        aborted[count++] = p->aborted_transactions[next].producer_id;
                }
                for (int32_t i = 0; i < count; i++) {
                        if (aborted[i] != h.producer_id)
                                continue;
                        goes = batch_is_transactional(&h);
                        if (batch_is_control(&h) && !batch_marker_of(one, &m) && m.type == BATCH_MARKER_ABORT)
                                aborted[i--] = aborted[--count];
                }
                if (!goes && !batch_is_control(&h) && batch_last_offset(&h) >= r->at)
                        read_batch(r, one);
                r->at = MAX2(r->at, batch_last_offset(&h) + 1);
        }
}

/* Return: Kafka's code; -1: no answer. @ret_open: something is not stable. */
static int fetch(struct reader *r, int node, int32_t max_wait_ms, bool *ret_open)
{
        struct fetch_request_partition partition;
        struct fetch_request_topic topic;
        struct fetch_request rq;
        struct fetch_response rs;
        CLEANUP(arena_finip) struct arena mem;
        const struct fetch_response_partition *p;

        arena_init(&mem, 0);
        fetch_request_init(&rq);
        memset(&topic, 0, sizeof topic);
        fetch_request_partition_init(&partition);
        partition.partition = r->part->index;
        partition.fetch_offset = r->at;
        partition.partition_max_bytes = (int32_t)(1000 + chance_below(&r->client->chance, 100000));
        topic.topic = str_of(r->part->topic->name);
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.rack_id = STR_LIT("");
        rq.isolation_level = 1;
        rq.max_wait_ms = max_wait_ms;
        rq.min_bytes = 1;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(r->client, node, CLIENT_API(fetch, FETCH_REQUEST_KEY, 12), &rq, &rs, &mem))
                return -1;
        p = &rs.responses[0].partitions[0];
        if (p->error_code)
                return p->error_code;
        *ret_open = p->last_stable_offset < 0 || p->last_stable_offset != p->high_watermark ||
                    (p->records.data && p->records.len) || r->at < p->high_watermark;
        if (p->records.data)
                read_committed(r, p);
        return 0;
}

static void failed(struct reader *r, int code)
{
        if (code > 0)
                client_error(r->client, "fetch of committed records", code);
        if (code > 0 && !client_is_passing(code))
                world_fail("%s: fetch from %s is refused with error %d", r->client->name, r->part->topic->name, code);
        client_forget_leader(r->client, r->part);
        client_pause(r->client);
}

static void watch(void *arg)
{
        struct reader *r = arg;

        while (!clients_are_done) {
                int node = client_leader(r->client, r->part);
                bool open;
                int code = node >= 0 ? fetch(r, node, 500, &open) : -1;

                if (code)
                        failed(r, code);
                else if (chance_one_in(&r->client->chance, 100))
                        r->at = (int64_t)chance_below(&r->client->chance, (uint64_t)r->at + 1);
                else
                        fiber_sleep((int64_t)chance_below(&r->client->chance, SECOND / 2));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(r->client, i);
}

void client_start_ledger(struct history_topic *t, unsigned writers)
{
        for (uint32_t i = 0; i < writers; i++) {
                struct ledger_writer *w = writer_new(t, i);

                client_run(w->client, live, w);
        }
        for (int32_t i = 0; i < t->parts_count; i++) {
                struct reader *r = calloc(1, sizeof *r);
                char name[24];

                assert(r);
                snprintf(name, sizeof name, "auditor%d", i);
                *r = (struct reader){ .client = client_new(name), .part = &t->parts[i], .see = ledger_show };
                client_run(r->client, watch, r);
        }
}

/* ---- at the end ---- */

static void found(struct history_part *p, int64_t offset, struct span value)
{
        ledger_found(p, offset, value);
        share_books_found(p, offset);
}

static bool read_all(struct client *c, struct history_part *p, int64_t until_ns)
{
        struct reader r = { .client = c, .part = p, .see = found };
        bool open = true;

        while (open && sim_now() < until_ns) {
                int node = client_leader(c, p);
                int code = node >= 0 ? fetch(&r, node, 100, &open) : -1;

                if (code) {
                        open = true;
                        failed(&r, code);
                }
        }
        return !open;
}

/* What the writer's group has committed. */
static int64_t committed(struct client *c, struct history_topic *t, uint32_t writer, int64_t until_ns)
{
        struct offset_fetch_request_topic topic;
        struct offset_fetch_request rq;
        struct offset_fetch_response rs;
        int32_t part = 0;
        char group[24];

        snprintf(group, sizeof group, "ledger-group-%u", writer);
        offset_fetch_request_init(&rq);
        offset_fetch_request_topic_init(&topic);
        topic.name = str_of(t->name);
        topic.partition_indexes = &part;
        topic.partition_indexes_count = 1;
        rq.group_id = str_of(group);
        rq.require_stable = true;
        rq.topics = &topic;
        rq.topics_count = 1;
        while (sim_now() < until_ns) {
                CLEANUP(arena_finip) struct arena mem;
                int node = find(c, group, 0), code;

                arena_init(&mem, 0);
                if (node < 0 ||
                    client_call(c, node, CLIENT_API(offset_fetch, OFFSET_FETCH_REQUEST_KEY, 7), &rq, &rs, &mem)) {
                        client_pause(c);
                        continue;
                }
                code = rs.error_code ? rs.error_code : rs.topics[0].partitions[0].error_code;
                if (!code)
                        return rs.topics[0].partitions[0].committed_offset;
                if (code != KERR_UNSTABLE_OFFSET_COMMIT && !client_is_passing(code))
                        world_fail("%s: OffsetFetch is refused with error %d", c->name, code);
                client_pause(c);
        }
        return NO_ANSWER;
}

bool client_check_ledger(struct client *c, struct history_topic *t, const char *when, int64_t until_ns)
{
        int64_t offsets[LEDGER_WRITERS_MAX];

        ledger_read_begin();
        for (int32_t i = 0; i < t->parts_count; i++)
                if (!read_all(c, &t->parts[i], until_ns))
                        return false;
        for (uint32_t i = 0; i < LEDGER_WRITERS_MAX; i++) {
                offsets[i] = committed(c, t, i, until_ns);
                if (offsets[i] == NO_ANSWER)
                        return false;
        }
        ledger_read_end(offsets, when);
        return true;
}
