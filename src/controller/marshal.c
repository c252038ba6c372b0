/* Requests to the controller as bytes: see marshal.h. */
#include "controller/marshal.h"

#include <errno.h>

#include "wire/types.h"

/* One pass over a request: counting, writing or reading. The functions below do the same in each. */
enum pass { COUNT, WRITE, READ };

struct marshal {
        enum pass pass;
        int16_t version;
        size_t size;        /* COUNT */
        struct writer *w;   /* WRITE */
        struct cursor c;    /* READ */
        struct arena *mem;  /* READ */
        bool copies;        /* READ: text is copied into @mem, not borrowed */
        bool out_of_memory; /* READ */
};

/* ---- what everything is made of ---- */

#define SCALAR(name, type, len, write, read) \
        static void name(struct marshal *m, type *v) \
        { \
                if (m->pass == COUNT) \
                        m->size += len; \
                else if (m->pass == WRITE) \
                        write; \
                else \
                        *v = (type)read; \
        }
SCALAR(m_i8, int8_t, 1, writer_u8(m->w, (uint8_t)*v), cursor_s8(&m->c))
SCALAR(m_i16, int16_t, 2, writer_be16(m->w, (uint16_t)*v), cursor_be16s(&m->c))
SCALAR(m_i32, int32_t, 4, writer_be32(m->w, (uint32_t)*v), cursor_be32s(&m->c))
SCALAR(m_i64, int64_t, 8, writer_be64(m->w, (uint64_t)*v), cursor_be64s(&m->c))
#undef SCALAR

static void m_bool(struct marshal *m, bool *v)
{
        int8_t n = *v;

        m_i8(m, &n);
        if (m->pass == READ)
                *v = n != 0;
}

/* Numbers of enums: a value that this program does not know is malformed, because nobody could act on it. Return: what is to be
 * assigned while reading. What is written may be constant. */
static int m_enum(struct marshal *m, int value, int count)
{
        int16_t n = (int16_t)value;

        m_i16(m, &n);
        if (m->pass == READ && (n < 0 || n >= count)) {
                cursor_fail(&m->c);
                return 0;
        }
        return n;
}

#define ENUM(m, field, count) \
        do { \
                int n_ = m_enum((m), (int)(field), (count)); \
                if ((m)->pass == READ) \
                        (field) = (__typeof__(field))n_; \
        } while (0)

static void m_uuid(struct marshal *m, struct uuid *v)
{
        const uint8_t *p;

        if (m->pass == COUNT) {
                m->size += sizeof *v;
        } else if (m->pass == WRITE) {
                writer_bytes(m->w, v, sizeof *v);
        } else {
                p = cursor_take(&m->c, sizeof *v);
                if (p)
                        memcpy(v, p, sizeof *v);
        }
}

static void m_str(struct marshal *m, struct str *v)
{
        int32_t len = str_is_null(*v) ? -1 : (int32_t)v->len;

        m_i32(m, &len);
        if (m->pass == COUNT) {
                m->size += v->len;
        } else if (m->pass == WRITE) {
                writer_bytes(m->w, v->p, v->len);
        } else if (len < 0) {
                *v = STR_NULL;
        } else {
                const uint8_t *p = cursor_take(&m->c, (size_t)len);

                if (p && m->copies && !(p = arena_memdup(m->mem, p, (size_t)len)))
                        m->out_of_memory = true;
                *v = p ? (struct str){ (const char *)p, (size_t)len } : STR_NULL;
        }
}

/* The count of an array and, while reading, memory for it. @len_min: bytes of its smallest item. NULL: nothing to go through. */
static void *m_array(struct marshal *m, const void *at, int32_t *count, size_t item_size, size_t len_min)
{
        void *made;

        m_i32(m, count);
        if (m->pass != READ)
                return (void *)at;
        *count = (int32_t)cursor_array_fits(&m->c, *count, len_min);
        made = arena_alloc_array(m->mem, (size_t)*count, item_size);
        if (!made) {
                m->out_of_memory = true;
                *count = 0;
        }
        return made;
}

