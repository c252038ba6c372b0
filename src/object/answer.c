/* The headers of an answer, and small documents. What they mean is judge.c's. */
#include "object/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "object/xml.h"

void object_answer_init(struct object_answer *a)
{
        *a = (struct object_answer){ .content_len = -1,
                                     .range_first = -1,
                                     .range_last = -1,
                                     .range_total = -1,
                                     .date_ms = -1,
                                     .modified_ms = -1,
                                     .retry_after_ms = -1 };
}

/* A number of digits only, and what follows it; -1 if there is none or it is too large. */
static int64_t number(const char *text, const char **ret_end)
{
        int64_t v = 0;
        const char *p = text;

        for (; isdigit((unsigned char)*p); p++) {
                if (v > (INT64_MAX - 9) / 10)
                        return -1;
                v = v * 10 + (*p - '0');
        }
        *ret_end = p;
        return p == text ? -1 : v;
}

static int64_t whole_number(const char *text)
{
        const char *end;
        int64_t v = number(text, &end);

        return v >= 0 && *end ? -1 : v;
}

/* Fri, 24 May 2013 00:00:00 GMT */
static int64_t http_date(const char *text)
{
        struct tm tm = { 0 };
        const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

        return end && !*end ? (int64_t)timegm(&tm) * 1000 : -1;
}

/* "bytes 0-9/100", "bytes 0-9/ *" or "bytes * /100" (without the spaces). */
static void content_range(struct object_answer *a, const char *text)
{
        const char *p = text;
        int64_t first = -1, last = -1, total = -1;

        if (strncmp(p, "bytes ", 6) != 0)
                return;
        p += 6;
        if (*p == '*') {
                p++;
        } else {
                first = number(p, &p);
                if (first < 0 || *p++ != '-')
                        return;
                last = number(p, &p);
                if (last < first)
                        return;
        }
        if (*p++ != '/')
                return;
        if (strcmp(p, "*") != 0) {
                total = whole_number(p);
                if (total < 0 || last >= total)
                        return;
        }
        a->range_first = first;
        a->range_last = last;
        a->range_total = total;
}

static void take_text(char *to, size_t size, const char *text)
{
        size_t len = strlen(text);

        for (size_t i = 0; i < len; i++)
                if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                        return;
        if (len < size)
                memcpy(to, text, len + 1);
}

static void take_header(struct object_answer *a, const char *name, const char *value)
{
        const struct {
                const char *name;
                char *to;
                size_t size;
        } texts[] = {
                { "etag", a->etag, sizeof a->etag },
                { "x-amz-meta-chronikput", a->put_id, sizeof a->put_id },
                { "x-goog-meta-chronikput", a->put_id, sizeof a->put_id },
                { "x-ms-meta-chronikput", a->put_id, sizeof a->put_id },
                { "x-amz-meta-chroniksha256", a->sha256, sizeof a->sha256 },
                { "x-goog-meta-chroniksha256", a->sha256, sizeof a->sha256 },
                { "x-ms-meta-chroniksha256", a->sha256, sizeof a->sha256 },
                { "x-ms-error-code", a->code, sizeof a->code },
                { "x-amz-bucket-region", a->region, sizeof a->region },
                { "x-amz-request-id", a->request_id, sizeof a->request_id },
                { "x-ms-request-id", a->request_id, sizeof a->request_id },
                { "x-guploader-uploadid", a->request_id, sizeof a->request_id },
        };
        int64_t v;

        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
                if (!strcasecmp(name, texts[i].name))
                        take_text(texts[i].to, texts[i].size, value);
        if (!strcasecmp(name, "content-length"))
                a->content_len = whole_number(value);
        else if (!strcasecmp(name, "content-range"))
                content_range(a, value);
        else if (!strcasecmp(name, "date"))
                a->date_ms = http_date(value);
        else if (!strcasecmp(name, "last-modified"))
                a->modified_ms = http_date(value);
        else if (!strcasecmp(name, "retry-after") && (v = whole_number(value)) >= 0)
                a->retry_after_ms = MIN2(v, (int64_t)86400) * 1000;
}

void object_answer_header(struct object_answer *a, struct str line)
{
        char text[1024], *colon, *value;

        while (line.len &&
               (line.p[line.len - 1] == '\r' || line.p[line.len - 1] == '\n' || line.p[line.len - 1] == ' '))
                line.len--;
        if (line.len >= sizeof text || memchr(line.p, '\0', line.len))
                return;
        memcpy(text, line.p, line.len);
        text[line.len] = '\0';
        if (!strncmp(text, "HTTP/", 5)) {
                const char *space = strchr(text, ' ');

                object_answer_init(a);
                a->status = space ? strtol(space, NULL, 10) : 0;
                return;
        }
        colon = strchr(text, ':');
        if (!colon)
                return;
        *colon = '\0';
        for (value = colon + 1; *value == ' ' || *value == '\t';)
                value++;
        take_header(a, text, value);
}

/* ---- one element ---- */

struct wanted {
        const char *name;
        char *to;
        size_t size;
        bool found;
};

static int on_element(void *arg, const char *path, struct str text)
{
        struct wanted *w = arg;
        const char *slash = strchr(path, '/');

        /* Below the root, or one deeper (STS has AssumeRoleWithWebIdentityResult/Credentials). */
        if (w->found || !slash)
                return 0;
        slash = strrchr(path, '/');
        if (strcmp(slash + 1, w->name) != 0)
                return 0;
        if (text.len >= w->size)
                return -E2BIG;
        if (memchr(text.p, '\0', text.len))
                return -EBADMSG;
        memcpy(w->to, text.p, text.len);
        w->to[text.len] = '\0';
        w->found = true;
        return 0;
}

int object_answer_element(struct span body, const char *name, char *ret_text, size_t size)
{
        CLEANUP(freep) char *text = malloc(size);
        struct wanted w = { name, text, size, false };
        int r;

        if (!text)
                return -ENOMEM;
        r = object_xml_walk(body, on_element, &w);
        if (r)
                return r;
        if (!w.found)
                return -ENOENT;
        memcpy(ret_text, text, strlen(text) + 1);
        return 0;
}
