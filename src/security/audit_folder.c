/* See audit_folder.h. */
#include "security/audit_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "sys/file.h"

enum { DIGITS = 20, READ_LEN = 256 * 1024, HEAD_LEN_MAX = 4096, FILES_MAX = 1 << 20, TRIES = 3 };
static_assert((int)READ_LEN > (int)AUDIT_LINE_LEN_MAX, "a line fits what is read at once");

/* ---- files ---- */

static int lines_of(int fd, char *buf, int (*fn)(void *arg, struct str line), void *arg, int64_t *ret_torn)
{
        int64_t pos = 0;
        size_t len = 0;

        for (;;) {
                ssize_t n = file_pread(fd, buf + len, READ_LEN - len, pos);
                size_t from = 0;
                char *end;

                if (n < 0)
                        return (int)n;
                pos += n;
                len += (size_t)n;
                while ((end = memchr(buf + from, '\n', len - from))) {
                        int r = fn(arg, (struct str){ buf + from, (size_t)(end - (buf + from)) });

                        if (r)
                                return r;
                        from = (size_t)(end - buf) + 1;
                }
                if (!n) {
                        *ret_torn = (int64_t)(len - from);
                        return 0;
                }
                if (!from && len == READ_LEN)
                        return -EFBIG;
                len -= from;
                memmove(buf, buf + from, len);
        }
}

int audit_file_each(const char *path, int (*fn)(void *arg, struct str line), void *arg, int64_t *ret_torn)
{
        int fd = file_open(path, O_RDONLY), r = -ENOMEM;
        char *buf;

        if (fd < 0)
                return fd;
        buf = malloc(READ_LEN);
        if (buf)
                r = lines_of(fd, buf, fn, arg, ret_torn);
        free(buf);
        file_close(fd);
        return r;
}

struct listing {
        uint64_t *files;
        size_t count, size;
};

static int list_one(void *arg, const char *name)
{
        struct listing *l = arg;
        uint64_t first = 0, *files;

        if (strlen(name) != DIGITS + 4 || strcmp(name + DIGITS, ".log") != 0)
                return 0;
        for (int i = 0; i < DIGITS; i++) {
                if (name[i] < '0' || name[i] > '9' || first > (UINT64_MAX - 9) / 10)
                        return 0;
                first = first * 10 + (uint64_t)(name[i] - '0');
        }
        if (l->count == FILES_MAX)
                return -EFBIG;
        if (l->count == l->size) {
                l->size = l->size ? 2 * l->size : 64;
                files = realloc(l->files, l->size * sizeof *files);
                if (!files)
                        return -ENOMEM;
                l->files = files;
        }
        l->files[l->count++] = first;
        return 0;
}

