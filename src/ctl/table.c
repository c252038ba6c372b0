/* Aligned columns. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "ctl/ctl.h"

enum { COLUMNS_MAX = 16 };

struct table {
        unsigned columns_count;
        bool right[COLUMNS_MAX];
        int width[COLUMNS_MAX];
        char **cells;
        size_t cells_count, cells_size;
};

/* Places on the screen, not bytes: main() has chosen a locale with UTF-8. A character that it does not know takes one.
 */
static int text_width(const char *s)
{
        mbstate_t state = { 0 };
        int width = 0;

        while (*s) {
                wchar_t c;
                size_t len = mbrtowc(&c, s, MB_LEN_MAX, &state);

                if (len == (size_t)-1 || len == (size_t)-2) {
                        memset(&state, 0, sizeof state);
                        width += ((unsigned char)*s++ & 0xc0) != 0x80;
                        continue;
                }
                width += MAX2(wcwidth(c), 0);
                s += len;
        }
        return width;
}

char *text_clean(char *text)
{
        for (unsigned char *p = (unsigned char *)text; *p; p++)
                if (*p < ' ' || *p == 0x7f)
                        *p = '?';
                else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) /* U+0080 to U+009F are controls as well */
                        p[0] = p[1] = '?';
        return text;
}

static void cell_add(struct table *t, char *text)
{
        unsigned column = (unsigned)(t->cells_count % t->columns_count);
        char **cells = t->cells;

        if (t->cells_count == t->cells_size) {
                t->cells_size = t->cells_size ? t->cells_size * 2 : 64;
                cells = realloc(t->cells, t->cells_size * sizeof *t->cells);
        }
        if (!cells || !text)
                abort(); /* out of memory in a command that only prints */
        t->cells = cells;
        t->cells[t->cells_count++] = text_clean(text);
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

                printf("%*s%s%*s%s", t->right[column] ? pad : 0, "", t->cells[i], t->right[column] || last ? 0 : pad,
                       "", last ? "\n" : "  ");
                free(t->cells[i]);
        }
        free(t->cells);
        free(t);
}

void table_print_rows(struct table *t)
{
        if (t->cells_count > t->columns_count) {
                putchar('\n');
                table_print(t);
                return;
        }
        for (size_t i = 0; i < t->cells_count; i++)
                free(t->cells[i]);
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

const char *table_span(json_int_t ms, char text[32])
{
        static const struct {
                const char *name;
                json_int_t ms;
        } units[] = { { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
        unsigned u = 0;

        /* the largest unit of which there are at least two and a half: what is cut off is no more than a third */
        while (u < ARRAY_LEN(units) - 1 && ms * 2 >= units[u + 1].ms * 5)
                u++;
        snprintf(text, 32, "%" JSON_INTEGER_FORMAT " %s", ms / units[u].ms, units[u].name);
        return text;
}

const char *table_time(json_int_t ms, char text[32])
{
        time_t t = (time_t)(ms / 1000);
        struct tm tm;

        if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
                snprintf(text, 32, "-");
        return text;
}
