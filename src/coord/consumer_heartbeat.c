/* ConsumerGroupHeartbeat: a member joins, says what it wants and has, is told what it shall have, and leaves (KIP-848, KIP-1082). */
#include <errno.h>

#include "coord/consumer_priv.h"

/* ---- what is said must make sense ---- */

static const char *join_fault(const struct coord_consumer_heartbeat *rq)
{
        if (rq->rebalance_timeout_ms < 0)
                return "A member that joins must say its rebalance timeout.";
        if (!rq->owned || rq->owned_count)
                return "A member that joins has no partitions: their list must be there, and be empty.";
        if (!rq->names && str_is_null(rq->regex))
                return "A member that joins must say what it is subscribed to: topic names, or a regular expression.";
        return NULL;
}

/* What is wrong with it, for people; NULL: nothing. */
static const char *fault(const struct coord_consumer_heartbeat *rq)
{
        if (!rq->member_id.len && (rq->must_have_id || rq->epoch != EPOCH_JOIN))
                return "The member id must not be empty.";
        if (!str_is_null(rq->instance_id) && !rq->instance_id.len)
                return "The instance id must not be empty.";
        if (!str_is_null(rq->rack_id) && !rq->rack_id.len)
                return "The rack id must not be empty.";
        if (rq->epoch < EPOCH_LEAVE_STATIC)
                return "The member epoch must be -2 or more.";
        if (rq->epoch == EPOCH_LEAVE_STATIC && str_is_null(rq->instance_id))
                return "Who leaves for a while must say its instance id.";
        if (rq->rebalance_timeout_ms < -1)
                return "The rebalance timeout must not be negative.";
        for (int32_t i = 0; i < rq->owned_count; i++)
                for (int32_t p = 0; p < rq->owned[i].partitions_count; p++)
                        if (rq->owned[i].partitions[p] < 0)
                                return "Partitions must not be negative.";
        return rq->epoch == EPOCH_JOIN ? join_fault(rq) : NULL;
}

/* Texts must fit into records. */
int consumer_check_limits(const struct groups *gs, const struct coord_consumer_heartbeat *rq)
{
        const struct str texts[] = { rq->member_id,   rq->instance_id, rq->rack_id, rq->client_id,
                                     rq->client_host, rq->assignor,    rq->regex };
        size_t len = 0;

        for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
                if (texts[i].len > TEXT_LEN_MAX)
                        return COORD_E_TOO_LARGE;
                len += texts[i].len;
        }
        for (int32_t i = 0; i < rq->names_count; i++) {
                if (rq->names[i].len > TEXT_LEN_MAX)
                        return COORD_E_TOO_LARGE;
                len += rq->names[i].len + sizeof rq->names[i];
        }
        if (len > gs->conf.member_metadata_len_max)
                return COORD_E_TOO_LARGE;
        return groups_has_room(gs, len + sizeof(struct consumer_member)) ? COORD_OK : COORD_E_NO_ROOM;
}

static int check_regex(struct coord_consumer_heartbeat *rq)
{
        char why[PATTERN_WHY_SIZE];
        struct pattern *p;
        int r;

        if (str_is_null(rq->regex) || !rq->regex.len)
                return COORD_OK;
        r = pattern_new(rq->regex, &p, why);
        if (!r)
                pattern_free(p);
        else if (r == -EINVAL)
                rq->ret_why = arena_printf(&rq->rq.arena, "The regular expression is not valid: %s", why);
        return r == -EINVAL ? COORD_E_INVALID_REGEX : r;
}

static int check(const struct groups *gs, struct coord_consumer_heartbeat *rq)
{
        const char *what = fault(rq);
        int outcome;

        if (what) {
                rq->ret_why = str_of(what);
                return COORD_E_INVALID_REQUEST;
        }
        if (!str_is_null(rq->assignor) && !consumer_has_assignor(rq->assignor)) {
                rq->ret_why = STR_LIT("There is no such assignor. There are: uniform, range.");
                return COORD_E_UNSUPPORTED_ASSIGNOR;
        }
        outcome = consumer_check_limits(gs, rq);
        return outcome ? outcome : check_regex(rq);
}

/* ---- answers ---- */

