#include "chronikd/token_secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/credential.h"
#include "chronikd/node.h"
#include "sys/diag.h"
#include "sys/file.h"

#define CREDENTIAL "chronik.delegation_token_secret"

enum { PATH_SIZE = 1300, WHY_SIZE = 1400 };

static const char *const suffixes[TOKEN_SECRETS] = {
        [TOKEN_SECRET] = "", [TOKEN_SECRET_NEXT] = ".next", [TOKEN_SECRET_BEFORE] = ".before"
};

/* False: nothing says where they would be. */
static bool path_of(const struct conf *conf, enum token_secret which, char path[PATH_SIZE])
{
        char base[CREDENTIAL_PATH_SIZE];

        if (!credential_find(conf->security.delegation_token_secret_file, CREDENTIAL, base))
                return false;
        snprintf(path, PATH_SIZE, "%s%s", base, suffixes[which]);
        return true;
}

static int64_t look_at(const struct conf *conf)
{
        int64_t sum = 0;

        for (int i = 0; i < TOKEN_SECRETS; i++) {
                char path[PATH_SIZE];
                struct file_info info;

                sum *= 31;
                if (path_of(conf, (enum token_secret)i, path) && !file_info(path, &info))
                        sum += info.mtime_ms + info.size + 1;
        }
        return sum;
}

/* Without the end of a line. Return: NULL, or what is wrong. */
static const char *judge(struct str *text)
{
        while (text->len && (text->p[text->len - 1] == '\n' || text->p[text->len - 1] == '\r'))
                text->len--;
        if (text->len < TOKEN_SECRET_LEN_MIN)
                return "it is too short to be a secret; give 16 bytes or more";
        return text->len > TOKEN_SECRET_LEN_MAX ? "it is too long; give 4096 bytes or fewer" : NULL;
}

struct loaded {
        char *text[TOKEN_SECRETS];
        size_t len[TOKEN_SECRETS]; /* as read, for wiping */
        struct span secret[TOKEN_SECRETS];
};

static void loaded_fini(struct loaded *x)
{
        for (int i = 0; i < TOKEN_SECRETS; i++) {
                if (x->text[i])
                        explicit_bzero(x->text[i], x->len[i]);
                free(x->text[i]);
        }
}

/* Return: 0 (also where there is none and need not be), or 1 and @why. */
static int load_one(const struct conf *conf, enum token_secret which, struct loaded *x, char why[WHY_SIZE])
{
        bool must = which == TOKEN_SECRET && *conf->security.delegation_token_secret_file;
        const char *wrong = NULL;
        char path[PATH_SIZE];
        struct str text;
        int r;

        if (!path_of(conf, which, path))
                return 0;
        r = file_read_whole(path, TOKEN_SECRET_LEN_MAX + 2, &x->text[which], &x->len[which]);
        if (r == -ENOENT && !must)
                return 0;
        text = (struct str){ x->text[which], x->len[which] };
        wrong = r == -EFBIG ? "it is too long; give 4096 bytes or fewer" : r ? strerror(-r) : judge(&text);
        if (!wrong) {
                x->secret[which] = span_of(text.p, text.len);
                return 0;
        }
        snprintf(why, WHY_SIZE, "%s: %s", path, wrong);
        return 1;
}

static int load(struct token_secrets *s, char why[WHY_SIZE])
{
        struct loaded x = { 0 };
        int r = 0;

        for (int i = 0; i < TOKEN_SECRETS && !r; i++)
                r = load_one(s->conf, (enum token_secret)i, &x, why);
        if (!r && !x.secret[TOKEN_SECRET].len &&
            (x.secret[TOKEN_SECRET_NEXT].len || x.secret[TOKEN_SECRET_BEFORE].len)) {
                snprintf(why, WHY_SIZE, "a next secret or one from before is there, and the one in use is not");
                r = 1;
        }
        if (!r && token_ring_set(s->ring, x.secret)) {
                snprintf(why, WHY_SIZE, "%s", strerror(ENOMEM));
                r = 1;
        }
        loaded_fini(&x);
        return r;
}

int token_secrets_open(struct token_secrets *s, const struct conf *conf)
{
        char path[PATH_SIZE], why[WHY_SIZE] = "out of memory";

        *s = (struct token_secrets){ .conf = conf, .ring = token_ring_new(), .seen = look_at(conf) };
        s->is_watched = path_of(conf, TOKEN_SECRET, path);
        if (!s->ring || load(s, why))
                return node_fail("cannot read the secret of delegation tokens", why);
        return 0;
}

void token_secrets_look(struct token_secrets *s)
{
        int64_t seen = look_at(s->conf);
        char why[WHY_SIZE];

        if (seen == s->seen)
                return;
        s->seen = seen;
        if (load(s, why))
                diag(DIAG_ERROR,
                     "the changed secrets of delegation tokens are not used, those from before still count: %s", why);
        else
                diag(DIAG_NOTICE, "the secrets of delegation tokens were read again");
}

void token_secrets_close(struct token_secrets *s)
{
        s->ring = token_ring_free(s->ring);
}
