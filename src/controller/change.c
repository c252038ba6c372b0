/* See change.h; the numbers in comments are those of the rules there. Sources: KIP-455, KIP-704, KIP-841, KIP-966. */
#include "controller/change.h"

#include <errno.h>

/* ---- lists ---- */

bool id_list_has(const struct id_list *l, int32_t id)
{
        return meta_ids_contain(l->at, (size_t)l->count, id);
}

void id_list_add(struct id_list *l, int32_t id)
{
        if (id_list_has(l, id))
                return;
        assert(l->count < CHANGE_IDS_MAX);
        l->at[l->count++] = id;
}

void id_list_remove(struct id_list *l, int32_t id)
{
        int32_t kept = 0;

        for (int32_t i = 0; i < l->count; i++)
                if (l->at[i] != id)
                        l->at[kept++] = l->at[i];
        l->count = kept;
}

static void list_set(struct id_list *l, const int32_t *ids, size_t count)
{
        l->count = (int32_t)count;
        memcpy(l->at, ids, count * sizeof *ids);
}

static bool list_is(const struct id_list *l, const int32_t *ids, size_t count)
{
        return (size_t)l->count == count && !memcmp(l->at, ids, count * sizeof *ids);
}

/* Keep what @keep says. */
static void list_filter(struct change *c, struct id_list *l, bool (*keep)(const struct change *c, int32_t id))
{
        int32_t kept = 0;

        for (int32_t i = 0; i < l->count; i++)
                if (keep(c, l->at[i]))
                        l->at[kept++] = l->at[i];
        l->count = kept;
}

/* ---- begin ---- */

bool change_begin(struct change *c, struct decision *d, const struct meta_topic *t, const struct meta_partition *p)
{
        if (d->failed || p->replicas_count > CHANGE_IDS_MAX || p->isr_count > p->replicas_count ||
            p->elr_count > p->replicas_count || p->last_known_elr_count > p->replicas_count ||
            p->adding_count > p->replicas_count || p->removing_count > p->replicas_count)
                return false;
        d->failed = settings_of_topic(&d->memory->settings, d->rules->conf, decision_image(d), t->name, &c->settings);
        if (d->failed)
                return false;
        c->d = d;
        c->topic = t;
        c->before = p;
        list_set(&c->replicas, meta_partition_replicas(p), p->replicas_count);
        list_set(&c->isr, meta_partition_isr(p), p->isr_count);
        list_set(&c->elr, meta_partition_elr(p), p->elr_count);
        list_set(&c->last_known, meta_partition_last_known_elr(p), p->last_known_elr_count);
        list_set(&c->adding, meta_partition_adding(p), p->adding_count);
        list_set(&c->removing, meta_partition_removing(p), p->removing_count);
        memcpy(c->directories, meta_partition_directories(p), p->replicas_count * sizeof *c->directories);
        c->lost.count = 0;
        c->leader = p->leader;
        c->recovering = p->recovering;
        c->new_epoch = c->to_first = c->to_willing = c->unclean = c->elected_uncleanly = c->forget_elr = false;
        return true;
}

/* ---- who may ---- */

static bool is_gone(const struct change *c, int32_t id)
{
        return meta_ids_contain(c->d->gone, c->d->gone_count, id);
}

static bool is_up(const struct change *c, int32_t id)
{
        return !is_gone(c, id) && id != c->d->leaving && meta_image_broker_is_live(decision_image(c->d), id);
}

static bool is_live(const struct change *c, int32_t id)
{
        return is_up(c, id) && !id_list_has(&c->lost, id);
}

/* Live, and not asked to give up what it leads. */
static bool is_willing(const struct change *c, int32_t id)
{
        const struct meta_broker *b = meta_image_broker(decision_image(c->d), id);

        return is_live(c, id) && b->duty == META_DUTY_NONE;
}

static bool is_not_lost(const struct change *c, int32_t id)
{
        return !id_list_has(&c->lost, id);
}

/* The first replica that is in @l and of which @may says so, or META_NO_NODE. */
static int32_t first_of(const struct change *c, const struct id_list *l,
                        bool (*may)(const struct change *c, int32_t id))
{
        for (int32_t i = 0; i < c->replicas.count; i++)
                if (id_list_has(l, c->replicas.at[i]) && may(c, c->replicas.at[i]))
                        return c->replicas.at[i];
        return META_NO_NODE;
}

static int32_t choose_from(const struct change *c, const struct id_list *l)
{
        int32_t id = first_of(c, l, is_willing);

        return id != META_NO_NODE ? id : first_of(c, l, is_live);
}

/* ---- reassignment ---- */

