/* The course of a check; see scrub.h. What is right and wrong in a segment is check.c's.
 *
 * Segments are taken under the lock when the check begins and looked at one after the other without it. One that retention
 * or compaction has taken away meanwhile is left; after a truncation nothing that was read counts. */
#include "plog/scrub.h"

#include <string.h>

#include "base/err.h"
#include "plog/check.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

/* A segment as it was when the check began. */
struct part {
        struct segment *segment; /* counted */
        int64_t size, end_offset;
        bool whole;
};

struct plog_scrub {
        struct plog *pl;
        struct part *parts;
        size_t parts_count, at;
        uint64_t cuts;
        struct epochs epochs; /* a copy */
        /* Of the segment in work. */
        bool working;
        struct check check;
        struct index_entry *entries;
        uint32_t entries_count;
        struct index_footer footer;
        bool footed, index_wrong; /* its index has a footer; is not as it should be */
        bool news;                /* damage was found that is not below a checkpoint yet */
        unsigned indexes_built;   /* of the log, when the check began */
        struct damage found;
        struct plog_scrub_result result;
};

/* ---- begin and end ---- */

static int take_epochs(struct plog_scrub *s)
{
        const struct epochs *e = &s->pl->epochs;

        s->epochs.entries = calloc(e->count + 1, sizeof *e->entries);
        if (!s->epochs.entries)
                return -ENOMEM;
        if (e->count)
                memcpy(s->epochs.entries, e->entries, e->count * sizeof *e->entries);
        s->epochs.count = s->epochs.size = e->count;
        return 0;
}

/* plog.lock held. */
static int take_parts(struct plog_scrub *s)
{
        struct plog *pl = s->pl;

        s->parts = calloc(pl->segments_count + 1, sizeof *s->parts);
        if (!s->parts)
                return -ENOMEM;
        for (size_t i = 0; i < pl->segments_count; i++) {
                struct segment *g = pl->segments[i];

                if (!g->synced_size || g->base_offset >= pl->durable_end || g->next_offset <= pl->start)
                        continue;
                s->parts[s->parts_count++] = (struct part){ .segment = segment_ref(g),
                                                            .size = g->synced_size,
                                                            .end_offset = MIN2(g->next_offset, pl->durable_end),
                                                            .whole = g->sealed && g->synced_size == g->size &&
                                                                     g->next_offset <= pl->durable_end };
                s->result.bytes_all += g->synced_size;
        }
        s->cuts = pl->cuts;
        s->indexes_built = pl->indexes_built;
        s->result.from_offset = pl->start;
        s->result.to_offset = pl->durable_end;
        return take_epochs(s);
}

int plog_scrub_begin(struct plog *pl, struct plog_scrub **ret_scrub)
{
        struct plog_scrub *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->pl = plog_ref(pl);
        pthread_mutex_lock(&pl->lock);
        r = pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : take_parts(s);
        pthread_mutex_unlock(&pl->lock);
        if (r) {
                plog_scrub_end(s);
                return r;
        }
        *ret_scrub = s;
        return 0;
}

static void part_end(struct plog_scrub *s)
{
        if (!s->working)
                return;
        s->result.bytes += s->check.bytes;
        s->result.batches += s->check.batches;
        check_fini(&s->check);
        free(s->entries);
        s->entries = NULL;
        damage_fini(&s->found);
        pin_file_unpin(s->parts[s->at].segment->file);
        s->working = false;
}

struct plog_scrub *plog_scrub_end(struct plog_scrub *s)
{
        if (!s)
                return NULL;
        part_end(s);
        for (size_t i = 0; i < s->parts_count; i++)
                segment_unref(s->parts[i].segment);
        free(s->parts);
        epochs_fini(&s->epochs);
        plog_unref(s->pl);
        free(s);
        return NULL;
}

void plog_scrub_result(const struct plog_scrub *s, struct plog_scrub_result *ret)
{
        *ret = s->result;
        if (!s->working)
                return;
        ret->bytes += s->check.bytes;
        ret->batches += s->check.batches;
}

/* ---- what was found ---- */

/* The segment in work is still what the log has there. plog.lock held. */
static bool is_current(const struct plog_scrub *s)
{
        const struct segment *g = s->parts[s->at].segment;
        ptrdiff_t i = segments_find(s->pl, g->base_offset);

        return s->pl->state != PLOG_CLOSED && s->pl->cuts == s->cuts && i >= 0 && s->pl->segments[i] == g;
}

