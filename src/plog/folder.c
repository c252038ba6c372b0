/* See folder.h. */
#include "plog/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plog/internal.h"
#include "sys/file.h"

static int push(struct offset_list *list, int64_t offset)
{
        if (list->count == list->size) {
                size_t size = list->size ? list->size * 2 : 8;
                int64_t *at = realloc(list->at, size * sizeof *at);

                if (!at)
                        return -ENOMEM;
                list->at = at;
                list->size = size;
        }
        list->at[list->count++] = offset;
        return 0;
}

int64_t plog_offset_of_name(const char *name, const char *suffix)
{
        int64_t v = 0;

        for (int i = 0; i < 20; i++) {
                if (name[i] < '0' || name[i] > '9' || v > (INT64_MAX - 9) / 10)
                        return -1;
                v = v * 10 + (name[i] - '0');
        }
        return strcmp(name + 20, suffix) ? -1 : v;
}

static bool ends_with(const char *name, const char *suffix)
{
        size_t n = strlen(name), k = strlen(suffix);

        return n > k && !strcmp(name + n - k, suffix);
}

static int compare_offsets(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return (x > y) - (x < y);
}

static void sort(struct offset_list *list)
{
        if (list->count)
                qsort(list->at, list->count, sizeof *list->at, compare_offsets);
}

bool offset_list_has(const struct offset_list *list, int64_t offset)
{
        return list->count && bsearch(&offset, list->at, list->count, sizeof *list->at, compare_offsets);
}

void offset_list_fini(struct offset_list *list)
{
        free(list->at);
        *list = (struct offset_list){ 0 };
}

struct reading {
        struct plog *pl;
        struct folder *f;
};

static int note_name(void *arg, const char *name)
{
        const struct reading *rd = arg;
        const struct {
                const char *suffix;
                struct offset_list *list;
        } kinds[] = { { SEGMENT_SUFFIX, &rd->f->segments },
                      { SNAPSHOT_SUFFIX, &rd->f->snapshots },
                      { INDEX_SUFFIX, &rd->f->indexes },
                      { ABORTED_SUFFIX, &rd->f->aborted } };
        char path[PLOG_PATH_MAX];

        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
                int64_t offset = plog_offset_of_name(name, kinds[i].suffix);

                if (offset >= 0)
                        return push(kinds[i].list, offset);
        }
        plog_path_of(rd->pl->dir, name, path);
        if (ends_with(name, DELETED_SUFFIX)) /* large ones, perhaps many: a start does not wait for that */
                store_remove_later(rd->pl->store, path, 0);
        else if (ends_with(name, ".new") || ends_with(name, ".tmp"))
                (void)file_unlink(path); /* tried again at the next start */
        return 0;
}

int folder_read(struct plog *pl, struct folder *ret)
{
        struct reading rd = { pl, ret };
        int r = file_list(pl->dir, note_name, &rd);

        sort(&ret->segments);
        sort(&ret->snapshots);
        sort(&ret->indexes);
        sort(&ret->aborted);
        return r;
}

void folder_fini(struct folder *f)
{
        offset_list_fini(&f->segments);
        offset_list_fini(&f->snapshots);
        offset_list_fini(&f->indexes);
        offset_list_fini(&f->aborted);
}

static int note_snapshot(void *arg, const char *name)
{
        int64_t offset = plog_offset_of_name(name, SNAPSHOT_SUFFIX);

        return offset >= 0 ? push(arg, offset) : 0;
}

int folder_snapshots(struct plog *pl, struct offset_list *ret)
{
        int r = file_list(pl->dir, note_snapshot, ret);

        sort(ret);
        return r;
}