/* For people, where nothing more is known. */
static struct str words(int outcome)
{
        switch (outcome) {
        case COORD_E_GROUP_NOT_FOUND:
                return STR_LIT("There is no such group.");
        case COORD_E_UNKNOWN_MEMBER:
                return STR_LIT("The group has no such member.");
        case COORD_E_FENCED_EPOCH:
                return STR_LIT("The member epoch is not the member's: it must give up all partitions and join again.");
        case COORD_E_FENCED_INSTANCE:
                return STR_LIT("Another member has the instance id.");
        case COORD_E_UNRELEASED_INSTANCE:
                return STR_LIT("Another member has the instance id, and has not left.");
        case COORD_E_GROUP_FULL:
                return STR_LIT("The group has as many members as it may have.");
        case COORD_E_TOO_LARGE:
                return STR_LIT("The member says more than can be stored.");
        default:
                return STR_NULL;
        }
}

static void refuse(struct groups *gs, struct group *g, struct coord_consumer_heartbeat *rq, int outcome)
{
        coord_request_refuse(&rq->rq, outcome);
        if (str_is_null(rq->ret_why))
                rq->ret_why = words(outcome);
        group_reply(gs, g, &rq->rq, outcome);
}

struct coord_partitions *consumer_list(const struct assignment *set, struct arena *a, int32_t *ret_count)
{
        uint32_t count = set ? set->topics_count : 0;
        struct coord_partitions *to = ARENA_NEW_ARRAY(a, struct coord_partitions, count);

        for (uint32_t i = 0; to && i < count; i++) {
                const struct assignment_topic *t = &set->topics[i];

                to[i] = (struct coord_partitions){ .id = t->id, .partitions_count = t->partitions_count };
                to[i].partitions = arena_memdup(a, t->partitions, sizeof *t->partitions * (size_t)t->partitions_count);
                if (!to[i].partitions)
                        return NULL;
        }
        *ret_count = (int32_t)count;
        return to;
}

static void reply(struct consumer_member *m, struct coord_consumer_heartbeat *rq, bool with_assignment)
{
        struct group *g = m->group;
        bool failed = false;

        rq->ret_member_id = coord_request_keep(&rq->rq, m->id, &failed);
        rq->ret_epoch = m->epoch;
        rq->ret_heartbeat_interval_ms = (int32_t)consumer_settings(g)->consumer_heartbeat_interval_ms;
        rq->ret_has_assignment = with_assignment;
        if (with_assignment)
                rq->ret_assignment = consumer_list(m->assigned, &rq->rq.arena, &rq->ret_assignment_count);
        failed |= with_assignment && !rq->ret_assignment;
        group_reply(g->owner, g, &rq->rq, failed ? -ENOMEM : COORD_OK);
}

/* ---- who it is ---- */

static struct group *find_or_add(struct groups *gs, struct coord_consumer_heartbeat *rq, int *ret_outcome)
{
        struct group *g = groups_find(gs, rq->rq.id);

        *ret_outcome = COORD_OK;
        if (g && g->state == COORD_GROUP_DEAD) {
                *ret_outcome = COORD_E_NOT_AVAILABLE;
                return g;
        }
        if (g && g->consumer && !g->consumer->share)
                return g;
        if (g && g->consumer) {
                *ret_outcome = COORD_E_GROUP_NOT_FOUND;
                rq->ret_why = STR_LIT("The group is not a consumer group.");
                return g;
        }
        if (rq->epoch != EPOCH_JOIN) {
                *ret_outcome = COORD_E_GROUP_NOT_FOUND;
                return g;
        }
        if (g && (g->state != COORD_GROUP_EMPTY || g->pending_count)) {
                const char *why = NULL;

                *ret_outcome = consumer_upgrade(g, &why);
                rq->ret_why = why ? str_of(why) : STR_NULL;
                return g;
        }
        if (!g)
                g = groups_add(gs, rq->rq.id);
        if (!g || group_become_consumer(g)) {
                groups_fail(gs, -ENOMEM);
                *ret_outcome = -ENOMEM;
        }
        return g;
}

/* The epoch that it says must be its own; or the one before, of one that did not get our answer: it has nothing then that is not its own. */
static int check_epoch(const struct consumer_member *m, const struct coord_consumer_heartbeat *rq,
                       const struct assignment *owned)
{
        if (rq->epoch == m->epoch)
                return COORD_OK;
        if (rq->epoch < m->epoch && rq->epoch == m->previous_epoch && rq->owned &&
            assignment_is_subset(owned, m->assigned))
                return COORD_OK;
        return COORD_E_FENCED_EPOCH;
}

