/* Members of share groups fetch what nobody else has, and accept, release, reject or renew it, or say nothing; in requests of their own,
 * or with the next fetch. */
#include <stdio.h>
#include <string.h>

#include "client_share.h"
#include "ledger.h"
#include "wire/batch_records.h"

enum { WHOLE_BATCHES = 0, NO_MORE_THAN_ASKED = 1, MANY = 1000000 };
/* As groups.share_record_lock_duration_ms is set (nodes.c). */
#define LOCK_NS (SECOND * 5)
/* Clocks of nodes go faster or slower, and are read in milliseconds. */
#define SURE_NS (LOCK_NS * 8 / 10)
static const char *const types[] = { "gap", "accept", "release", "reject", "renew" };

/* What a member has been given and still has to speak of. */
struct batches {
        struct share_batch at[SHARE_RECORDS_MAX];
        unsigned count;
};

/* ---- acknowledgements ---- */

/* What is said, and who it was said by then. */
struct sent {
        int64_t asked_ns, held_ns; /* surely held until the second, if nothing else happens */
        uint64_t disturbed;
};

static struct share_words words_of(struct share_batch of, int8_t type)
{
        return (struct share_words){ .of = of, .types = { type }, .types_count = 1 };
}

static int8_t type_of(const struct share_words *w, int64_t offset)
{
        return w->types[w->types_count > 1 ? offset - w->of.first : 0];
}

static struct sent say(struct share_member *m, const struct share_words *w)
{
        struct share_book *b = m->group->books[w->of.part];
        struct share_now now = share_now();
        struct sent sent = { now.ns, INT64_MAX, now.disturbed };

        for (int64_t o = w->of.first; o <= w->of.last; o++) {
                int8_t type = type_of(w, o);

                sent.held_ns = MIN2(sent.held_ns, share_book_held_until(b, m->number, o, now.disturbed));
                if (type != SHARE_RENEW) /* from now on others may have it */
                        share_book_let_go(b, m->number, o, o);
                if (type != SHARE_RENEW && type != SHARE_RELEASE)
                        share_book_asks(b, o);
        }
        return sent;
}

static bool was_held(const struct sent *sent, struct share_now now)
{
        return now.ns < sent->held_ns && now.disturbed == sent->disturbed;
}

static void confirmed(struct share_member *m, const struct share_words *w, const struct sent *sent,
                      struct share_now now)
{
        uint64_t *counts[] = { &share_counts.gaps, &share_counts.accepted, &share_counts.released,
                               &share_counts.rejected, &share_counts.renewed };
        struct share_book *b = m->group->books[w->of.part];

        for (int64_t o = w->of.first; o <= w->of.last; o++) {
                int8_t type = type_of(w, o);

                share_book_confirmed(b, m->number, o, sent->asked_ns, now);
                if (type == SHARE_RELEASE)
                        share_book_released(b, o, w->of.deliveries);
                else if (type == SHARE_RENEW)
                        share_book_renewed(b, m->number, o, sent->asked_ns + SURE_NS);
                else
                        share_book_ended(b, o, now);
                ++*counts[type];
        }
        share_counts.mixed += w->types_count > 1;
}

/* What a partition answers to an acknowledgement. */
static void answered(struct share_member *m, const struct share_words *w, const struct sent *sent, int code)
{
        struct share_book *b = m->group->books[w->of.part];
        struct share_now now = share_now();
        bool held = was_held(sent, now);

        share_counts.held += held;
        world_say("%s: %s-%d from %lld to %lld: %s is answered with %d%s", m->client->name, b->part->topic->name,
                  w->of.part, (long long)w->of.first, (long long)w->of.last,
                  w->types_count > 1 ? "this and that" : types[w->types[0]], code, held ? ", it was held" : "");
        if (!code) {
                confirmed(m, w, sent, now);
                return;
        }
        client_error(m->client, "acknowledgement", code);
        share_counts.refused++;
        if ((code == KERR_INVALID_RECORD_STATE || code == KERR_INVALID_REQUEST) && held)
                world_fail("%s: %s-%d from %lld to %lld is refused to who holds it", m->client->name,
                           b->part->topic->name, w->of.part, (long long)w->of.first, (long long)w->of.last);
        /* INVALID_REQUEST: a leader that came since has given nobody anything of it. */
        if (code != KERR_INVALID_RECORD_STATE && code != KERR_INVALID_REQUEST && code != KERR_FENCED_STATE_EPOCH &&
            !client_is_passing(code))
                world_fail("%s: an acknowledgement is refused with error %d", m->client->name, code);
}