static int compare(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

int audit_folder_list(const char *dir, uint64_t **ret_files, size_t *ret_count)
{
        struct listing l = { 0 };
        int r = file_list(dir, list_one, &l);

        if (r) {
                free(l.files);
                return r;
        }
        if (l.count)
                qsort(l.files, l.count, sizeof *l.files, compare);
        *ret_files = l.files;
        *ret_count = l.count;
        return 0;
}

void audit_folder_file(const char *dir, uint64_t first, char path[AUDIT_PATH_SIZE])
{
        snprintf(path, AUDIT_PATH_SIZE, "%s/%0*" PRIu64 ".log", dir, DIGITS, first);
}

int audit_folder_head(const char *dir, struct audit_head *ret_head, enum audit_fault *ret_fault)
{
        CLEANUP(freep) char *text = NULL;
        char path[AUDIT_PATH_SIZE];
        size_t len;
        int r;

        snprintf(path, sizeof path, "%s/head", dir);
        r = file_read_whole(path, HEAD_LEN_MAX, &text, &len);
        if (r == -EFBIG) {
                *ret_fault = AUDIT_E_MALFORMED;
                return -EINVAL;
        }
        if (r)
                return r;
        *ret_fault = audit_head_read((struct str){ text, len }, ret_head);
        return *ret_fault ? -EINVAL : 0;
}

/* ---- checking ---- */

static int check_one(void *arg, struct str line)
{
        struct audit_report *r = arg;

        r->line++;
        r->fault = audit_check_line(&r->check, line);
        return r->fault != AUDIT_WHOLE;
}

static int check_file(struct audit_report *r)
{
        int e;

        r->line = 0;
        r->torn_bytes = 0;
        e = audit_file_each(r->path, check_one, r, &r->torn_bytes);
        if (e != -EFBIG)
                return e < 0 ? e : 0;
        r->line++;
        r->fault = AUDIT_E_MALFORMED;
        return 0;
}

static int check_folder_once(const char *dir, struct audit_report *r)
{
        CLEANUP(freep) uint64_t *files = NULL;
        size_t count = 0;
        int e = audit_folder_head(dir, &r->check.head, &r->fault);

        snprintf(r->path, sizeof r->path, "%s/head", dir);
        if (e == -EINVAL)
                return 0;
        r->check.has_head = !e;
        if (!e || e == -ENOENT)
                e = audit_folder_list(dir, &files, &count);
        if (e)
                return e;
        if (!r->check.has_head) { /* a node writes it before anything else happens */
                r->fault = AUDIT_E_TAIL;
                return count ? 0 : -ENOENT;
        }
        for (size_t i = 0; i < count && !r->fault; i++) {
                audit_folder_file(dir, files[i], r->path);
                e = check_file(r);
                if (e)
                        return e;
                if (!r->fault && r->torn_bytes && i + 1 < count) {
                        r->line++;
                        r->fault = AUDIT_E_MALFORMED;
                }
        }
        if (!r->fault)
                r->fault = audit_check_end(&r->check);
        return 0;
}

int audit_folder_check(const char *path, const uint8_t (*keys)[AUDIT_KEY_LEN], size_t keys_count,
                       struct audit_report *ret)
{
        struct file_info info;
        int r = file_info(path, &info);

        if (r)
                return r;
        for (int i = 0; i < TRIES; i++) {
                *ret = (struct audit_report){ .check = { .keys = keys, .keys_count = keys_count } };
                if (!info.is_dir) {
                        snprintf(ret->path, sizeof ret->path, "%s", path);
                        r = check_file(ret);
                        if (!r && !ret->fault && !ret->check.entries)
                                ret->fault = AUDIT_E_START;
                        return r;
                }
                r = check_folder_once(path, ret);
                /* The node may have removed its oldest file meanwhile, or have got another key behind the head that was read. */
                if (r != -ENOENT && ret->fault != AUDIT_E_START && ret->fault != AUDIT_E_KEY)
                        break;
        }
        return r;
}

void audit_report_write(const struct audit_report *r, struct strbuf *out)
{
        const struct audit_check *c = &r->check;
        char key[AUDIT_KEY_HEX_SIZE];

        strbuf_printf(out,
                      "{\"whole\":%s,\"entries\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
                      ",\"signed_to\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"unfinished_bytes\":%" PRId64
                      ",\"end_is_known\":%s,\"node\":%" PRId32,
                      r->fault ? "false" : "true", c->entries, c->first, c->chain.seq, c->signed_to, c->dropped,
                      r->torn_bytes, c->has_head ? "true" : "false", c->node);
        if (c->has_key) {
                audit_hex(c->key, sizeof c->key, key);
                strbuf_printf(out, ",\"public_key\":\"%s\"", key);
        }
        strbuf_add_c(out, ",\"key_changes\":[");
        for (size_t i = 0; i < MIN2(c->changes_count, (size_t)AUDIT_KEYS_MAX); i++) {
                audit_hex(c->changes[i].to, sizeof c->changes[i].to, key);
                strbuf_printf(out, "%s{\"entry\":%" PRIu64 ",\"time_ms\":%" PRId64 ",\"public_key\":\"%s\"}",
                              i ? "," : "", c->changes[i].seq, c->changes[i].time_ms, key);
        }
        strbuf_add_c(out, "],\"file\":");
        audit_text_write(str_of(r->path), out);
        if (r->fault) {
                strbuf_printf(out, ",\"line\":%" PRIu64 ",\"expected\":%" PRIu64, r->line, c->chain.seq + 1);
                if (c->seen)
                        strbuf_printf(out, ",\"found\":%" PRIu64, c->seen);
                if (r->fault == AUDIT_E_TAIL && c->has_head)
                        strbuf_printf(out, ",\"must_reach\":%" PRIu64, c->head.last);
                strbuf_add_c(out, ",\"why\":");
                audit_text_write(str_of(audit_fault_text(r->fault)), out);
        }
        strbuf_add_c(out, "}");
}
