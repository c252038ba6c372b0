#include "chronikd/token_secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/credential.h"
#include "chronikd/node.h"
#include "sys/file.h"

#define CREDENTIAL "chronik.delegation_token_secret"

static int wrong(const char *path, const char *why)
{
        char text[1400];

        snprintf(text, sizeof text, "%.1100s: %s", path, why);
        return node_fail("cannot read the secret of delegation tokens", text);
}

static int take(const char *path, struct str text, struct token_secret *ret)
{
        while (text.len && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\r'))
                text.len--;
        if (text.len < TOKEN_SECRET_LEN_MIN)
                return wrong(path, "it is too short to be a secret; give 16 bytes or more");
        if (text.len > TOKEN_SECRET_LEN_MAX)
                return wrong(path, "it is too long; give 4096 bytes or fewer");
        memcpy(ret->bytes, text.p, text.len);
        ret->len = text.len;
        return 0;
}

int token_secret_read(const struct conf *conf, struct token_secret *ret)
{
        const char *file = conf->security.delegation_token_secret_file;
        CLEANUP(freep) char *text = NULL;
        char path[CREDENTIAL_PATH_SIZE];
        size_t len = 0;
        int r;

        ret->len = 0;
        if (!credential_find(file, CREDENTIAL, path))
                return 0;
        r = file_read_whole(path, TOKEN_SECRET_LEN_MAX + 2, &text, &len);
        if (r)
                return wrong(path, r == -EFBIG ? "it is too long; give 4096 bytes or fewer" : strerror(-r));
        r = take(path, (struct str){ text, len }, ret);
        explicit_bzero(text, len);
        return r;
}