static int find_static(struct group *g, const struct coord_consumer_heartbeat *rq, struct consumer_member **ret)
{
        struct consumer_member *m = consumer_find_instance(g, rq->instance_id);

        *ret = m;
        if (!m)
                return rq->epoch == EPOCH_JOIN ? COORD_OK : COORD_E_UNKNOWN_MEMBER;
        if (str_equal(m->id, rq->member_id))
                return COORD_OK;
        if (rq->epoch != EPOCH_JOIN)
                return COORD_E_FENCED_INSTANCE;
        /* Classic static members do not say that they leave. */
        return m->epoch == EPOCH_LEAVE_STATIC || m->classic ? consumer_member_replace(m, rq->member_id)
                                                            : COORD_E_UNRELEASED_INSTANCE;
}

/* *@ret_member: NULL with COORD_OK: it is new. */
static int find_member(struct group *g, const struct coord_consumer_heartbeat *rq, const struct assignment *owned,
                       struct consumer_member **ret_member)
{
        int outcome = COORD_OK;

        if (!str_is_null(rq->instance_id)) {
                outcome = find_static(g, rq, ret_member);
                if (!outcome && !*ret_member && consumer_find(g, rq->member_id))
                        outcome = COORD_E_FENCED_INSTANCE; /* that member has another instance id, or none */
        } else {
                *ret_member = consumer_find(g, rq->member_id);
        }
        if (outcome)
                return outcome;
        if (!*ret_member && rq->epoch != EPOCH_JOIN)
                return COORD_E_UNKNOWN_MEMBER;
        if (*ret_member && rq->epoch != EPOCH_JOIN)
                return check_epoch(*ret_member, rq, owned);
        return COORD_OK;
}

/* ---- what it wants ---- */

/* Put @s in place of *@at where it says something new. Return: true when it did. */
static bool update_text(struct group *g, struct str *at, struct str s)
{
        if (str_is_null(s) || str_equal(*at, s))
                return false;
        if (text_replace(at, s))
                groups_fail(g->owner, -ENOMEM);
        return true;
}

static bool update_names(struct consumer_member *m, const struct coord_consumer_heartbeat *rq)
{
        bool changed = false;

        if (rq->names && consumer_member_set_names(m, rq->names, rq->names_count, &changed))
                groups_fail(m->group->owner, -ENOMEM);
        return changed;
}

static bool update_regex(struct consumer_member *m, const struct coord_consumer_heartbeat *rq)
{
        struct group *g = m->group;
        struct consumer_regex *r = NULL, *before = m->regex;

        if (str_is_null(rq->regex))
                return false;
        if (rq->regex.len && consumer_regex_get(g, rq->regex, &r, NULL)) {
                groups_fail(g->owner, -ENOMEM);
                return false;
        }
        m->regex = r;
        if (before)
                consumer_regex_put(g, before, true);
        return r != before;
}

/* Return: true when its part of the group's work may change. */
static bool update(struct consumer_member *m, const struct coord_consumer_heartbeat *rq, bool is_new)
{
        struct group *g = m->group;
        bool wants = update_names(m, rq), said;

        wants |= update_regex(m, rq);
        said = update_text(g, &m->assignor, rq->assignor); /* counts from the next rebalance on; is none, as in Kafka */
        said |= update_text(g, &m->rack_id, rq->rack_id);
        said |= update_text(g, &m->client_id, rq->client_id);
        said |= update_text(g, &m->client_host, rq->client_host);
        if (rq->rebalance_timeout_ms >= 0 && rq->rebalance_timeout_ms != m->rebalance_timeout_ms) {
                m->rebalance_timeout_ms = rq->rebalance_timeout_ms;
                said = true;
        }
        consumer_member_charge(m);
        if (wants || said || is_new)
                consumer_member_record(m);
        return wants || is_new;
}

/* ---- a heartbeat ---- */

/* Are the topics still the ones that the target was computed from? */
static void refresh(struct group *g, bool changed, const struct coord_rights *rights)
{
        struct consumer *c = g->consumer;
        const struct meta_image *image = groups_image(g->owner);
        int64_t hash;

        changed |= consumer_regexes_refresh(g, image, rights);
        if (!changed && c->seen_index == image->index)
                return;
        c->seen_index = image->index;
        hash = consumer_topics_hash(g, image);
        if (!changed && hash == c->metadata_hash)
                return;
        c->metadata_hash = hash;
        consumer_bump(g);
}