static void found(void *arg, const struct plog_damaged_range *r)
{
        struct plog_scrub *s = arg;

        (void)damage_add(&s->found, r);
        pthread_mutex_lock(&s->pl->lock);
        if (is_current(s))
                s->news |= damage_mark(s->pl, r);
        pthread_mutex_unlock(&s->pl->lock);
}

/* With a checkpoint when there is news: recovery takes what is not whole behind the last one for a torn tail, and would cut all
 * that lies behind it. */
static int save(struct plog_scrub *s)
{
        struct plog *pl = s->pl;
        enum plog_state state;
        int r = 0;

        pthread_mutex_lock(&pl->work);
        pthread_mutex_lock(&pl->lock);
        state = pl->state;
        pthread_mutex_unlock(&pl->lock);
        if (state == PLOG_OPEN && s->news)
                r = checkpoint_make(pl, true);
        else if (state != PLOG_CLOSED)
                r = damage_save(pl);
        pthread_mutex_unlock(&pl->work);
        if (!r)
                s->news = false;
        return r > 0 ? -EIO : r; /* the log failed meanwhile, and has said so */
}

/* ---- the index of a segment ---- */

/* The file and what memory knows of it. */
static struct plog_pin *index_file(struct plog_scrub *s, struct index_footer *ret_known)
{
        struct segment *g = s->parts[s->at].segment;
        struct plog_pin *file;

        pthread_mutex_lock(&s->pl->lock);
        s->footed = g->sealed && (g->index_filed || !g->index_checked);
        *ret_known = (struct index_footer){ .count = g->index.filed_count, .entries_crc = g->index.filed_crc };
        file = g->index.file && (s->footed || g->index.filed_count) ? pin_file_ref(g->index.file) : NULL;
        pthread_mutex_unlock(&s->pl->lock);
        return file;
}

static int read_index(struct plog_scrub *s, int fd, const struct index_footer *known)
{
        const struct part *p = &s->parts[s->at];
        int r = 0;

        file_give_up(fd, 0, file_size(fd));
        if (s->footed)
                r = index_read_footer(fd, &s->footer);
        if (!r && s->footed &&
            (s->footer.count != known->count || s->footer.entries_crc != known->entries_crc ||
             (p->whole && (s->footer.size != p->size || s->footer.next_offset != p->end_offset))))
                r = -EUCLEAN;
        return r ? r : index_read_entries(fd, known->count, known->entries_crc, &s->entries);
}

/* The entries on disk, to be compared with the batches; none when the file is not as it should be. */
static int take_index(struct plog_scrub *s)
{
        CLEANUP(pin_file_unrefp) struct plog_pin *file = NULL;
        struct index_footer known;
        int fd, r;

        file = index_file(s, &known);
        if (s->footed && !file) { /* not needed since the start */
                r = segment_load_index(s->pl, s->parts[s->at].segment);
                s->index_wrong = r == -EUCLEAN; /* it cannot be built before the damage is known */
                if (r)
                        return s->index_wrong ? 0 : r;
                file = index_file(s, &known);
        }
        if (!file)
                return 0;
        fd = pin_file_pin(file, 0);
        r = fd < 0 ? fd : read_index(s, fd, &known);
        if (fd >= 0)
                pin_file_unpin(file);
        s->index_wrong = r == -EUCLEAN || r == -EIO || r == -ENOENT;
        s->entries_count = r ? 0 : known.count;
        return s->index_wrong ? 0 : r;
}

/* What the footer says of times, when all batches could be read. */
static bool footer_is_right(const struct plog_scrub *s)
{
        const struct index_footer *f = &s->footer;

        return !s->footed || !s->parts[s->at].whole || s->index_wrong || s->check.damaged ||
               (f->max_timestamp == s->check.max_timestamp &&
                f->max_timestamp_offset == s->check.max_timestamp_offset &&
                f->first_timestamp == s->check.first_timestamp);
}

/* That of the active segment is begun again: any subset of entries is a right index, and readers that know of more of them
 * find the file shorter and walk. */
static void forget_entries(struct plog *pl, struct segment *g)
{
        pthread_mutex_lock(&pl->lock);
        if (!g->sealed) {
                g->index.filed_count = g->index.filed_crc = 0;
                pl->indexes_built++;
        }
        pthread_mutex_unlock(&pl->lock);
}