/* A member that is a const array with its count beside it. @len_min as above. */
#define ARRAY(m, object, member, len_min, fn) \
        do { \
                __typeof__(*(object)->member) *items_ = (void *)m_array( \
                        (m), (object)->member, &(object)->member##_count, sizeof *(object)->member, (len_min)); \
                for (int32_t i_ = 0; i_ < (object)->member##_count && marshal_goes_on(m); i_++) \
                        fn((m), (void *)&items_[i_]); \
                if ((m)->pass == READ) \
                        (object)->member = items_; \
        } while (0)

static bool marshal_goes_on(const struct marshal *m)
{
        return m->pass != READ || (cursor_ok(&m->c) && !m->out_of_memory);
}

static void m_result(struct marshal *m, struct controller_result *r)
{
        ENUM(m, r->outcome, CONTROLLER_OUTCOMES_END);
        m_str(m, &r->message);
}

/* ---- topics ---- */

static void m_assignment(struct marshal *m, struct controller_assignment *a)
{
        m_i32(m, &a->partition);
        ARRAY(m, a, replicas, 4, m_i32);
}

static void m_config(struct marshal *m, struct conf_pair *p)
{
        m_str(m, &p->name);
        m_str(m, &p->value);
}

static void ask_create_topic(struct marshal *m, struct controller_create_topic *t)
{
        m_str(m, &t->name);
        m_i32(m, &t->partitions_count);
        m_i16(m, &t->replication_factor);
        ARRAY(m, t, assignments, 8, m_assignment);
        ARRAY(m, t, configs, 8, m_config);
}

static void answer_create_topic(struct marshal *m, struct controller_create_topic *t)
{
        m_result(m, &t->result);
        m_uuid(m, &t->id);
        m_i32(m, &t->partitions_count);
        m_i16(m, &t->replication_factor);
}

static void ask_delete_topic(struct marshal *m, struct controller_delete_topic *t)
{
        m_str(m, &t->name);
        m_uuid(m, &t->id);
}

static void answer_delete_topic(struct marshal *m, struct controller_delete_topic *t)
{
        m_result(m, &t->result);
        ask_delete_topic(m, t);
}

static void ask_create_partitions(struct marshal *m, struct controller_create_partitions *p)
{
        bool chosen = p->assignments;

        m_str(m, &p->name);
        m_i32(m, &p->count);
        m_bool(m, &chosen);
        if (chosen)
                ARRAY(m, p, assignments, 8, m_assignment);
}

static void answer_create_partitions(struct marshal *m, struct controller_create_partitions *p)
{
        m_result(m, &p->result);
}

/* ---- configurations, producer ids, features ---- */

static void m_config_change(struct marshal *m, struct controller_config_change *c)
{
        m_str(m, &c->name);
        ENUM(m, c->op, CONTROLLER_CONFIG_SUBTRACT + 1);
        m_str(m, &c->value);
}

static void ask_alter_configs(struct marshal *m, struct controller_alter_configs *a)
{
        m_i8(m, &a->type);
        m_str(m, &a->name);
        m_bool(m, &a->replace);
        ARRAY(m, a, changes, 10, m_config_change);
}

static void answer_alter_configs(struct marshal *m, struct controller_alter_configs *a)
{
        m_result(m, &a->result);
}

static void ask_allocate_ids(struct marshal *m, struct controller_allocate_ids *a)
{
        m_i32(m, &a->broker_id);
        m_i64(m, &a->broker_epoch);
}

static void answer_allocate_ids(struct marshal *m, struct controller_allocate_ids *a)
{
        m_result(m, &a->result);
        m_i64(m, &a->first);
        m_i32(m, &a->count);
}

static void ask_update_feature(struct marshal *m, struct controller_update_feature *f)
{
        m_str(m, &f->name);
        m_i16(m, &f->level);
        ENUM(m, f->change, CONTROLLER_FEATURE_UNSAFE_DOWNGRADE + 1);
}

static void answer_update_feature(struct marshal *m, struct controller_update_feature *f)
{
        m_result(m, &f->result);
}

/* ---- brokers ---- */

static void m_endpoint(struct marshal *m, struct rec_broker_endpoint *e)
{
        m_str(m, &e->listener);
        m_str(m, &e->host);
        m_i32(m, &e->port);
        m_i16(m, &e->security);
}

static void m_feature_range(struct marshal *m, struct rec_broker_feature *f)
{
        m_str(m, &f->name);
        m_i16(m, &f->level_min);
        m_i16(m, &f->level_max);
}

static void m_partition(struct marshal *m, struct controller_partition *p)
{
        m_uuid(m, &p->topic_id);
        m_i32(m, &p->partition);
}

static void ask_register_broker(struct marshal *m, struct controller_register_broker *b)
{
        if (m->pass == READ)
                rec_broker_init(&b->broker);
        m_i32(m, &b->broker.broker_id);
        m_uuid(m, &b->broker.incarnation);
        m_str(m, &b->broker.rack);
        ARRAY(m, &b->broker, endpoints, 14, m_endpoint);
        ARRAY(m, &b->broker, features, 8, m_feature_range);
        ARRAY(m, &b->broker, directories, 16, m_uuid);
        m_str(m, &b->cluster_id);
        m_i64(m, &b->previous_epoch);
        m_bool(m, &b->same_boot);
        ARRAY(m, b, lost, 20, m_partition);
}

static void answer_register_broker(struct marshal *m, struct controller_register_broker *b)
{
        m_result(m, &b->result);
        m_i64(m, &b->epoch);
}

static void ask_heartbeat(struct marshal *m, struct controller_heartbeat *h)
{
        m_i32(m, &h->broker_id);
        m_i64(m, &h->broker_epoch);
        m_i64(m, &h->applied_index);
        m_bool(m, &h->want_fence);
        m_bool(m, &h->want_shutdown);
        m_bool(m, &h->guarded);
}

static void answer_heartbeat(struct marshal *m, struct controller_heartbeat *h)
{
        m_result(m, &h->result);
        m_bool(m, &h->fenced);
        m_bool(m, &h->caught_up);
        m_bool(m, &h->should_shutdown);
        m_bool(m, &h->held);
}

static void ask_unregister_broker(struct marshal *m, struct controller_unregister_broker *u)
{
        m_i32(m, &u->broker_id);
}

static void answer_unregister_broker(struct marshal *m, struct controller_unregister_broker *u)
{
        m_result(m, &u->result);
}

static void ask_report_loss(struct marshal *m, struct controller_report_loss *l)
{
        m_i32(m, &l->broker_id);
        m_i64(m, &l->broker_epoch);
        m_uuid(m, &l->topic_id);
        m_i32(m, &l->partition);
        m_bool(m, &l->is_complete);
}

static void answer_report_loss(struct marshal *m, struct controller_report_loss *l)
{
        m_result(m, &l->result);
}

static void ask_broker_duty(struct marshal *m, struct controller_broker_duty *d)
{
        m_i32(m, &d->broker_id);
}

static void answer_broker_duty(struct marshal *m, struct controller_broker_duty *d)
{
        m_result(m, &d->result);
}

/* ---- partitions ---- */

static void m_isr_member(struct marshal *m, struct controller_isr_member *i)
{
        m_i32(m, &i->broker_id);
        m_i64(m, &i->broker_epoch);
}

static void ask_alter_partition(struct marshal *m, struct controller_alter_partition *p)
{
        m_i32(m, &p->broker_id);
        m_i64(m, &p->broker_epoch);
        m_uuid(m, &p->topic_id);
        m_i32(m, &p->partition);
        m_i32(m, &p->leader_epoch);
        m_i32(m, &p->partition_epoch);
        m_bool(m, &p->recovering);
        ARRAY(m, p, isr, 12, m_isr_member);
}

static void answer_alter_partition(struct marshal *m, struct controller_alter_partition *p)
{
        m_result(m, &p->result);
        m_i32(m, &p->state.leader);
        m_i32(m, &p->state.leader_epoch);
        m_i32(m, &p->state.partition_epoch);
        m_i32(m, &p->state.min_isr);
        m_bool(m, &p->state.recovering);
        ARRAY(m, &p->state, isr, 4, m_i32);
}

static void ask_elect_leader(struct marshal *m, struct controller_elect_leader *e)
{
        m_str(m, &e->topic);
        m_i32(m, &e->partition);
        ENUM(m, e->type, CONTROLLER_ELECT_UNCLEAN + 1);
}

static void answer_elect_leader(struct marshal *m, struct controller_elect_leader *e)
{
        m_result(m, &e->result);
}

static void ask_reassign(struct marshal *m, struct controller_reassign *a)
{
        m_str(m, &a->topic);
        m_i32(m, &a->partition);
        m_bool(m, &a->cancel);
        m_bool(m, &a->keep_factor);
        ARRAY(m, a, replicas, 4, m_i32);
}

static void answer_reassign(struct marshal *m, struct controller_reassign *a)
{
        m_result(m, &a->result);
}

/* ---- disruption ---- */

static void ask_guard(struct marshal *m, struct controller_guard *g)
{
        m_i32(m, &g->node_id);
        m_bool(m, &g->quorum_would_be_lost);
}

static void answer_guard(struct marshal *m, struct controller_guard *g)
{
        m_result(m, &g->result);
        m_bool(m, &g->safe);
        m_i32(m, &g->below_min_isr);
        m_i32(m, &g->offline);
        m_str(m, &g->partitions);
}

static void ask_disruption(struct marshal *m, struct controller_disruption *d)
{
        ENUM(m, d->op, CONTROLLER_DISRUPTION_OVERRIDE + 1);
        m_i32(m, &d->node_id);
        m_str(m, &d->who);
        m_str(m, &d->reason);
        m_i64(m, &d->ttl_ms);
        m_bool(m, &d->quorum_would_be_lost);
}

static void answer_disruption(struct marshal *m, struct controller_disruption *d)
{
        m_result(m, &d->result);
        m_i64(m, &d->until_ms);
}

/* ---- rules of access ---- */

/* Of a rule and of a filter. */
#define M_ACL(m, x) \
        do { \
                m_i8((m), &(x)->resource_type); \
                m_i8((m), &(x)->pattern_type); \
                m_i8((m), &(x)->operation); \
                m_i8((m), &(x)->permission); \
                m_str((m), &(x)->resource_name); \
                m_str((m), &(x)->principal); \
                m_str((m), &(x)->host); \
        } while (0)

static void m_acl_entry(struct marshal *m, struct meta_acl_entry *e)
{
        M_ACL(m, e);
}

static void ask_create_acl(struct marshal *m, struct controller_create_acl *a)
{
        M_ACL(m, &a->entry);
}

static void answer_create_acl(struct marshal *m, struct controller_create_acl *a)
{
        m_result(m, &a->result);
}

static void ask_delete_acls(struct marshal *m, struct controller_delete_acls *a)
{
        M_ACL(m, &a->filter);
}

static void answer_delete_acls(struct marshal *m, struct controller_delete_acls *a)
{
        m_result(m, &a->result);
        ARRAY(m, a, deleted, 16, m_acl_entry);
}
#undef M_ACL

/* ---- users ---- */

static void m_span(struct marshal *m, struct span *v)
{
        struct str s = { (const char *)v->data, v->len };

        m_str(m, &s);
        if (m->pass == READ)
                *v = (struct span){ (const uint8_t *)s.p, s.len };
}

static void ask_alter_credential(struct marshal *m, struct controller_alter_credential *a)
{
        m_str(m, &a->user);
        m_i8(m, &a->mechanism);
        m_bool(m, &a->remove);
        m_i32(m, &a->iterations);
        m_span(m, &a->salt);
        m_span(m, &a->stored_key);
        m_span(m, &a->server_key);
        m_span(m, &a->decoy_seed);
}

static void answer_alter_credential(struct marshal *m, struct controller_alter_credential *a)
{
        m_result(m, &a->result);
}

static void m_rotated(struct marshal *m, struct controller_rotated *c)
{
        m_i8(m, &c->mechanism);
        m_i32(m, &c->iterations);
        m_span(m, &c->salt);
        m_span(m, &c->stored_key);
        m_span(m, &c->server_key);
}

static void ask_rotate_user(struct marshal *m, struct controller_rotate_user *u)
{
        m_str(m, &u->user);
        m_bool(m, &u->finish);
        m_i64(m, &u->overlap_ms);
        ARRAY(m, u, credentials, 17, m_rotated);
}

static void answer_rotate_user(struct marshal *m, struct controller_rotate_user *u)
{
        m_result(m, &u->result);
        m_i64(m, &u->until_ms);
}

/* ---- delegation tokens ---- */

static void ask_create_token(struct marshal *m, struct controller_create_token *t)
{
        m_str(m, &t->id);
        m_str(m, &t->owner);
        m_str(m, &t->requester);
        ARRAY(m, t, renewers, 4, m_str);
        m_i64(m, &t->lifetime_ms);
        m_i32(m, &t->iterations);
        m_span(m, &t->digest);
        m_span(m, &t->salt);
        m_span(m, &t->sha256_stored_key);
        m_span(m, &t->sha256_server_key);
        m_span(m, &t->sha512_stored_key);
        m_span(m, &t->sha512_server_key);
}

static void answer_create_token(struct marshal *m, struct controller_create_token *t)
{
        m_result(m, &t->result);
        m_i64(m, &t->issue_ms);
        m_i64(m, &t->expiry_ms);
        m_i64(m, &t->max_ms);
}

static void ask_alter_token(struct marshal *m, struct controller_alter_token *t)
{
        m_span(m, &t->digest);
        m_str(m, &t->who);
        m_i64(m, &t->period_ms);
}

static void answer_alter_token(struct marshal *m, struct controller_alter_token *t)
{
        m_result(m, &t->result);
        m_i64(m, &t->expiry_ms);
}

/* ---- the quorum ---- */

static void m_member(struct marshal *m, struct controller_member *v)
{
        m_i32(m, &v->node_id);
        ENUM(m, v->kind, CONTROLLER_MEMBER_KINDS_END);
        m_uuid(m, &v->directory);
        m_str(m, &v->address);
        m_i64(m, &v->end_index);
        m_i64(m, &v->heard_ms);
        m_i64(m, &v->caught_up_ms);
}

/* Nothing is said when asking, but an item of no bytes could be there any number of times. */
static void ask_describe_quorum(struct marshal *m, struct controller_describe_quorum *q)
{
        int8_t unused = 0;

        (void)q;
        m_i8(m, &unused);
}

static void answer_describe_quorum(struct marshal *m, struct controller_describe_quorum *q)
{
        m_result(m, &q->result);
        m_i32(m, &q->leader_id);
        m_i32(m, &q->term);
        m_i64(m, &q->committed_index);
        m_i64(m, &q->log_first_index);
        m_i64(m, &q->log_bytes);
        ARRAY(m, q, members, 50, m_member);
        m_str(m, &q->trouble);
}

static void ask_voter_change(struct marshal *m, struct controller_voter_change *v)
{
        m_i32(m, &v->node_id);
        m_uuid(m, &v->directory);
        m_str(m, &v->address);
}

static void answer_voter_change(struct marshal *m, struct controller_voter_change *v)
{
        m_result(m, &v->result);
}

/* ---- the request ---- */

struct marshal_op {
        size_t item_size;
        size_t len_min; /* of an item's question */
        void (*ask)(struct marshal *m, void *item);
        void (*answer)(struct marshal *m, void *item);
};

#define OP(id, name, type, len_min) \
        static void ask_any_##id(struct marshal *m, void *item) \
        { \
                ask_##name(m, item); \
        } \
        static void answer_any_##id(struct marshal *m, void *item) \
        { \
                answer_##name(m, item); \
        }
#define OPS(OP) \
        OP(CREATE_TOPICS, create_topic, create_topic, 18) \
        OP(DELETE_TOPICS, delete_topic, delete_topic, 20) \
        OP(CREATE_PARTITIONS, create_partitions, create_partitions, 9) \
        OP(ALTER_CONFIGS, alter_configs, alter_configs, 10) \
        OP(ALLOCATE_IDS, allocate_ids, allocate_ids, 12) \
        OP(REGISTER_BROKER, register_broker, register_broker, 53) \
        OP(HEARTBEAT, heartbeat, heartbeat, 23) \
        OP(UNREGISTER_BROKER, unregister_broker, unregister_broker, 4) \
        OP(UPDATE_FEATURES, update_feature, update_feature, 8) \
        OP(REPORT_LOSS, report_loss, report_loss, 33) \
        OP(ALTER_PARTITION, alter_partition, alter_partition, 45) \
        OP(ELECT_LEADERS, elect_leader, elect_leader, 10) \
        OP(ALTER_REASSIGNMENTS, reassign, reassign, 14) \
        OP(DRAIN_BROKER, broker_duty, broker_duty, 4) \
        OP(UNDRAIN_BROKER, broker_duty, broker_duty, 4) \
        OP(DECOMMISSION_BROKER, broker_duty, broker_duty, 4) \
        OP(GUARD, guard, guard, 5) \
        OP(DISRUPTION, disruption, disruption, 23) \
        OP(DESCRIBE_QUORUM, describe_quorum, describe_quorum, 1) \
        OP(ADD_VOTER, voter_change, voter_change, 24) \
        OP(REMOVE_VOTER, voter_change, voter_change, 24) \
        OP(TRANSFER, voter_change, voter_change, 24) \
        OP(CREATE_ACLS, create_acl, create_acl, 16) \
        OP(DELETE_ACLS, delete_acls, delete_acls, 16) \
        OP(ALTER_CREDENTIALS, alter_credential, alter_credential, 26) \
        OP(CREATE_TOKENS, create_token, create_token, 52) \
        OP(RENEW_TOKENS, alter_token, alter_token, 16) \
        OP(EXPIRE_TOKENS, alter_token, alter_token, 16) \
        OP(ROTATE_USERS, rotate_user, rotate_user, 17)
OPS(OP)
#undef OP
#define OP(id, name, type, len_min) \
        [CONTROLLER_##id] = { sizeof(struct controller_##type), len_min, ask_any_##id, answer_any_##id },
static const struct marshal_op ops[] = { OPS(OP) };
#undef OP

static void m_items(struct marshal *m, struct controller_request *rq, bool answer)
{
        const struct marshal_op *op = &ops[rq->op];

        for (uint32_t i = 0; i < rq->items_count && marshal_goes_on(m); i++) {
                void *item = (char *)rq->items + i * op->item_size;

                if (answer)
                        op->answer(m, item);
                else
                        op->ask(m, item);
        }
}

static void m_ask(struct marshal *m, struct controller_request *rq)
{
        int32_t count = (int32_t)rq->items_count;

        ENUM(m, rq->op, ARRAY_LEN(ops));
        m_bool(m, &rq->validate_only);
        rq->items = m_array(m, rq->items, &count, ops[rq->op].item_size, ops[rq->op].len_min);
        rq->items_count = (uint32_t)count;
        m_items(m, rq, false);
}

static void m_answer(struct marshal *m, struct controller_request *rq)
{
        int32_t count = (int32_t)rq->items_count;

        m_result(m, &rq->result);
        m_i64(m, &rq->index);
        m_i32(m, &count);
        if (m->pass == READ && count != (int32_t)rq->items_count)
                cursor_fail(&m->c);
        else if (!rq->result.outcome) /* one that failed as a whole has no results of items */
                m_items(m, rq, true);
}

/* Counting and writing look only. */
static size_t marshal_count(const struct controller_request *rq, int16_t version,
                            void (*fn)(struct marshal *m, struct controller_request *rq))
{
        struct marshal m = { .pass = COUNT, .version = version };
        struct controller_request copy = *rq;

        fn(&m, &copy);
        return m.size;
}

static void marshal_write(const struct controller_request *rq, struct writer *w, int16_t version,
                          void (*fn)(struct marshal *m, struct controller_request *rq))
{
        struct marshal m = { .pass = WRITE, .version = version, .w = w };
        struct controller_request copy = *rq;

        fn(&m, &copy);
}

static int marshal_end(const struct marshal *m)
{
        if (m->out_of_memory)
                return -ENOMEM;
        return !cursor_ok(&m->c) || cursor_left(&m->c) ? WIRE_E_MALFORMED : 0;
}

size_t marshal_ask_size(const struct controller_request *rq, int16_t version)
{
        return marshal_count(rq, version, m_ask);
}

void marshal_ask_write(const struct controller_request *rq, struct writer *w, int16_t version)
{
        marshal_write(rq, w, version, m_ask);
}

int marshal_ask_read(struct span body, struct controller_request *rq, struct arena *mem, int16_t version)
{
        struct marshal m = { .pass = READ, .version = version, .c = cursor_of(body), .mem = mem };

        m_ask(&m, rq);
        return marshal_end(&m);
}

size_t marshal_answer_size(const struct controller_request *rq, int16_t version)
{
        return marshal_count(rq, version, m_answer);
}

void marshal_answer_write(const struct controller_request *rq, struct writer *w, int16_t version)
{
        marshal_write(rq, w, version, m_answer);
}

int marshal_answer_read(struct span body, struct controller_request *rq, int16_t version)
{
        struct marshal m = { .pass = READ, .version = version, .c = cursor_of(body), .mem = rq->mem, .copies = true };

        m_answer(&m, rq);
        return marshal_end(&m);
}