static bool is_full(const struct coord_consumer_heartbeat *rq)
{
        return rq->epoch == EPOCH_JOIN ||
               (rq->rebalance_timeout_ms >= 0 && rq->owned && (rq->names || !str_is_null(rq->regex)));
}

void consumer_advance(struct consumer_member *m, const struct coord_consumer_heartbeat *says, struct assignment *owned,
                      bool is_new)
{
        struct group *g = m->group;

        refresh(g, update(m, says, is_new), &says->rights);
        consumer_retarget(g, groups_image(g->owner));
        consumer_reconcile(m, says->owned != NULL, owned);
        consumer_member_charge(m);
        consumer_member_reset_session(m);
        consumer_sync_state(g);
}

static void beat(struct consumer_member *m, struct coord_consumer_heartbeat *rq, struct assignment *owned, bool is_new)
{
        CLEANUP(assignment_unrefp) struct assignment *before = assignment_ref(m->assigned);

        if (m->classic) {                                          /* it speaks the other protocol now */
                (void)consumer_member_set_classic(m, 0, NULL, -1); /* takes no memory */
                timer_unset(&m->group->owner->timers, &m->revocation);
                is_new = true;
        }
        consumer_advance(m, rq, owned, is_new);
        reply(m, rq, is_full(rq) || !assignment_equal(before, m->assigned));
}

static struct consumer_member *add_member(struct group *g, struct coord_consumer_heartbeat *rq, int *ret_outcome)
{
        struct groups *gs = g->owner;
        struct consumer_member *m;

        if (g->consumer->members_count >= gs->conf.consumer_group_size_max) {
                gs->stats.joins_refused++;
                *ret_outcome = COORD_E_GROUP_FULL;
                return NULL;
        }
        m = consumer_member_new(g, rq->member_id, rq->instance_id);
        if (!m)
                groups_fail(gs, *ret_outcome = -ENOMEM);
        return m;
}

static int gather_owned(struct coord_consumer_heartbeat *rq, struct assignment **ret)
{
        struct assignment_entry *entries;
        size_t count = 0;

        for (int32_t i = 0; i < rq->owned_count; i++)
                count += (size_t)rq->owned[i].partitions_count;
        entries = ARENA_NEW_ARRAY(&rq->rq.arena, struct assignment_entry, count);
        if (!entries)
                return -ENOMEM;
        count = 0;
        for (int32_t i = 0; i < rq->owned_count; i++)
                for (int32_t p = 0; p < rq->owned[i].partitions_count; p++)
                        entries[count++] = (struct assignment_entry){ rq->owned[i].id, rq->owned[i].partitions[p] };
        return assignment_new(entries, count, ret);
}

static void join_or_beat(struct groups *gs, struct coord_consumer_heartbeat *rq)
{
        CLEANUP(assignment_unrefp) struct assignment *owned = NULL;
        struct consumer_member *m = NULL;
        bool is_new = false;
        int outcome = gather_owned(rq, &owned);
        struct group *g = NULL;

        if (!outcome)
                g = find_or_add(gs, rq, &outcome);
        if (!outcome)
                outcome = find_member(g, rq, owned, &m);
        if (!outcome && !m) {
                m = add_member(g, rq, &outcome);
                is_new = true;
        }
        if (outcome) {
                refuse(gs, g, rq, outcome);
                if (g)
                        group_collect(g);
                return;
        }
        beat(m, rq, owned, is_new);
}

/* ---- a heartbeat of a member that has nothing to say, to a group that has nothing to tell ---- */

/* Is it what the member said before? */
static bool is_said(struct str said, struct str before)
{
        return str_is_null(said) || str_equal(said, before);
}

static bool says_nothing(const struct consumer_member *m, const struct coord_consumer_heartbeat *rq)
{
        return !rq->owned && !rq->names && str_is_null(rq->regex) && is_said(rq->assignor, m->assignor) &&
               is_said(rq->instance_id, m->instance_id) && is_said(rq->rack_id, m->rack_id) &&
               is_said(rq->client_id, m->client_id) && is_said(rq->client_host, m->client_host) &&
               (rq->rebalance_timeout_ms == -1 || rq->rebalance_timeout_ms == m->rebalance_timeout_ms);
}