/* The whole request is answered with @code; SHARE_NO_ANSWER: not at all. */
static void unanswered(struct share_member *m, const char *what, int node, const struct sent *sent, int code)
{
        if ((code == KERR_SHARE_SESSION_NOT_FOUND || code == KERR_INVALID_SHARE_SESSION_EPOCH) &&
            was_held(sent, share_now()))
                world_fail("%s: %s is refused with error %d to who holds what it speaks of", m->client->name, what,
                           code);
        share_counts.unsure += code == SHARE_NO_ANSWER;
        share_session_failed(m, what, node, code);
}

/* Return: false, the session is no more. */
static bool acknowledge(struct share_member *m, int node, const struct share_words *w)
{
        struct share_acknowledge_request_ack_batch batch = { w->of.first, w->of.last, (int8_t *)(uintptr_t)w->types,
                                                             w->types_count };
        struct share_acknowledge_request_partition partition;
        struct share_acknowledge_request_topic topic;
        struct share_acknowledge_request rq;
        struct share_acknowledge_response rs;
        struct sent sent = say(m, w);
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_acknowledge_request_init(&rq);
        share_acknowledge_request_topic_init(&topic);
        share_acknowledge_request_partition_init(&partition);
        partition.partition_index = w->of.part;
        partition.acknowledgement_batches = &batch;
        partition.acknowledgement_batches_count = 1;
        topic.topic_id = m->topic_id;
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.share_session_epoch = m->sessions[node];
        rq.is_renew_ack = w->types[0] == SHARE_RENEW;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(m->client, node, CLIENT_API(share_acknowledge, SHARE_ACKNOWLEDGE_REQUEST_KEY, 2), &rq, &rs,
                        &mem)) {
                unanswered(m, "ShareAcknowledge", node, &sent, SHARE_NO_ANSWER);
                return false;
        }
        if (rs.error_code) {
                unanswered(m, "ShareAcknowledge", node, &sent, rs.error_code);
                return false;
        }
        m->sessions[node]++;
        if (rs.responses_count != 1 || rs.responses[0].partitions_count != 1)
                world_fail("%s: ShareAcknowledge is answered for %d topics", m->client->name, rs.responses_count);
        answered(m, w, &sent, rs.responses[0].partitions[0].error_code);
        return true;
}

void share_close_session(struct share_member *m, int node)
{
        struct share_acknowledge_request rq;
        struct share_acknowledge_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        share_acknowledge_request_init(&rq);
        rq.group_id = str_of(m->group->name);
        rq.member_id = str_of(m->id);
        rq.share_session_epoch = SHARE_CLOSE;
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                share_book_let_all_go(m->group->books[k], m->number);
        if (client_call(m->client, node, CLIENT_API(share_acknowledge, SHARE_ACKNOWLEDGE_REQUEST_KEY, 2), &rq, &rs,
                        &mem)) {
                share_session_failed(m, "ShareAcknowledge", node, SHARE_NO_ANSWER);
                return;
        }
        if (rs.error_code)
                share_session_failed(m, "ShareAcknowledge", node, rs.error_code);
        share_counts.closes += !rs.error_code;
        share_forget_session(m, node);
}

/* ---- what is said of what came. Return: as acknowledge() ---- */

static bool say_this_and_that(struct share_member *m, int node, struct share_batch of)
{
        struct share_words w = { .of = of };

        w.of.last = MIN2(of.last, of.first + SHARE_RECORDS_MAX - 1);
        for (int64_t o = of.first; o <= w.of.last; o++)
                w.types[w.types_count++] = (int8_t)chance_below(&m->client->chance, SHARE_REJECT + 1);
        return acknowledge(m, node, &w);
}

/* It is not with this member: nobody must notice that it speaks of it. */
static bool say_of_others(struct share_member *m, int node, int32_t part, int64_t from)
{
        struct share_book *b = m->group->books[part];
        bool ended = chance_one_in(&m->client->chance, 2);
        int64_t o = ended ? share_book_some_ended(b, from) : share_book_some_held(b, m->number, from, share_now());
        int8_t type = (int8_t)(SHARE_ACCEPT + chance_below(&m->client->chance, 3));
        struct share_words w = words_of((struct share_batch){ part, o, o, 0 }, type);

        return o < 0 || acknowledge(m, node, &w);
}

