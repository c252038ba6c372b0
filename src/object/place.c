/* Where a bucket is: endpoint, style and name become an origin and a path. */
#include <stdio.h>

#include "object/internal.h"

static const char *default_endpoint(struct object_store *s)
{
        if (s->c.kind == OBJECT_GOOGLE)
                return "https://storage.googleapis.com";
        if (s->c.kind == OBJECT_S3)
                return arena_printf(&s->arena, "https://s3.%s.amazonaws.com", s->place.region).p;
        if (!*s->keys.now.access_key)
                return NULL;
        return arena_printf(&s->arena, "https://%s.blob.core.windows.net", s->keys.now.access_key).p;
}

static bool is_loopback(struct str host)
{
        return (host.len >= 4 && !memcmp(host.p, "127.", 4)) || (host.len >= 9 && !memcmp(host.p, "localhost", 9)) ||
               (host.len >= 5 && !memcmp(host.p, "[::1]", 5));
}

/* Who reads along could use it: with these the secret itself is sent, and not a signature. */
static bool sends_secret(const struct object_store *s)
{
        return s->c.source == OBJECT_FROM_ACCOUNT || (s->c.kind == OBJECT_AZURE && *s->keys.now.token);
}

struct endpoint {
        const char *scheme; /* with "://" */
        struct str host;    /* and port */
        struct str path;    /* without slashes at its ends */
};

static const char *read_endpoint(const struct object_store *s, const char *text, struct endpoint *ret)
{
        size_t scheme_len = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;
        struct str rest = str_of(text + scheme_len);
        const char *slash;

        if (!scheme_len)
                return "an endpoint begins with https:// (or http://)";
        for (size_t i = 0; i < rest.len; i++)
                if ((unsigned char)rest.p[i] <= ' ' || strchr("?#@\\", rest.p[i]))
                        return "an endpoint is a scheme, a host and perhaps a port, and nothing else";
        while (rest.len && rest.p[rest.len - 1] == '/')
                rest.len--;
        slash = memchr(rest.p, '/', rest.len);
        ret->scheme = scheme_len == 8 ? "https://" : "http://";
        ret->host = (struct str){ rest.p, slash ? (size_t)(slash - rest.p) : rest.len };
        ret->path = slash ? (struct str){ slash + 1, rest.len - ret->host.len - 1 } : (struct str){ "", 0 };
        if (!ret->host.len)
                return "an endpoint names a host";
        if (ret->path.len && s->c.kind != OBJECT_AZURE)
                return "an endpoint has no path";
        if (scheme_len == 7 && sends_secret(s) && !is_loopback(ret->host))
                return "with these credentials the endpoint must be https: everybody on the way could use them";
        return NULL;
}

int object_place_init(struct object_store *s, char *ret_why)
{
        static const struct object_provider *const providers[] = {
                [OBJECT_S3] = &object_provider_s3,
                [OBJECT_GOOGLE] = &object_provider_google,
                [OBJECT_AZURE] = &object_provider_azure,
        };
        struct object_place *p = &s->place;
        struct endpoint e;
        const char *text, *wrong;

        p->provider = providers[s->c.kind];
        p->bearer = s->c.source == OBJECT_FROM_ACCOUNT;
        p->bucket = s->c.bucket;
        p->region = s->c.region ? s->c.region : s->c.kind == OBJECT_GOOGLE ? "auto" : "us-east-1";
        text = s->c.endpoint ? s->c.endpoint : default_endpoint(s);
        wrong = text ? read_endpoint(s, text, &e) : "neither an endpoint nor an account is configured";
        if (wrong) {
                snprintf(ret_why, OBJECT_TEXT_SIZE, "%s%s%s", text ? text : "", text ? ": " : "", wrong);
                return OBJECT_BAD_CONFIG;
        }
        if (s->c.kind == OBJECT_S3 && !s->c.path_style) {
                p->origin = arena_printf(&s->arena, "%s%s.%.*s", e.scheme, s->c.bucket, STR_FMT(e.host)).p;
                p->base = "/";
        } else {
                p->origin = arena_printf(&s->arena, "%s%.*s", e.scheme, STR_FMT(e.host)).p;
                p->base = arena_printf(&s->arena, "/%.*s%s%s/", STR_FMT(e.path), e.path.len ? "/" : "", s->c.bucket).p;
        }
        return p->origin && p->base ? 0 : -ENOMEM;
}