/* Would nothing come out of consumer_advance() for a member that says nothing? */
static bool is_settled(const struct consumer_member *m, const struct meta_image *image)
{
        const struct consumer *c = m->group->consumer;

        return m->state == CONSUMER_STABLE && m->epoch == c->target_epoch && c->target_epoch == c->epoch &&
               c->seen_index == image->index && ilist_is_empty(&c->regexes) && !m->classic;
}

bool groups_consumer_quick(struct groups *gs, struct coord_consumer_heartbeat *rq)
{
        struct group *g = groups_find(gs, rq->rq.id);
        const struct group_settings *settings;
        struct consumer_member *m;

        if (rq->epoch <= EPOCH_JOIN || !g || group_type(g) != COORD_GROUP_CONSUMER || g->state == COORD_GROUP_DEAD ||
            g->state_seq > gs->committed_seq)
                return false;
        m = consumer_find(g, rq->member_id);
        if (!m || m->epoch != rq->epoch || !says_nothing(m, rq) || !is_settled(m, groups_image(gs)))
                return false;
        settings = consumer_settings(g);
        if (!groups_timer_defer(gs, &m->session, settings->consumer_session_timeout_ms))
                return false;
        rq->ret_member_id = rq->member_id; /* borrowed from the request, which lives as long */
        rq->ret_epoch = m->epoch;
        rq->ret_heartbeat_interval_ms = (int32_t)settings->consumer_heartbeat_interval_ms;
        return true;
}

/* ---- leaving ---- */

/* It keeps its place, for as long as its session lasts. */
static void leave_for_a_while(struct consumer_member *m)
{
        m->previous_epoch = m->epoch;
        m->epoch = EPOCH_LEAVE_STATIC;
        timer_unset(&m->group->owner->timers, &m->revocation);
        (void)consumer_member_hold(m, assignment_ref(m->assigned), NULL); /* less: takes no memory */
        consumer_current_record(m);
}

static int leave(struct group *g, const struct coord_consumer_heartbeat *rq)
{
        struct consumer_member *m;

        if (!g || group_type(g) != COORD_GROUP_CONSUMER || g->state == COORD_GROUP_DEAD)
                return COORD_E_GROUP_NOT_FOUND;
        m = str_is_null(rq->instance_id) ? consumer_find(g, rq->member_id) : consumer_find_instance(g, rq->instance_id);
        if (!m)
                return COORD_E_UNKNOWN_MEMBER;
        if (!str_equal(m->id, rq->member_id))
                return COORD_E_FENCED_INSTANCE;
        if (rq->epoch == EPOCH_LEAVE_STATIC)
                leave_for_a_while(m);
        else
                consumer_remove(m);
        return COORD_OK;
}

int consumer_leave_one(struct group *g, const struct coord_leave_member *who)
{
        struct consumer_member *m = who->member_id.len ? consumer_find(g, who->member_id) : NULL;

        if (!who->member_id.len && !str_is_null(who->instance_id))
                m = consumer_find_instance(g, who->instance_id);
        if (!m)
                return COORD_E_UNKNOWN_MEMBER;
        if (!str_is_null(who->instance_id) && !str_equal(m->instance_id, who->instance_id))
                return COORD_E_FENCED_INSTANCE;
        consumer_remove(m);
        return COORD_OK;
}

void groups_consumer_heartbeat(struct groups *gs, struct coord_consumer_heartbeat *rq)
{
        char made_up[UUID_TEXT_SIZE];
        struct group *g;
        int outcome = gs->conf.image ? check(gs, rq) : COORD_E_NOT_AVAILABLE;

        if (outcome) {
                refuse(gs, NULL, rq, outcome);
                return;
        }
        if (rq->epoch >= EPOCH_JOIN) {
                struct str said = rq->member_id;

                if (!said.len) {
                        uuid_format(gs->conf.new_uuid(gs->conf.new_uuid_arg), made_up);
                        rq->member_id = str_of(made_up);
                }
                join_or_beat(gs, rq);
                rq->member_id = said; /* what was made up is of this function's memory */
                return;
        }
        g = groups_find(gs, rq->rq.id);
        outcome = leave(g, rq);
        if (outcome) {
                refuse(gs, g, rq, outcome);
                return;
        }
        rq->ret_member_id = rq->member_id; /* borrowed from the request, which lives as long */
        rq->ret_epoch = rq->epoch;
        group_reply(gs, g, &rq->rq, COORD_OK);
}