static bool say_later(struct share_member *m, int node, struct share_batch of)
{
        if (m->later.types_count) {
                struct share_words now = words_of(of, SHARE_ACCEPT);

                return acknowledge(m, node, &now);
        }
        m->later = words_of(of, (int8_t)(SHARE_ACCEPT + chance_below(&m->client->chance, 3)));
        m->later_node = node;
        return true;
}

static bool decide(struct share_member *m, int node, struct share_batch of)
{
        struct chance *c = &m->client->chance;
        unsigned what = (unsigned)chance_below(c, 24);
        struct share_batch half = { of.part, of.first, of.first + (of.last - of.first) / 2, of.deliveries };
        struct share_words accept = words_of(of, SHARE_ACCEPT), renew = words_of(of, SHARE_RENEW),
                           release = words_of(half, SHARE_RELEASE), reject = words_of(half, SHARE_REJECT);

        if (clients_are_done || what < 10)
                return acknowledge(m, node, &accept);
        if (what < 12)
                return acknowledge(m, node, &release);
        if (what < 13)
                return acknowledge(m, node, &reject);
        if (what < 15)
                return acknowledge(m, node, &renew) && acknowledge(m, node, &accept);
        if (what < 16) { /* when others may have it */
                fiber_sleep(LOCK_NS / 2 + (int64_t)chance_below(c, LOCK_NS));
                return acknowledge(m, node, &accept);
        }
        if (what < 17)
                return say_of_others(m, node, of.part, of.first / 2) && acknowledge(m, node, &accept);
        if (what < 19)
                return say_this_and_that(m, node, of);
        if (what < 22)
                return say_later(m, node, of);
        return true; /* the lock's time has to pass */
}

/* ---- fetching ---- */

static bool is_acquired(const struct share_fetch_response_partition *p, int64_t offset)
{
        for (int32_t i = 0; i < p->acquired_records_count; i++)
                if (offset >= p->acquired_records[i].first_offset && offset <= p->acquired_records[i].last_offset)
                        return true;
        return false;
}

/* Of transactions: what is not acquired may be there, and be of none that was committed. */
static void see_committed(struct share_member *m, const struct share_fetch_response_partition *p)
{
        struct history_part *part = &m->group->topic->parts[p->partition_index];
        struct batch_iter batches = batch_iter_of(span_of(p->records.data, p->records.len));
        struct batch_header h;
        struct span one;

        while (!batch_iter_next(&batches, &one, &h)) {
                struct batch_records it;
                struct batch_record r;
                int rc = batch_is_control(&h) ? BATCH_END : batch_records_open(&it, one, 0);

                if (rc)
                        continue;
                while (!batch_records_next(&it, &r))
                        if (is_acquired(p, r.offset)) {
                                ledger_show(part, r.offset, r.value);
                                share_book_came(m->group->books[p->partition_index], r.offset);
                        }
                batch_records_close(&it);
        }
}

static void see_records(struct share_member *m, const struct share_fetch_response_partition *p)
{
        struct client_reader reader = { .client = m->client,
                                        .part = &m->group->topic->parts[p->partition_index],
                                        .high = -1 };

        if (!p->records.data)
                return;
        if (m->group->books[p->partition_index]->committed)
                see_committed(m, p);
        else
                client_reader_see(&reader, span_of(p->records.data, p->records.len));
}

/* @batches: what is acquired is added to it. Return: how many records. */
static int64_t take(struct share_member *m, const struct share_fetch_response_partition *p,
                    const struct share_hold *hold, struct share_now now, struct batches *batches)
{
        struct share_book *b = m->group->books[p->partition_index];
        int64_t records = 0;

        see_records(m, p);
        for (int32_t i = 0; i < p->acquired_records_count; i++) {
                const struct share_fetch_response_acquired *a = &p->acquired_records[i];

                world_say("%s: %s-%d from %lld to %lld is acquired, delivery %d", m->client->name, b->part->topic->name,
                          b->part->index, (long long)a->first_offset, (long long)a->last_offset, a->delivery_count);
                share_book_acquired(b, a->first_offset, a->last_offset, a->delivery_count, hold, now);
                records += a->last_offset - a->first_offset + 1;
                if (batches->count < ARRAY_LEN(batches->at)) /* of others the time has to pass */
                        batches->at[batches->count++] = (struct share_batch){ p->partition_index, a->first_offset,
                                                                              a->last_offset, a->delivery_count };
        }
        return records;
}

