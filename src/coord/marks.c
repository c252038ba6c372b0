#include "coord/marks.h"

#include <stdlib.h>

struct coord_marks *coord_marks_new(struct str id, size_t items_max)
{
        struct coord_marks *m = calloc(1, sizeof *m);

        if (!m)
                return NULL;
        ilist_init(&m->link);
        arena_init(&m->mem, 0);
        m->items = ARENA_NEW_ARRAY(&m->mem, struct coord_mark, items_max);
        m->id = (struct str){ arena_memdup(&m->mem, id.p, id.len), id.len };
        return m->items && m->id.p ? m : coord_marks_free(m);
}

bool coord_marks_add(struct coord_marks *m, struct str topic, int32_t partition)
{
        const struct coord_mark *last = m->items_count ? &m->items[m->items_count - 1] : NULL;
        struct str name = last && str_equal(last->topic, topic)
                                  ? last->topic
                                  : (struct str){ arena_memdup(&m->mem, topic.p, topic.len), topic.len };

        if (!name.p)
                return false;
        m->items[m->items_count++] = (struct coord_mark){ .topic = name, .partition = partition };
        return true;
}

struct coord_marks *coord_marks_free(struct coord_marks *m)
{
        if (!m)
                return NULL;
        ilist_unlink(&m->link);
        arena_fini(&m->mem);
        free(m);
        return NULL;
}
