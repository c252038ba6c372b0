/* Pages of a list: documents to rows. */
#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "base/strbuf.h"
#include "object/answer.h"
#include "object/xml.h"

struct words {
        const char *row, *key, *size, *modified; /* paths */
        const char *next, *truncated, *encoding;
        const char *date_format;
};

static const struct words words_s3 = {
        "ListBucketResult/Contents",
        "ListBucketResult/Contents/Key",
        "ListBucketResult/Contents/Size",
        "ListBucketResult/Contents/LastModified",
        "ListBucketResult/NextContinuationToken",
        "ListBucketResult/IsTruncated",
        "ListBucketResult/EncodingType",
        "%Y-%m-%dT%H:%M:%S",
};
static const struct words words_azure = {
        "EnumerationResults/Blobs/Blob",
        "EnumerationResults/Blobs/Blob/Name",
        "EnumerationResults/Blobs/Blob/Properties/Content-Length",
        "EnumerationResults/Blobs/Blob/Properties/Last-Modified",
        "EnumerationResults/NextMarker",
        "",
        "",
        "%a, %d %b %Y %H:%M:%S",
};

struct reading {
        const struct words *w;
        struct object_row *rows;
        unsigned count, room;
        struct object_row now;
        char *next;
        bool encoded, truncated, root;
};

static int copy(struct str text, char **ret_text)
{
        char *p;

        if (memchr(text.p, '\0', text.len))
                return -EBADMSG;
        p = strndup(text.p, text.len);
        if (!p)
                return -ENOMEM;
        free(*ret_text);
        *ret_text = p;
        return 0;
}

static int read_size(struct str text, int64_t *ret_size)
{
        int64_t v = 0;

        if (!text.len)
                return -EBADMSG;
        for (size_t i = 0; i < text.len; i++) {
                if (!isdigit((unsigned char)text.p[i]) || v > (INT64_MAX - 9) / 10)
                        return -EBADMSG;
                v = v * 10 + (text.p[i] - '0');
        }
        *ret_size = v;
        return 0;
}

static void read_date(const char *format, struct str text, int64_t *ret_ms)
{
        char date[40];
        struct tm tm = { 0 };

        if (text.len >= sizeof date)
                return;
        memcpy(date, text.p, text.len);
        date[text.len] = '\0';
        if (strptime(date, format, &tm))
                *ret_ms = (int64_t)timegm(&tm) * 1000;
}

static int row_done(struct reading *rd)
{
        if (rd->count == rd->room || !rd->now.key || !rd->now.key[0] || rd->now.size < 0)
                return -EBADMSG;
        rd->rows[rd->count++] = rd->now;
        rd->now = (struct object_row){ .size = -1 };
        return 0;
}

static int on_element(void *arg, const char *path, struct str text)
{
        struct reading *rd = arg;
        const struct words *w = rd->w;

        if (!strcmp(path, w->key))
                return copy(text, &rd->now.key);
        if (!strcmp(path, w->size))
                return read_size(text, &rd->now.size);
        if (!strcmp(path, w->modified))
                read_date(w->date_format, text, &rd->now.modified_ms);
        else if (!strcmp(path, w->row))
                return row_done(rd);
        else if (!strcmp(path, w->next) && text.len)
                return copy(text, &rd->next);
        else if (!strcmp(path, w->truncated))
                rd->truncated = str_equal_c(text, "true");
        else if (!strcmp(path, w->encoding))
                rd->encoded = str_equal_c(text, "url");
        else if (!strchr(path, '/'))
                rd->root = !strncmp(w->row, path, strlen(path)) && w->row[strlen(path)] == '/';
        return 0;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. A space is "+" as in forms. */
static int decode(char *text)
{
        char *to = text;

        for (const char *p = text; *p; p++) {
                if (*p == '%') {
                        int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);

                        if (low < 0 || !(high | low))
                                return -EBADMSG;
                        *to++ = (char)(high << 4 | low);
                        p += 2;
                } else {
                        *to++ = *p == '+' ? ' ' : *p;
                }
        }
        *to = '\0';
        return 0;
}

static int read_list(struct span body, const struct words *w, struct object_op *op)
{
        struct reading rd = { .w = w, .room = op->list_max, .now.size = -1 };
        int r;

        rd.rows = calloc(rd.room, sizeof *rd.rows);
        r = rd.rows ? object_xml_walk(body, on_element, &rd) : -ENOMEM;
        if (!r && (!rd.root || (rd.truncated && !rd.next)))
                r = -EBADMSG;
        for (unsigned i = 0; i < rd.count && rd.encoded && !r; i++)
                r = decode(rd.rows[i].key);
        if (*w->truncated && !rd.truncated) {
                free(rd.next);
                rd.next = NULL;
        }
        free(rd.now.key);
        if (r) {
                for (unsigned i = 0; i < rd.count; i++)
                        free(rd.rows[i].key);
                free(rd.rows);
                free(rd.next);
                return r;
        }
        object_op_fini(op);
        op->rows = rd.rows;
        op->rows_count = rd.count;
        op->list_next = rd.next;
        return 0;
}

int object_read_list_s3(struct span body, struct object_op *op)
{
        return read_list(body, &words_s3, op);
}

int object_read_list_azure(struct span body, struct object_op *op)
{
        return read_list(body, &words_azure, op);
}

void object_op_fini(struct object_op *op)
{
        for (unsigned i = 0; i < op->rows_count; i++)
                free(op->rows[i].key);
        free(op->rows);
        free(op->list_next);
        op->rows = NULL;
        op->rows_count = 0;
        op->list_next = NULL;
}