static void fetch_failed(struct share_member *m, int node, int32_t part, int code)
{
        if (chance_one_in(&m->client->chance, 2) || !client_is_passing(code)) {
                share_session_failed(m, "ShareFetch", node, code);
                return;
        }
        client_error(m->client, "ShareFetch", code); /* the session goes on with its other partitions */
        client_forget_leader(m->client, &m->group->topic->parts[part]);
        client_pause(m->client);
}

/* All of the answer is noted before anything is said of any of it. @most: so many records may be in it. */
static void taken(struct share_member *m, int node, const struct share_fetch_response *rs,
                  const struct share_hold *hold, int64_t most)
{
        struct batches batches = { .count = 0 };
        struct share_now now = share_now();
        int64_t records = 0;
        int32_t bad_part = 0;
        int code = 0;

        for (int32_t i = 0; i < rs->responses_count; i++)
                for (int32_t k = 0; k < rs->responses[i].partitions_count; k++) {
                        const struct share_fetch_response_partition *p = &rs->responses[i].partitions[k];

                        if (p->error_code) {
                                code = p->error_code;
                                bad_part = p->partition_index;
                        } else {
                                records += take(m, p, hold, now, &batches);
                        }
                }
        if (records > most)
                world_fail("%s: %lld records are acquired, and %lld were asked for", m->client->name,
                           (long long)records, (long long)most);
        if (batches.count && chance_one_in(&m->client->chance, 15) &&
            !share_misuse(m, node, &batches.at[0], hold->disturbed))
                return;
        for (unsigned i = 0; i < batches.count; i++)
                if (!decide(m, node, batches.at[i]))
                        return;
        if (code)
                fetch_failed(m, node, bad_part, code);
}

/* What @node leads and the session does not know is added, and taken out what the member does not have any more. */
static void ask(struct share_member *m, int node, struct share_fetch_request_topic *topic,
                struct share_fetch_request_forgotten_topic *gone)
{
        for (int32_t k = 0; k < m->group->topic->parts_count; k++) {
                bool wanted = m->owned[k] && client_leader(m->client, &m->group->topic->parts[k]) == node;

                if (wanted && !m->in_session[node][k]) {
                        struct share_fetch_request_partition *p = &topic->partitions[topic->partitions_count++];

                        share_fetch_request_partition_init(p);
                        p->partition_index = k;
                } else if (!wanted && m->in_session[node][k]) {
                        gone->partitions[gone->partitions_count++] = k;
                }
                m->in_session[node][k] = wanted;
        }
}

/* The partition of @w is among those that are named, with what is said of it. */
static void add_words(struct share_fetch_request_topic *topic, const struct share_words *w,
                      struct share_fetch_request_ack_batch *batch)
{
        struct share_fetch_request_partition *p = topic->partitions, *end = p + topic->partitions_count;

        while (p < end && p->partition_index != w->of.part)
                p++;
        if (p == end) {
                topic->partitions_count++;
                share_fetch_request_partition_init(p);
                p->partition_index = w->of.part;
        }
        share_fetch_request_ack_batch_init(batch);
        batch->first_offset = w->of.first;
        batch->last_offset = w->of.last;
        batch->acknowledge_types = (int8_t *)(uintptr_t)w->types;
        batch->acknowledge_types_count = w->types_count;
        p->acknowledgement_batches = batch;
        p->acknowledgement_batches_count = 1;
}

static void answered_by_fetch(struct share_member *m, const struct share_fetch_response *rs,
                              const struct share_words *w, const struct sent *sent)
{
        for (int32_t i = 0; i < rs->responses_count; i++)
                for (int32_t k = 0; k < rs->responses[i].partitions_count; k++) {
                        const struct share_fetch_response_partition *p = &rs->responses[i].partitions[k];

                        if (p->partition_index != w->of.part)
                                continue;
                        answered(m, w, sent, p->acknowledge_error_code);
                        share_counts.with_fetch++;
                        return;
                }
        world_fail("%s: ShareFetch does not tell what became of an acknowledgement", m->client->name);
}

