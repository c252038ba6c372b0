/* See audit_keys.h. */
#include "security/audit_keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/diag.h"
#include "sys/file.h"

enum { KEY_LEN_MAX = 16 * 1024, KEY_MODE = 0600, EARLIER_LEN_MAX = AUDIT_KEYS_MAX * AUDIT_KEY_HEX_SIZE };

/* PATH with @suffix behind it; NULL: out of memory. */
static char *path_with(const struct audit_keys *k, const char *suffix)
{
        char *path;

        return asprintf(&path, "%s%s", k->path, suffix) < 0 ? NULL : path;
}

/* ---- one key ---- */

static int key_make(const char *path, struct audit_key **ret)
{
        CLEANUP(strbuf_finip) struct strbuf pem = { 0 };
        CLEANUP(audit_key_freep) struct audit_key *k = NULL;
        int r = audit_key_generate(&k);

        if (!r)
                r = audit_key_write(k, &pem);
        if (!r)
                r = file_create_new(path, KEY_MODE, span_of(pem.data, pem.len));
        if (pem.data)
                explicit_bzero(pem.data, pem.len);
        if (!r)
                r = file_sync_parents(path);
        if (!r)
                *ret = TAKE_PTR(k);
        return r;
}

static int key_read(const char *path, struct audit_key **ret)
{
        char *pem = NULL;
        size_t len = 0;
        int r = file_read_whole(path, KEY_LEN_MAX, &pem, &len);

        if (!r)
                r = audit_key_read(span_of(pem, len), ret);
        if (pem)
                explicit_bzero(pem, len);
        free(pem);
        return r;
}

/* ---- those from before ---- */

static void earlier_add(struct audit_keys *k, const uint8_t key[AUDIT_KEY_LEN])
{
        if (k->earlier_count && !memcmp(k->earlier[k->earlier_count - 1], key, AUDIT_KEY_LEN))
                return;                               /* it was added, and then the node stopped */
        if (k->earlier_count == AUDIT_KEYS_MAX - 1) { /* with the one in use there are as many as are checked */
                memmove(k->earlier[0], k->earlier[1], (AUDIT_KEYS_MAX - 2) * (size_t)AUDIT_KEY_LEN);
                k->earlier_count--;
        }
        memcpy(k->earlier[k->earlier_count++], key, AUDIT_KEY_LEN);
}

static int earlier_read(struct audit_keys *k)
{
        CLEANUP(freep) char *path = path_with(k, ".earlier"), *text = NULL;
        struct str rest;
        size_t len = 0;
        int r = path ? file_read_whole(path, EARLIER_LEN_MAX, &text, &len) : -ENOMEM;

        if (r == -ENOENT)
                return 0;
        for (rest = (struct str){ text, len }; !r && rest.len;) {
                uint8_t key[AUDIT_KEY_LEN];

                if (rest.len < AUDIT_KEY_HEX_SIZE || rest.p[AUDIT_KEY_HEX_SIZE - 1] != '\n' ||
                    !audit_unhex((struct str){ rest.p, AUDIT_KEY_HEX_SIZE - 1 }, key, sizeof key))
                        return -EBADMSG;
                earlier_add(k, key);
                rest = (struct str){ rest.p + AUDIT_KEY_HEX_SIZE, rest.len - AUDIT_KEY_HEX_SIZE };
        }
        return r;
}

static int earlier_write(const struct audit_keys *k)
{
        CLEANUP(freep) char *path = path_with(k, ".earlier");
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        char hex[AUDIT_KEY_HEX_SIZE];

        for (size_t i = 0; i < k->earlier_count; i++) {
                audit_hex(k->earlier[i], AUDIT_KEY_LEN, hex);
                strbuf_printf(&text, "%s\n", hex);
        }
        return !path || text.failed ? -ENOMEM : file_replace(path, span_of(text.data, text.len));
}

/* ---- the next one ---- */

int audit_keys_prepare(struct audit_keys *k)
{
        CLEANUP(freep) char *path = path_with(k, ".next");
        int r;

        assert(!k->next);
        if (!path)
                return -ENOMEM;
        r = file_unlink(path);
        return r && r != -ENOENT ? r : key_make(path, &k->next);
}

void audit_keys_abandon(struct audit_keys *k)
{
        CLEANUP(freep) char *path = path_with(k, ".next");

        if (path)
                (void)file_unlink(path); /* one that stays is looked at, and removed, at the next start */
        k->next = audit_key_free(k->next);
}

/* Put the file of the next key in its place. The earlier one's public key first: without it the node could not check what that signed. */
static int put_in_place(struct audit_keys *k)
{
        CLEANUP(freep) char *path = path_with(k, ".next");
        int r = path ? earlier_write(k) : -ENOMEM;

        if (!r)
                r = file_rename(path, k->path);
        return r ? r : file_sync_parents(k->path);
}

void audit_keys_commit(struct audit_keys *k)
{
        uint8_t before[AUDIT_KEY_LEN];
        int r;

        assert(k->next);
        audit_key_public(k->key, before);
        earlier_add(k, before);
        audit_key_free(k->key);
        k->key = TAKE_PTR(k->next);
        r = put_in_place(k);
        if (r)
                diag(DIAG_ERROR,
                     "the audit log has a new key, and %s.next cannot be put in the place of %s: %s. Leave both: the "
                     "node "
                     "does that at its next start",
                     k->path, k->path, strerror(-r));
}

/* A key that was about to be used when the node stopped: the log says whether it was. */
static int resume_next(struct audit_keys *k, const uint8_t *handed_to)
{
        CLEANUP(freep) char *path = path_with(k, ".next");
        uint8_t public[AUDIT_KEY_LEN];
        int r = path ? key_read(path, &k->next) : -ENOMEM;

        if (r == -ENOENT)
                return 0;
        if (r == -EINVAL) { /* it was not written to its end */
                audit_keys_abandon(k);
                return 0;
        }
        if (r)
                return r;
        audit_key_public(k->next, public);
        if (!handed_to || memcmp(public, handed_to, sizeof public) != 0)
                audit_keys_abandon(k);
        else
                audit_keys_commit(k);
        return 0;
}

/* ---- life ---- */

static void explain(const char *path, int r, char *why, size_t why_size)
{
        if (r == -EINVAL)
                snprintf(
                        why, why_size,
                        "%s is no Ed25519 key in PEM. `openssl genpkey -algorithm ed25519` makes one; when the file is "
                        "absent the node does",
                        path);
        else if (r == -EBADMSG)
                snprintf(why, why_size, "%s.earlier is no list of public keys, 64 digits in a line each", path);
        else
                snprintf(why, why_size, "%s: %s", path, strerror(-r));
}

int audit_keys_open(struct audit_keys *k, const char *path, const uint8_t *handed_to, char *why, size_t why_size)
{
        int r;

        *k = (struct audit_keys){ .path = strdup(path) };
        r = k->path ? key_read(path, &k->key) : -ENOMEM;
        if (r == -ENOENT)
                r = key_make(path, &k->key);
        if (!r)
                r = earlier_read(k);
        if (!r)
                r = resume_next(k, handed_to);
        if (r)
                explain(path, r, why, why_size);
        return r;
}

void audit_keys_fini(struct audit_keys *k)
{
        k->key = audit_key_free(k->key);
        k->next = audit_key_free(k->next);
        free(TAKE_PTR(k->path));
}
