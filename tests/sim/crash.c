/* What is left of unsynced changes after a crash; see disk.h. Each crash has a temper, so that the simple cases (all lost,
 * all kept, kept in order) come up as well as arbitrary mixtures. */
#include <string.h>

#include "disk_priv.h"

struct crash {
        enum disk_temper data, sizes, names;
        bool torn;
        bool mixed;
        bool failed_sync;     /* not a crash, but a sync that lost data */
        uint64_t names_until; /* DISK_IN_ORDER: names changed up to here are kept */
};

/* How many of @count changes in a row are there. */
static size_t pick_version(enum disk_temper t, size_t count)
{
        switch (t) {
        case DISK_LOSE_ALL:
                return 0;
        case DISK_KEEP_ALL:
                return count;
        case DISK_KEEP_MOST:
                return chance_one_in(&disk->chance, 8) ? chance_below(&disk->chance, count + 1) : count;
        default:
                return chance_one_in(&disk->chance, 2) ? chance_below(&disk->chance, count + 1)
                                                       : (chance_one_in(&disk->chance, 2) ? 0 : count);
        }
}

/* ---- files ---- */

static int64_t size_after(const struct inode *n, size_t version)
{
        int64_t size = n->stable.size;

        for (size_t i = 0; i < version; i++) {
                const struct change *c = &n->changes[i];

                size = c->is_truncate ? c->pos : MAX2(size, c->pos + (int64_t)c->len);
        }
        return size;
}

/* A file that grows may have got only a part of the last step. */
static int64_t pick_size(const struct inode *n, size_t version)
{
        int64_t size = size_after(n, version), more;

        if (version == n->changes_count || n->changes[version].is_truncate || !chance_one_in(&disk->chance, 3))
                return size;
        more = size_after(n, version + 1) - size;
        return size + (more > 0 ? (int64_t)chance_below(&disk->chance, (uint64_t)more + 1) : 0);
}

/* Do change @c to the sector at @at, up to @len_max bytes of it. */
static void change_sector(struct bytes *out, const struct change *c, int64_t at, size_t len_max)
{
        int64_t from, to;

        if (c->is_truncate) {
                from = MAX2(c->pos, at);
                if (from < at + SECTOR)
                        memset(out->data + from, 0, (size_t)(at + SECTOR - from));
                return;
        }
        from = MAX2(c->pos, at);
        to = MIN2(c->pos + (int64_t)c->len, at + SECTOR);
        to = MIN2(to, from + (int64_t)len_max);
        if (from < to)
                memcpy(out->data + from, c->data + (from - c->pos), (size_t)(to - from));
}

/* The sector as it was after @version of the changes. A truncation frees whole sectors only with the size. */
static void settle_sector(const struct inode *n, const struct crash *crash, int64_t at, size_t version,
                          size_t size_version, struct bytes *out)
{
        for (size_t i = 0; i < n->changes_count; i++) {
                const struct change *c = &n->changes[i];
                bool frees = c->is_truncate && c->pos <= at;

                if (i < (frees ? size_version : version))
                        change_sector(out, c, at, SIZE_MAX);
                else if (i == version && crash->torn && !c->is_truncate)
                        change_sector(out, c, at, chance_below(&disk->chance, SECTOR));
        }
}

static void settle_file(struct inode *n, const struct crash *crash)
{
        int64_t live_size = n->live.size;
        size_t all = pick_version(crash->data, n->changes_count);
        size_t size_version = crash->sizes == DISK_IN_ORDER ? all : pick_version(crash->sizes, n->changes_count);
        int64_t size = pick_size(n, size_version), max = n->stable.size;
        struct bytes out = { 0 };

        if (!n->changes_count && disk_hooks.pause) /* nothing to settle; quick where there are many files */
                return;
        if (crash->failed_sync) { /* the size is not lost; that it became less is tried again */
                size_version = 0;
                size = MAX2(n->stable.size, live_size);
        }

        for (size_t i = 1; i <= n->changes_count; i++)
                max = MAX2(max, size_after(n, i));
        max = (max + SECTOR - 1) / SECTOR * SECTOR;
        if (n->stable.size)
                bytes_write(&out, 0, n->stable.data, (size_t)n->stable.size);
        bytes_resize(&out, max);
        for (int64_t at = 0; at < max; at += SECTOR)
                settle_sector(n, crash, at,
                              crash->data == DISK_IN_ORDER ? all : pick_version(crash->data, n->changes_count),
                              size_version, &out);
        bytes_resize(&out, size);
        free(n->stable.data);
        n->stable = out;
        changes_clear(n);
        if (crash->failed_sync && live_size < size)
                *LIST_ADD(n->changes, n->changes_count, n->changes_room) =
                        (struct change){ .is_truncate = true, .pos = live_size };
}

