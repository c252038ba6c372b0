/* Aligned columns. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

enum { COLUMNS_MAX = 16 };

struct table {
        unsigned columns_count;
        bool right[COLUMNS_MAX];
        int width[COLUMNS_MAX];
        char **cells;
        size_t cells_count, cells_size;
};

/* Characters, not bytes: UTF-8 continuation bytes take no place. */
static int text_width(const char *s)
{
        int n = 0;

        for (; *s; s++)
                n += ((unsigned char)*s & 0xc0) != 0x80;
        return n;
}

static void cell_add(struct table *t, char *text)
{
        unsigned column = (unsigned)(t->cells_count % t->columns_count);

        if (t->cells_count == t->cells_size) {
                t->cells_size = t->cells_size ? t->cells_size * 2 : 64;
                t->cells = realloc(t->cells, t->cells_size * sizeof *t->cells);
        }
        if (!t->cells || !text)
                abort(); /* out of memory in a command that only prints */
        t->cells[t->cells_count++] = text;
        t->width[column] = MAX2(t->width[column], text_width(text));
}

struct table *table_new(const char *const *titles, unsigned columns_count)
{
        struct table *t = calloc(1, sizeof *t);

        if (!t)
                abort();
        assert(columns_count <= COLUMNS_MAX);
        t->columns_count = columns_count;
        for (unsigned i = 0; i < columns_count; i++) {
                char *title = strdup(titles[i]);
                size_t len = title ? strlen(title) : 0;

                t->right[i] = len && title[len - 1] == '>';
                if (t->right[i])
                        title[len - 1] = '\0';
                cell_add(t, title);
        }
        return t;
}

void table_cell(struct table *t, const char *fmt, ...)
{
        va_list ap;
        char *text;

        va_start(ap, fmt);
        if (vasprintf(&text, fmt, ap) < 0)
                text = NULL;
        va_end(ap);
        cell_add(t, text);
}

void table_print(struct table *t)
{
        for (size_t i = 0; i < t->cells_count; i++) {
                unsigned column = (unsigned)(i % t->columns_count);
                bool last = column == t->columns_count - 1;
                int pad = t->width[column] - text_width(t->cells[i]);

                printf("%*s%s%*s%s", t->right[column] ? pad : 0, "", t->cells[i], t->right[column] || last ? 0 : pad, "",
                       last ? "\n" : "  ");
                free(t->cells[i]);
        }
        free(t->cells);
        free(t);
}

const char *table_bytes(json_int_t bytes, char text[32])
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
        double v = (double)bytes;
        unsigned u = 0;

        while (v >= 1024 && u < ARRAY_LEN(units) - 1) {
                v /= 1024;
                u++;
        }
        snprintf(text, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
        return text;
}