static int mend_index(struct plog_scrub *s)
{
        const struct part *p = &s->parts[s->at];
        int r = 0;

        diag(DIAG_NOTICE, "%s: the index of segment %020lld.log is not right; it is built again from the batches",
             s->pl->name, (long long)p->segment->base_offset);
        if (p->whole)
                r = segment_rebuild_index(s->pl, p->segment);
        else
                forget_entries(s->pl, p->segment);
        return r == -EUCLEAN ? 0 : r; /* damage that nobody can walk over: the old one stays */
}

/* ---- one segment ---- */

static int part_begin(struct plog_scrub *s)
{
        struct part *p = &s->parts[s->at];
        int fd = pin_file_pin(p->segment->file, 0), r;

        s->check = (struct check){ .direct_fd = -1 };
        s->footed = s->index_wrong = false;
        s->entries_count = 0;
        if (fd == -ENOENT) {
                found(s, &(struct plog_damaged_range){ .from_offset = p->segment->base_offset,
                                                       .to_offset = p->end_offset,
                                                       .segment_base = p->segment->base_offset,
                                                       .end_pos = p->size,
                                                       .found_ms = clock_wall_ms(),
                                                       .why = PLOG_DAMAGE_UNREADABLE });
                damage_fini(&s->found);
                s->at++;
                return 0;
        }
        if (fd < 0)
                return fd;
        r = take_index(s);
        pthread_mutex_lock(&s->pl->lock);
        p->end_offset = MIN2(p->end_offset, p->segment->next_offset); /* when its index knew better than its name */
        pthread_mutex_unlock(&s->pl->lock);
        if (!r)
                r = check_init(&s->check, &(struct check_args){ .fd = fd,
                                                                .direct = p->whole,
                                                                .base_offset = p->segment->base_offset,
                                                                .size = p->size,
                                                                .end_offset = p->end_offset,
                                                                .whole = p->whole,
                                                                .epochs = &s->epochs,
                                                                .entries = s->entries,
                                                                .entries_count = s->entries_count,
                                                                .found = found,
                                                                .arg = s,
                                                                .now_ms = clock_wall_ms() });
        s->working = true;
        if (r)
                part_end(s);
        return r;
}

static int part_finish(struct plog_scrub *s)
{
        const struct part *p = &s->parts[s->at];
        bool current;
        int r = 0;

        pthread_mutex_lock(&s->pl->lock);
        current = is_current(s);
        if (current)
                s->result.healed_offsets += damage_settle(s->pl, p->segment->base_offset, p->end_offset, &s->found);
        pthread_mutex_unlock(&s->pl->lock);
        if (current && (s->index_wrong || s->check.index_bad || !footer_is_right(s)))
                r = mend_index(s);
        part_end(s);
        s->at++;
        return r;
}

static int all_done(struct plog_scrub *s)
{
        pthread_mutex_lock(&s->pl->lock);
        s->pl->checked_ms = clock_wall_ms();
        s->result.indexes_rebuilt = s->pl->indexes_built - s->indexes_built;
        /* An empty log's folder stays as it is. */
        s->pl->damage_dirty |= s->parts_count > 0;
        pthread_mutex_unlock(&s->pl->lock);
        return save(s);
}

/* Return: 0 go on; outcome. */
static int still_there(struct plog_scrub *s)
{
        bool current = true;
        int r;

        pthread_mutex_lock(&s->pl->lock);
        r = s->pl->state == PLOG_CLOSED ? PLOG_E_CLOSED : s->pl->cuts != s->cuts ? PLOG_E_NOT_FOUND : 0;
        if (!r && s->at < s->parts_count)
                current = is_current(s);
        pthread_mutex_unlock(&s->pl->lock);
        if (!current) {
                part_end(s);
                s->at++;
        }
        return r;
}

int plog_scrub_step(struct plog_scrub *s, int64_t len)
{
        int64_t left = len;
        int r;

        do {
                r = still_there(s);
                if (!r && s->at == s->parts_count)
                        return all_done(s);
                if (!r && !s->working)
                        r = part_begin(s);
                if (!r && s->working)
                        r = check_step(&s->check, &left);
                if (!r && s->working)
                        r = part_finish(s);
                left--; /* for what was nothing to read */
        } while (!r && left > 0);
        if (r == 0)
                r = 1;
        if (r == 1) {
                int saved = save(s);

                r = saved ? saved : 1;
        }
        return r;
}