/* Of those in the session at @node @most records are asked for; and what became of it. */
static void note_asked(struct share_member *m, int node, int64_t most)
{
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                if (m->in_session[node][k])
                        share_book_asked(m->group->books[k], most);
}

static void note_answered(struct share_member *m, int node, int64_t most)
{
        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                if (m->in_session[node][k])
                        share_book_answered(m->group->books[k], most);
}

static void note_unheard(struct share_member *m, int node)
{
        struct share_now now = share_now();

        for (int32_t k = 0; k < m->group->topic->parts_count; k++)
                if (m->in_session[node][k])
                        share_book_unheard(m->group->books[k], now);
}

/* @later: what is said with it; its @types_count may be 0. Return: false, the session is no more. */
static bool fetch_with(struct share_member *m, int node, struct share_fetch_request *rq,
                       const struct share_words *later)
{
        struct chance *c = &m->client->chance;
        struct share_hold hold = { .member = m->number };
        struct share_fetch_response rs;
        struct sent sent = { 0 };
        struct share_now now;
        CLEANUP(arena_finip) struct arena mem;
        int64_t most;

        arena_init(&mem, 0);
        rq->group_id = str_of(m->group->name);
        rq->member_id = str_of(m->id);
        rq->share_session_epoch = m->sessions[node];
        rq->max_wait_ms = 300;
        rq->min_bytes = 1;
        rq->max_records = rq->batch_size =
                clients_are_done ? SHARE_RECORDS_MAX : 1 + (int32_t)chance_below(c, SHARE_RECORDS_MAX);
        rq->share_acquire_mode = m->group->takes_more && chance_one_in(c, 2) ? WHOLE_BATCHES : NO_MORE_THAN_ASKED;
        most = rq->share_acquire_mode == WHOLE_BATCHES ? MANY : rq->max_records;
        if (later->types_count)
                sent = say(m, later);
        now = share_now();
        hold.asked_ns = now.ns;
        hold.until_ns = now.ns + SURE_NS;
        hold.disturbed = now.disturbed;
        note_asked(m, node, most);
        if (client_call(m->client, node, CLIENT_API(share_fetch, SHARE_FETCH_REQUEST_KEY, 2), rq, &rs, &mem)) {
                note_unheard(m, node);
                unanswered(m, "ShareFetch", node, &sent, SHARE_NO_ANSWER);
                return false;
        }
        note_answered(m, node, most);
        if (rs.error_code) {
                unanswered(m, "ShareFetch", node, &sent, rs.error_code);
                return false;
        }
        m->sessions[node]++;
        if (later->types_count)
                answered_by_fetch(m, &rs, later, &sent);
        taken(m, node, &rs, &hold, most);
        return true;
}

void share_fetch(struct share_member *m, int node)
{
        struct share_fetch_request_partition partitions[HISTORY_PARTITIONS_MAX];
        int32_t indexes[HISTORY_PARTITIONS_MAX];
        struct share_fetch_request_ack_batch batch;
        struct share_fetch_request_topic topic;
        struct share_fetch_request_forgotten_topic gone;
        struct share_fetch_request rq;
        struct share_words later = { 0 };

        share_fetch_request_init(&rq);
        share_fetch_request_topic_init(&topic);
        share_fetch_request_forgotten_topic_init(&gone);
        if (m->later.types_count && m->later_node == node) {
                later = m->later;
                m->later.types_count = 0;
        }
        topic.topic_id = gone.topic_id = m->topic_id;
        topic.partitions = partitions;
        gone.partitions = indexes;
        ask(m, node, &topic, &gone);
        if (later.types_count && m->in_session[node][later.of.part]) {
                add_words(&topic, &later, &batch);
        } else if (later.types_count) { /* it is not fetched any more, which would make it so */
                if (!acknowledge(m, node, &later))
                        return;
                later.types_count = 0;
        }
        rq.topics = &topic;
        rq.topics_count = topic.partitions_count ? 1 : 0;
        rq.forgotten_topics_data = &gone;
        rq.forgotten_topics_data_count = gone.partitions_count ? 1 : 0;
        (void)fetch_with(m, node, &rq, &later); /* the next look begins a new one */
}