static struct crash crash_pick(void)
{
        return (struct crash){ .data = chance_below(&disk->chance, DISK_TEMPERS),
                               .sizes = chance_below(&disk->chance, DISK_TEMPERS),
                               .names = chance_below(&disk->chance, DISK_TEMPERS),
                               .torn = chance_one_in(&disk->chance, 3) };
}

void changes_lose(struct inode *n)
{
        struct crash crash = crash_pick();

        crash.failed_sync = true;
        n->is_unlike = true;
        if (chance_one_in(&disk->chance, 2))
                crash.data = DISK_LOSE_ALL;
        settle_file(n, &crash);
        if (chance_one_in(&disk->chance, 3)) /* the clean pages were needed for something else */
                forget_pages(n, 0);
}

void forget_pages(struct inode *n, int64_t pos)
{
        int64_t size = n->live.size;

        bytes_resize(&n->live, MIN2(pos, size));
        if (n->stable.size > pos)
                bytes_write(&n->live, pos, n->stable.data + pos, (size_t)(MIN2(n->stable.size, size) - pos));
        bytes_resize(&n->live, size);
}

/* ---- folders ---- */

static bool is_kept(const struct crash *crash, const struct naming *what)
{
        switch (crash->names) {
        case DISK_LOSE_ALL:
                return false;
        case DISK_KEEP_ALL:
                return true;
        case DISK_IN_ORDER:
                return what->when <= crash->names_until;
        case DISK_KEEP_MOST:
                return !chance_one_in(&disk->chance, 8);
        default:
                return chance_one_in(&disk->chance, 2);
        }
}

static void settle_folder(struct inode *n, const struct crash *crash)
{
        for (size_t i = 0; i < n->namings_count; i++)
                if (is_kept(crash, &n->namings[i]))
                        naming_apply(&n->stable_names, &n->namings[i]);
        n->namings_count = 0;
        names_copy(&n->names, &n->stable_names);
}

static void settle(struct inode *n, struct crash *crash)
{
        if (n->is_dir) {
                settle_folder(n, crash);
                return;
        }
        if (crash->mixed && chance_one_in(&disk->chance, 4)) /* files need not fare alike */
                crash->data = chance_below(&disk->chance, DISK_TEMPERS);
        if (!n->changes_count && !n->is_unlike && disk_hooks.pause) /* quick where there are many files */
                return;
        settle_file(n, crash);
        n->is_unlike = false;
        bytes_resize(&n->live, 0);
        if (n->stable.size)
                bytes_write(&n->live, 0, n->stable.data, (size_t)n->stable.size);
}

/* ---- all of it ---- */

static void reach(struct inode *n)
{
        if (n->reached)
                return;
        n->reached = true;
        for (size_t i = 0; i < n->names.count; i++)
                reach(n->names.list[i].node);
        for (size_t i = 0; i < n->stable_names.count; i++)
                reach(n->stable_names.list[i].node);
        for (size_t i = 0; i < n->namings_count; i++)
                if (n->namings[i].node)
                        reach(n->namings[i].node);
}

static void forget_unreachable(void)
{
        ilist_for_each (n, &disk->nodes, struct inode, link)
                n->reached = false;
        reach(disk->root);
        ilist_for_each (n, &disk->nodes, struct inode, link)
                if (!n->reached)
                        inode_free(n);
}

void disk_restart(void)
{
        assert(!disk_open_count());
        disk->dead = false;
        disk->crash_at = 0;
        disk_fail_none();
}

static void power_on(struct crash *crash)
{
        uint64_t first = UINT64_MAX;

        disk_restart();
        ilist_for_each (n, &disk->nodes, struct inode, link)
                if (n->namings_count)
                        first = MIN2(first, n->namings[0].when);
        if (first <= disk->namings_made)
                crash->names_until = first - 1 + chance_below(&disk->chance, disk->namings_made - first + 2);
        ilist_for_each (n, &disk->nodes, struct inode, link)
                settle(n, crash);
        forget_unreachable();
}

void disk_power_on(void)
{
        struct crash crash = crash_pick();

        crash.mixed = true;
        power_on(&crash);
}

void disk_power_on_as(enum disk_temper data, enum disk_temper names, bool torn)
{
        struct crash crash = { .data = data, .sizes = data, .names = names, .torn = torn };

        power_on(&crash);
}
