#include "chronikd/first_user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "chronikd/credential.h"
#include "chronikd/node.h"
#include "sys/clock.h"
#include "sys/file.h"

#define CREDENTIAL "chronik.first_user"

enum { FILE_LEN_MAX = 8192, PASSWORD_LEN_MAX = 4096 };

static int wrong(const char *path, const char *why)
{
        char text[1400];

        snprintf(text, sizeof text, "%.1100s: %s", path, why);
        return node_fail("cannot read the first user", text);
}

static int derive(struct first_user *u, enum scram_mechanism m, struct span password)
{
        struct controller_alter_credential *c = &u->credentials[u->count];
        struct scram_keys *keys = &u->keys[u->count];
        struct span salt = span_of(u->salt, sizeof u->salt);
        uint8_t salted[SCRAM_KEY_LEN_MAX];
        int r = scram_salt_password(m, password, salt, SCRAM_ITERATIONS_MAX, salted);

        if (!r)
                r = scram_derive(m, salted, keys);
        explicit_bzero(salted, sizeof salted);
        if (r)
                return r;
        *c = (struct controller_alter_credential){ .user = str_of(u->name),
                                                   .mechanism = (int8_t)m,
                                                   .iterations = SCRAM_ITERATIONS_MAX,
                                                   .salt = salt,
                                                   .stored_key = span_of(keys->stored, scram_key_len(m)),
                                                   .server_key = span_of(keys->server, scram_key_len(m)),
                                                   .decoy_seed = span_of(u->seed, sizeof u->seed) };
        u->count++;
        return 0;
}

/* "NAME:PASSWORD", maybe with the end of a line behind it. */
static int read_text(const char *path, struct str text, struct first_user *u)
{
        const char *colon;
        struct str name, password;
        int r = 0;

        while (text.len && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
                text.len--;
        colon = text.len ? memchr(text.p, ':', text.len) : NULL;
        if (!colon)
                return wrong(path, "there is no colon in it; give NAME:PASSWORD");
        name = (struct str){ text.p, (size_t)(colon - text.p) };
        password = (struct str){ colon + 1, text.len - name.len - 1 };
        if (!name.len || name.len >= sizeof u->name || !utf8_is_valid(name) || memchr(name.p, '\0', name.len))
                return wrong(path, "what stands before the colon is no name; give NAME:PASSWORD");
        if (!password.len || password.len > PASSWORD_LEN_MAX || memchr(password.p, '\n', password.len) ||
            memchr(password.p, '\0', password.len))
                return wrong(path, "what stands behind the colon is no password of one line; give NAME:PASSWORD");
        memcpy(u->name, name.p, name.len);
        random_bytes(u->salt, sizeof u->salt);
        random_bytes(u->seed, sizeof u->seed);
        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; !r && m < SCRAM_MECHANISM_END; m++)
                r = derive(u, m, span_of(password.p, password.len));
        return r ? wrong(path, strerror(-r)) : 0;
}

int first_user_read(const struct conf *conf, bool is_new, struct first_user *ret)
{
        CLEANUP(freep) char *text = NULL;
        char path[CREDENTIAL_PATH_SIZE];
        size_t len = 0;
        int r;

        *ret = (struct first_user){ 0 };
        if (!credential_find(conf->cluster.first_user_file, CREDENTIAL, path))
                return 0;
        r = file_read_whole(path, FILE_LEN_MAX, &text, &len);
        if (r == -ENOENT && !is_new) /* who has been made is not needed any more */
                return 0;
        if (r)
                return wrong(path, r == -EFBIG ? "it is too long; give NAME:PASSWORD" : strerror(-r));
        r = read_text(path, (struct str){ text, len }, ret);
        explicit_bzero(text, len);
        return r;
}
