/* The damage that a log knows of: told to the operator, settled by checks, kept in the file "damage" (FORMAT.md). */
#include <errno.h>

#include "base/err.h"
#include "plog/internal.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { SUSPECT_MS = 3600 * 1000 };

static_assert(ARRAY_LEN(((struct walk_skips *)NULL)->list) == DAMAGE_RANGES_MAX, "every range can be left out");

bool damage_mark(struct plog *pl, const struct plog_damaged_range *r)
{
        struct plog_damaged_range in = *r;

        in.from_offset = MAX2(in.from_offset, pl->start);
        in.to_offset = MIN2(in.to_offset, pl->durable_end);
        if (in.from_offset >= in.to_offset || !damage_add(&pl->damage, &in))
                return false;
        pl->damage_dirty = true;
        diag_about(
                DIAG_ERROR,
                DIAG_ABOUT(LOG_DAMAGED, { "LOG", .text = str_of(pl->name) },
                           { "FROM_OFFSET", .number = in.from_offset }, { "TO_OFFSET", .number = in.to_offset }),
                "%s: offsets %lld to %lld are damaged in %s/%020lld.log, position %lld to %lld: %s. Reads there are "
                "refused: "
                "check the disk; restore the file's bytes and run `chronik-ctl log verify`, or give the records up by "
                "deleting all below offset %lld",
                pl->name, (long long)in.from_offset, (long long)in.to_offset - 1, pl->dir, (long long)in.segment_base,
                (long long)in.pos, (long long)in.end_pos - 1, plog_damage_text(in.why), (long long)in.to_offset);
        return true;
}

void damage_suspect(struct plog *pl)
{
        if (pl->suspected_ms && clock_mono_ms() - pl->suspected_ms < SUSPECT_MS)
                return;
        pl->suspected_ms = clock_mono_ms();
        pl->checked_ms = 0;
}

int64_t damage_settle(struct plog *pl, int64_t from, int64_t to, const struct damage *found)
{
        int64_t before = damage_offsets(&pl->damage), again;

        if (!damage_clear(&pl->damage, from, to))
                return 0;
        for (uint32_t i = 0; i < found->count; i++)
                (void)damage_add(&pl->damage, &damage_list(found)[i]);
        (void)damage_trim(&pl->damage, pl->start, pl->end);
        again = before - damage_offsets(&pl->damage);
        if (again <= 0)
                return 0;
        pl->damage_dirty = true;
        diag(DIAG_NOTICE, "%s: %lld offsets between %lld and %lld that were damaged are whole again and are served",
             pl->name, (long long)again, (long long)from, (long long)to - 1);
        return again;
}

/* A log that was never checked and has no damage has no file. */
int damage_save(struct plog *pl)
{
        char path[PLOG_PATH_MAX];
        void *data = NULL;
        size_t len = 0;
        bool dirty;
        int r = 0;

        pthread_mutex_lock(&pl->lock);
        dirty = pl->damage_dirty;
        if (dirty)
                r = damage_encode(&pl->damage, pl->checked_ms, &data, &len);
        if (!r)
                pl->damage_dirty = false;
        pthread_mutex_unlock(&pl->lock);
        if (!dirty || r)
                return r;
        plog_path_of(pl->dir, DAMAGE_NAME, path);
        r = file_replace(path, span_of(data, len));
        free(data);
        if (r) {
                pthread_mutex_lock(&pl->lock);
                pl->damage_dirty = true;
                pthread_mutex_unlock(&pl->lock);
        }
        return r;
}

int damage_load(struct plog *pl)
{
        char path[PLOG_PATH_MAX];
        CLEANUP(freep) char *data = NULL;
        size_t len;
        int r;

        plog_path_of(pl->dir, DAMAGE_NAME, path);
        r = file_read_whole(path, DAMAGE_FILE_MAX, &data, &len);
        if (r == -ENOENT) {
                if (!pl->segments_count)
                        pl->checked_ms = clock_wall_ms(); /* what is written from now on is new */
                return 0;
        }
        if (r && r != -EFBIG)
                return r;
        r = r ? -EUCLEAN : damage_decode(span_of(data, len), &pl->damage, &pl->checked_ms);
        if (r == -EUCLEAN) {
                diag(DIAG_WARN, "%s: %s cannot be read and is not used; the next check of the log writes it again",
                     pl->name, path);
                return 0;
        }
        if (r == -EPROTONOSUPPORT)
                diag(DIAG_ERROR,
                     "%s: %s was written by a newer version, which knows of damage that this one cannot read: the "
                     "partition is not served. Run that version, or remove the file and run `chronik-ctl log verify`",
                     pl->name, path);
        if (!r && pl->damage.count)
                diag(DIAG_WARN,
                     "%s: %u ranges with %lld offsets are damaged, as a check before this start found; reads there are "
                     "refused",
                     pl->name, (unsigned)pl->damage.count, (long long)damage_offsets(&pl->damage));
        return r;
}
