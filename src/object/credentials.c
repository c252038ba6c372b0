#include "object/credentials.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "sys/file.h"

enum { FILE_LEN_MAX = 64 << 10 };

/* Names in files, and of the environment. */
static const struct {
        const char *name;
        size_t at, size;
} fields[] = {
#define FIELD(name, member) \
        { \
                name, offsetof(struct object_credentials, member), sizeof((struct object_credentials *)0)->member \
        }
        FIELD("aws_access_key_id", access_key),
        FIELD("aws_secret_access_key", secret_key),
        FIELD("aws_session_token", token),
        FIELD("access_key_id", access_key),
        FIELD("secret_access_key", secret_key),
        FIELD("session_token", token),
        FIELD("account", access_key),
        FIELD("key", secret_key),
        FIELD("sas", token),
#undef FIELD
};

static struct str trim(struct str s)
{
        while (s.len && isspace((unsigned char)s.p[0])) {
                s.p++;
                s.len--;
        }
        while (s.len && isspace((unsigned char)s.p[s.len - 1]))
                s.len--;
        return s;
}

static int take_line(struct str line, struct object_credentials *c)
{
        const char *equals = memchr(line.p, '=', line.len);
        struct str name, value;

        if (!equals)
                return 0;
        name = trim((struct str){ line.p, (size_t)(equals - line.p) });
        value = trim((struct str){ equals + 1, line.len - (size_t)(equals + 1 - line.p) });
        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
                if (!str_equal_c(name, fields[i].name))
                        continue;
                if (value.len >= fields[i].size || memchr(value.p, '\0', value.len))
                        return -EINVAL;
                memcpy((char *)c + fields[i].at, value.p, value.len);
                ((char *)c + fields[i].at)[value.len] = '\0';
        }
        return 0;
}

static bool is_complete(const struct object_credentials *c)
{
        return (*c->access_key && *c->secret_key) || *c->token;
}

int object_credentials_parse(struct str text, const char *profile, struct object_credentials *ret_credentials)
{
        struct object_credentials c = { 0 };
        bool ours = !profile;

        profile = profile ? profile : "default";
        while (text.len) {
                const char *end = memchr(text.p, '\n', text.len);
                size_t len = end ? (size_t)(end - text.p) : text.len;
                struct str line = trim((struct str){ text.p, len });

                text.p += len + !!end;
                text.len -= len + !!end;
                if (line.len >= 2 && line.p[0] == '[') {
                        struct str name = trim((struct str){ line.p + 1, line.len - 2 });

                        ours = line.p[line.len - 1] == ']' && str_equal_c(name, profile);
                } else if (ours && line.len && line.p[0] != '#' && line.p[0] != ';' && take_line(line, &c)) {
                        return -EINVAL;
                }
        }
        if (!is_complete(&c))
                return -ENOENT;
        *ret_credentials = c;
        return 0;
}

void object_credentials_path(const struct object_config *c, char *ret_path, size_t size)
{
        const char *folder = getenv("CREDENTIALS_DIRECTORY");

        ret_path[0] = '\0';
        if (!c->credentials_file)
                return;
        if (c->source == OBJECT_FROM_FILE || c->source == OBJECT_FROM_ACCOUNT)
                snprintf(ret_path, size, "%s", c->credentials_file);
        else if (c->source == OBJECT_FROM_SYSTEMD && folder)
                snprintf(ret_path, size, "%s/%s", folder, c->credentials_file);
}

static int read_file(const struct object_config *c, struct object_credentials *ret_credentials, char *why)
{
        CLEANUP(freep) char *text = NULL;
        char path[4096];
        size_t len;
        int r;

        object_credentials_path(c, path, sizeof path);
        if (!*path) {
                snprintf(
                        why, OBJECT_TEXT_SIZE, "%s",
                        !c->credentials_file
                                ? "no file of credentials is configured"
                                : "$CREDENTIALS_DIRECTORY is not set: systemd passed no credentials (LoadCredential=)");
                return OBJECT_BAD_CONFIG;
        }
        r = file_read_whole(path, FILE_LEN_MAX, &text, &len);
        if (r) {
                snprintf(why, OBJECT_TEXT_SIZE, "the credentials in '%.300s': %s", path, strerror(-r));
                return OBJECT_BAD_CREDENTIALS;
        }
        r = object_credentials_parse((struct str){ text, len }, c->profile, ret_credentials);
        explicit_bzero(text, len);
        if (!r)
                return 0;
        snprintf(why, OBJECT_TEXT_SIZE, "the credentials in '%.300s': %s '%s'", path,
                 r == -EINVAL ? "a value is too long in profile" : "no key and secret in profile",
                 c->profile ? c->profile : "default");
        return OBJECT_BAD_CREDENTIALS;
}

static int take(char *to, size_t size, const char *value)
{
        size_t len = value ? strlen(value) : 0;

        if (len >= size)
                return -EINVAL;
        memcpy(to, value ? value : "", len);
        to[len] = '\0';
        return 0;
}

static int take_three(struct object_credentials *to, const char *access_key, const char *secret_key, const char *token,
                      const char *whence, char *why)
{
        struct object_credentials c = { 0 };

        if (take(c.access_key, sizeof c.access_key, access_key) ||
            take(c.secret_key, sizeof c.secret_key, secret_key) || take(c.token, sizeof c.token, token)) {
                snprintf(why, OBJECT_TEXT_SIZE, "the credentials of %s are too long", whence);
                return OBJECT_BAD_CREDENTIALS;
        }
        if (!is_complete(&c)) {
                snprintf(why, OBJECT_TEXT_SIZE, "%s has no credentials: key and secret, or a token, are needed",
                         whence);
                return OBJECT_BAD_CREDENTIALS;
        }
        *to = c;
        return 0;
}

int object_credentials_read(const struct object_config *c, struct object_credentials *ret_credentials, char *ret_why)
{
        bool azure = c->kind == OBJECT_AZURE;

        switch (c->source) {
        case OBJECT_FROM_TEXT:
                return take_three(ret_credentials, c->access_key, c->secret_key, azure ? c->sas : c->session_token,
                                  "the configuration", ret_why);
        case OBJECT_FROM_ENV:
                if (azure)
                        return take_three(ret_credentials, getenv("AZURE_STORAGE_ACCOUNT"), getenv("AZURE_STORAGE_KEY"),
                                          getenv("AZURE_STORAGE_SAS_TOKEN"),
                                          "the environment (AZURE_STORAGE_ACCOUNT...)", ret_why);
                if (c->kind == OBJECT_GOOGLE)
                        return take_three(ret_credentials, getenv("GS_ACCESS_KEY_ID"), getenv("GS_SECRET_ACCESS_KEY"),
                                          NULL, "the environment (GS_ACCESS_KEY_ID...)", ret_why);
                return take_three(ret_credentials, getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"),
                                  getenv("AWS_SESSION_TOKEN"), "the environment (AWS_ACCESS_KEY_ID...)", ret_why);
        case OBJECT_FROM_FILE:
        case OBJECT_FROM_SYSTEMD:
                return read_file(c, ret_credentials, ret_why);
        default:
                snprintf(ret_why, OBJECT_TEXT_SIZE, "these credentials are not read but asked for");
                return OBJECT_BAD_CONFIG;
        }
}