static struct uuid directory_of_broker(const struct change *c, int32_t id)
{
        const struct meta_broker *b = meta_image_broker(decision_image(c->d), id);
        struct uuid none = { 0 };

        return b && b->directories_count == 1 ? b->directories[0] : none; /* with several the broker chooses */
}

/* Make @to the replicas; directories follow theirs. */
static void set_replicas(struct change *c, const struct id_list *to)
{
        struct uuid directories[CHANGE_IDS_MAX];

        for (int32_t i = 0; i < to->count; i++) {
                int32_t k = 0;

                while (k < c->replicas.count && c->replicas.at[k] != to->at[i])
                        k++;
                directories[i] = k < c->replicas.count ? c->directories[k] : directory_of_broker(c, to->at[i]);
        }
        memcpy(c->directories, directories, (size_t)to->count * sizeof *directories);
        c->replicas = *to;
}

bool change_reassign(struct change *c, const int32_t *replicas, int32_t count)
{
        struct id_list all = { 0 }, adding = { 0 }, removing = { 0 }, isr = { 0 };

        for (int32_t i = 0; i < count; i++) {
                id_list_add(&all, replicas[i]);
                if (!id_list_has(&c->replicas, replicas[i]) || id_list_has(&c->adding, replicas[i]))
                        id_list_add(&adding, replicas[i]);
        }
        for (int32_t i = 0; i < c->replicas.count; i++) {
                int32_t id = c->replicas.at[i];

                if (id_list_has(&all, id) || id_list_has(&c->adding, id))
                        continue;
                id_list_add(&removing, id);
                id_list_add(&all, id);
        }
        for (int32_t i = 0; i < c->isr.count; i++)
                if (id_list_has(&all, c->isr.at[i]))
                        id_list_add(&isr, c->isr.at[i]);
        /* Replicas that came with the one given up go at once; they must not be the last that are in sync. */
        if (!isr.count && c->isr.count)
                return false;
        set_replicas(c, &all);
        c->adding = adding;
        c->removing = removing;
        c->isr = isr;
        return true;
}

static bool is_replica(const struct change *c, int32_t id)
{
        return id_list_has(&c->replicas, id);
}

/* Rule 5. */
static void complete_reassignment(struct change *c)
{
        struct id_list targets = { 0 };

        if (!c->adding.count && !c->removing.count)
                return;
        for (int32_t i = 0; i < c->replicas.count; i++) {
                int32_t id = c->replicas.at[i];

                if (id_list_has(&c->removing, id))
                        continue;
                if (!id_list_has(&c->isr, id) || !is_live(c, id))
                        return;
                id_list_add(&targets, id);
        }
        if (!targets.count)
                return;
        set_replicas(c, &targets);
        list_filter(c, &c->isr, is_replica);
        c->adding.count = c->removing.count = 0;
}

/* ---- election ---- */

/* Someone in the ISR is live. Rules 1 and 2. */
static void lead_from_isr(struct change *c)
{
        int32_t willing;

        list_filter(c, &c->isr, is_live);
        if (c->to_first && id_list_has(&c->isr, c->replicas.at[0]) && is_willing(c, c->replicas.at[0])) {
                c->leader = c->replicas.at[0];
                return;
        }
        if (!id_list_has(&c->isr, c->leader)) {
                c->leader = choose_from(c, &c->isr);
                return;
        }
        willing = first_of(c, &c->isr, is_willing);
        if (c->to_willing && !is_willing(c, c->leader) && willing != META_NO_NODE)
                c->leader = willing;
}

/* Who may lead without being known to hold everything. */
static int32_t unclean_candidate(const struct change *c)
{
        int32_t id;

        /* A relaxed topic promises what Kafka does: who led last leads again (balanced recovery of KIP-966). */
        if (!c->unclean && !c->settings.unclean && !c->settings.relaxed)
                return META_NO_NODE;
        for (int32_t i = 0; i < c->last_known.count; i++)
                if (is_live(c, c->last_known.at[i]) && id_list_has(&c->replicas, c->last_known.at[i]))
                        return c->last_known.at[i];
        if (!c->unclean && !c->settings.unclean)
                return META_NO_NODE;
        id = first_of(c, &c->replicas, is_live);
        return id != META_NO_NODE ? id : first_of(c, &c->replicas, is_up); /* what a lost one has counts again */
}

/* It leads and will go on, though it takes nothing new: it stops, or it begins again at this moment. */
static bool leader_goes_on(const struct change *c)
{
        const struct meta_broker *b = meta_image_broker(decision_image(c->d), c->leader);

        return b && id_list_has(&c->isr, c->leader) && is_not_lost(c, c->leader) && !is_gone(c, c->leader) &&
               (!b->fenced || c->leader == c->d->leaving);
}

/* Nobody in the ISR is live. */
static void lead_from_elsewhere(struct change *c)
{
        int32_t id = choose_from(c, &c->elr);

        if (id != META_NO_NODE) {
                c->leader = id;
                c->isr = (struct id_list){ 1, { id } };
                return;
        }
        id = unclean_candidate(c);
        if (id != META_NO_NODE && !leader_goes_on(c)) {
                c->elected_uncleanly = true;
                c->leader = id;
                c->isr = (struct id_list){ 1, { id } };
                c->recovering = c->replicas.count > 1; /* alone it has nobody to recover from */
                return;
        }
        list_filter(c, &c->isr, is_not_lost);
        if (is_gone(c, c->leader) || !id_list_has(&c->isr, c->leader))
                c->leader = META_NO_NODE;
}

/* ---- ELR ---- */

/* Rule 3. */
static void keep_elr(struct change *c)
{
        struct id_list elr = { 0 };

        if (!c->elected_uncleanly && !c->forget_elr && c->isr.count < min_isr_of(&c->settings, c->replicas.count)) {
                for (int32_t i = 0; i < c->elr.count; i++)
                        id_list_add(&elr, c->elr.at[i]);
                for (uint32_t i = 0; i < c->before->isr_count; i++)
                        id_list_add(&elr, meta_partition_isr(c->before)[i]);
                for (int32_t i = 0; i < c->isr.count; i++)
                        id_list_remove(&elr, c->isr.at[i]);
                list_filter(c, &elr, is_not_lost);
                list_filter(c, &elr, is_replica);
        }
        c->elr = elr;
        if (c->leader != META_NO_NODE)
                c->last_known.count = 0;
        else if (!c->isr.count && !c->elr.count && c->before->leader != META_NO_NODE)
                c->last_known = (struct id_list){ 1, { c->before->leader } };
        else if (!c->isr.count && !c->elr.count && !c->last_known.count && c->before->isr_count)
                c->last_known = (struct id_list){ 1, { meta_partition_isr(c->before)[0] } };
        list_filter(c, &c->last_known, is_replica);
}

/* ---- end ---- */

static bool replica_was_taken_away(const struct change *c)
{
        for (uint32_t i = 0; i < c->before->replicas_count; i++)
                if (!id_list_has(&c->replicas, meta_partition_replicas(c->before)[i]))
                        return true;
        return false;
}

#define PUT_LIST(r, c, list, differs) \
        do { \
                if (!list_is(&(c)->list, meta_partition_##list((c)->before), (c)->before->list##_count)) { \
                        (r)->list = (c)->list.at; \
                        (r)->list##_count = (c)->list.count; \
                        (differs) = true; \
                } \
        } while (0)

static bool emit_difference(struct change *c)
{
        struct meta_record rec;
        struct rec_partition_change *r = &rec.partition_change;
        const struct meta_partition *p = c->before;
        bool differs = false;

        meta_record_init(&rec, META_PARTITION_CHANGE);
        r->topic_id = c->topic->id;
        r->partition = p->index;
        if (c->leader != p->leader || (c->new_epoch && c->leader != META_NO_NODE)) { /* rule 4 */
                r->leader = c->leader;
                differs = true;
        }
        if (c->recovering != p->recovering) {
                r->recovering = c->recovering;
                differs = true;
        }
        PUT_LIST(r, c, replicas, differs);
        PUT_LIST(r, c, isr, differs);
        PUT_LIST(r, c, elr, differs);
        PUT_LIST(r, c, adding, differs);
        PUT_LIST(r, c, removing, differs);
        if (!list_is(&c->last_known, meta_partition_last_known_elr(p), p->last_known_elr_count)) {
                r->last_known_elr = c->last_known.at;
                r->last_known_elr_count = c->last_known.count;
                differs = true;
        }
        if (r->replicas_count >= 0 ||
            memcmp(c->directories, meta_partition_directories(p), p->replicas_count * sizeof *c->directories)) {
                r->directories = c->directories;
                r->directories_count = c->replicas.count;
                differs = true;
        }
        if (differs)
                decision_emit(c->d, &rec);
        return differs;
}

bool change_end(struct change *c)
{
        complete_reassignment(c);
        if (choose_from(c, &c->isr) != META_NO_NODE)
                lead_from_isr(c);
        else
                lead_from_elsewhere(c);
        keep_elr(c);
        c->new_epoch |= replica_was_taken_away(c);
        return emit_difference(c);
}
