/* See audit_log.h.
 *
 * A batch is one write and one sync. When either fails the file is cut back to where it was, and the chain stays there too: the
 * entries of the batch are sealed anew when it is tried again. The head is replaced after a checkpoint is on stable storage, never before:
 * a head that is behind says less than it could, one that is ahead would accuse a log that a crash has shortened. */
#include "security/audit_log.h"

#include <errno.h>
#include <stdio.h>

#include "sys/diag.h"
#include "sys/file.h"

struct audit_log {
        char dir[AUDIT_PATH_SIZE - 64];
        struct audit_log_config cfg; /* without its texts */
        struct audit_keys keys;
        struct audit_chain chain;
        int fd; /* of the newest file */
        int64_t pos;
        uint64_t *files; /* by their first entries */
        size_t files_count;
        int64_t torn_bytes;   /* removed at the start */
        bool broken;          /* the newest file cannot be gone on with */
        bool has_handed_over; /* the newest file has a hand-over: */
        uint8_t handed_to[AUDIT_KEY_LEN];
};

/* ---- start ---- */

static int take_line(void *arg, struct str text)
{
        struct audit_log *l = arg;
        struct audit_line line;

        if (!audit_line_read(text, &line)) {
                l->broken = true;
                return 1;
        }
        l->chain.seq = line.seq;
        memcpy(l->chain.hash, line.hash, AUDIT_HASH_LEN);
        l->pos += (int64_t)text.len + 1;
        if (line.is_handover) {
                l->has_handed_over = true;
                memcpy(l->handed_to, line.next_key, AUDIT_KEY_LEN);
        }
        return 0;
}

/* What the newest file says: where the chain goes on, and what was not written to its end. Whether it is all true is for who verifies
 * it: an entry that was changed is no reason not to write the next. */
static int resume_file(struct audit_log *l)
{
        char path[AUDIT_PATH_SIZE];
        int r;

        audit_folder_file(l->dir, l->files[l->files_count - 1], path);
        r = audit_file_each(path, take_line, l, &l->torn_bytes);
        if (r == -EFBIG) {
                l->broken = true;
                r = 0;
        }
        if (r < 0)
                return r;
        if (l->broken)
                return 0;
        l->fd = file_open(path, O_RDWR);
        return l->fd < 0 ? l->fd : file_truncate(l->fd, l->pos);
}

/* The log may have been cut while nobody wrote it. Its numbers go on behind what was there, so that the gap stays. */
static void resume_head(struct audit_log *l)
{
        enum audit_fault fault;
        struct audit_head head;
        int r = audit_folder_head(l->dir, &head, &fault);

        if (r && (r != -ENOENT || l->files_count))
                diag_about(
                        DIAG_ERROR, DIAG_ABOUT(AUDIT_CUT, { "PATH", .text = str_of(l->dir) }),
                        "the audit log in %s: its head cannot be read, or is not signed by who it says. `chronik-ctl "
                        "audit "
                        "verify` says what is left; this node goes on behind it",
                        l->dir);
        if (r || head.last <= l->chain.seq)
                return;
        diag_about(
                DIAG_ERROR, DIAG_ABOUT(AUDIT_CUT, { "PATH", .text = str_of(l->dir) }),
                "the audit log in %s ends with entry %llu, and there was an entry %llu: its end was removed. This node "
                "goes on "
                "behind the gap",
                l->dir, (unsigned long long)l->chain.seq, (unsigned long long)head.last);
        l->chain.seq = head.last;
        memcpy(l->chain.hash, head.hash, AUDIT_HASH_LEN);
        l->broken = true;
}

static int resume(struct audit_log *l)
{
        int r = file_mkdirs(l->dir);

        if (!r)
                r = file_sync_parents(l->dir);
        if (!r)
                r = audit_folder_list(l->dir, &l->files, &l->files_count);
        if (!r && l->files_count)
                r = resume_file(l);
        if (r)
                return r;
        resume_head(l);
        if (l->broken && l->files_count)
                l->chain.seq = MAX2(l->chain.seq, l->files[l->files_count - 1]); /* each file has another name */
        return 0;
}

static int say_start(struct audit_log *l)
{
        CLEANUP(strbuf_finip) struct strbuf members = { 0 };
        struct str one;

        audit_start_write(clock_wall_ms(), l->cfg.node, l->torn_bytes, &members);
        if (members.failed)
                return -ENOMEM;
        one = (struct str){ members.data, members.len };
        return audit_log_write(l, &(struct audit_batch){ .members = &one, .count = 1, .checkpoint = true });
}

int audit_log_open(const struct audit_log_config *cfg, struct audit_log **ret_log, char *why, size_t why_size)
{
        struct audit_log *l = calloc(1, sizeof *l);
        int r;

        snprintf(why, why_size, "out of memory");
        if (!l)
                return -ENOMEM;
        l->fd = -1;
        l->cfg = *cfg;
        l->cfg.dir = l->cfg.key_file = NULL;
        snprintf(l->dir, sizeof l->dir, "%s", cfg->dir);
        r = resume(l);
        if (r)
                snprintf(why, why_size, "%s: %s", cfg->dir, strerror(-r));
        else
                r = audit_keys_open(&l->keys, cfg->key_file, l->has_handed_over ? l->handed_to : NULL, why, why_size);
        if (!r) {
                r = say_start(l);
                if (r)
                        snprintf(why, why_size, "cannot write to %s: %s", cfg->dir, strerror(-r));
        }
        if (r) {
                audit_log_close(l);
                return r;
        }
        *ret_log = l;
        return 0;
}

struct audit_log *audit_log_close(struct audit_log *l)
{
        if (!l)
                return NULL;
        file_close(l->fd);
        audit_keys_fini(&l->keys);
        free(l->files);
        free(l);
        return NULL;
}

/* ---- writing ---- */

/* Seal all of @b behind @chain. */
static int seal(const struct audit_log *l, const struct audit_batch *b, struct audit_chain *chain, struct strbuf *out)
{
        CLEANUP(strbuf_finip) struct strbuf dropped = { 0 };
        int r = 0;

        if (b->dropped) {
                audit_dropped_write(clock_wall_ms(), l->cfg.node, b->dropped, &dropped);
                r = dropped.failed ? -ENOMEM : audit_chain_add(chain, (struct str){ dropped.data, dropped.len }, out);
        }
        for (size_t i = 0; i < b->count && !r; i++)
                r = audit_chain_add(chain, b->members[i], out);
        if (!r && b->rotate)
                r = audit_chain_handover(chain, l->keys.key, l->keys.next, clock_wall_ms(), l->cfg.node, out);
        if (!r && (b->checkpoint || b->rotate))
                r = audit_chain_checkpoint(chain, b->rotate ? l->keys.next : l->keys.key, clock_wall_ms(), l->cfg.node,
                                           out);
        return r;
}

static int write_head(const struct audit_log *l)
{
        CLEANUP(strbuf_finip) struct strbuf head = { 0 };
        char path[AUDIT_PATH_SIZE];
        int r = audit_head_write(&l->chain, l->files[0], l->keys.key, l->cfg.node, &head);

        snprintf(path, sizeof path, "%s/head", l->dir);
        return r ? r : file_replace(path, span_of(head.data, head.len));
}

/* Older files go when the head no longer asks for them. */
static void remove_oldest(struct audit_log *l)
{
        char path[AUDIT_PATH_SIZE];
        size_t gone = l->files_count > l->cfg.files_max ? l->files_count - l->cfg.files_max : 0;
        CLEANUP(freep) uint64_t *old = NULL;

        if (!gone)
                return;
        old = malloc(gone * sizeof *old);
        if (!old)
                return;
        memcpy(old, l->files, gone * sizeof *old);
        memmove(l->files, l->files + gone, (l->files_count - gone) * sizeof *l->files);
        l->files_count -= gone;
        if (write_head(l)) {
                diag_limited(DIAG_ERROR, "the audit log in %s: its head cannot be written; old files stay", l->dir);
                memmove(l->files + gone, l->files, l->files_count * sizeof *l->files);
                memcpy(l->files, old, gone * sizeof *old);
                l->files_count += gone;
                return;
        }
        for (size_t i = 0; i < gone; i++) {
                audit_folder_file(l->dir, old[i], path);
                (void)file_unlink(path); /* one that stays is listed at the next start, and goes then */
        }
}

static int write_at(int fd, int64_t pos, const struct strbuf *out)
{
        int r = file_pwrite_all(fd, out->data, out->len, pos);

        return r ? r : file_sync(fd);
}

/* A new file with what is in @out, whose first entry is @first. */
static int write_new(struct audit_log *l, uint64_t first, const struct strbuf *out)
{
        uint64_t *files = realloc(l->files, (l->files_count + 1) * sizeof *files);
        char path[AUDIT_PATH_SIZE];
        int fd, r;

        if (!files)
                return -ENOMEM;
        l->files = files;
        audit_folder_file(l->dir, first, path);
        fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);
        if (fd < 0)
                return fd;
        r = write_at(fd, 0, out);
        if (!r)
                r = file_sync_dir(l->dir);
        if (r) {
                file_close(fd);
                (void)file_unlink(path); /* it is written over when this is tried again */
                return r;
        }
        file_close(l->fd);
        l->fd = fd;
        l->pos = 0;
        l->files[l->files_count++] = first;
        l->broken = false;
        return 0;
}

static void tell(const struct audit_batch *b, const struct strbuf *out)
{
        struct str rest = { out->data, out->len };

        while (b->written && rest.len) {
                const char *end = memchr(rest.p, '\n', rest.len);
                size_t len = (size_t)(end - rest.p);

                b->written(b->arg, (struct str){ rest.p, len });
                rest = (struct str){ end + 1, rest.len - len - 1 };
        }
}

static int write_batch(struct audit_log *l, const struct audit_batch *b, bool *ret_fresh)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct audit_chain chain = l->chain;
        bool fresh = l->fd < 0 || l->broken;
        int r = fresh ? 0 : seal(l, b, &chain, &out);

        if (!r && (fresh || (l->pos && l->pos + (int64_t)out.len > l->cfg.file_bytes))) {
                strbuf_fini(&out);
                fresh = true;
                chain = l->chain;
                r = audit_chain_checkpoint(&chain, l->keys.key, clock_wall_ms(), l->cfg.node, &out);
                if (!r)
                        r = seal(l, b, &chain, &out);
        }
        if (r)
                return r;
        r = fresh ? write_new(l, l->chain.seq + 1, &out) : write_at(l->fd, l->pos, &out);
        if (r) {
                if (!fresh && file_truncate(l->fd, l->pos))
                        l->broken = true; /* what may be left behind the end is not gone on with */
                return r;
        }
        l->pos += (int64_t)out.len;
        l->chain = chain;
        *ret_fresh = fresh;
        tell(b, &out);
        return 0;
}

int audit_log_write(struct audit_log *l, const struct audit_batch *b)
{
        bool fresh;
        int r = write_batch(l, b, &fresh);

        if (r && b->rotate)
                audit_keys_abandon(&l->keys);
        if (r)
                return r;
        if (b->rotate)
                audit_keys_commit(&l->keys);
        if (b->checkpoint || b->rotate || fresh) {
                if (write_head(l))
                        diag_limited(
                                DIAG_ERROR,
                                "the audit log in %s: its head cannot be written: a missing end would not be found",
                                l->dir);
                remove_oldest(l);
        }
        return 0;
}

int audit_log_prepare_key(struct audit_log *l)
{
        return audit_keys_prepare(&l->keys);
}

size_t audit_log_public_keys(const struct audit_log *l, uint8_t ret_keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN])
{
        const struct audit_keys *k = &l->keys;

        memcpy(ret_keys, k->earlier, k->earlier_count * sizeof k->earlier[0]);
        audit_key_public(k->key, ret_keys[k->earlier_count]);
        return k->earlier_count + 1;
}

uint64_t audit_log_last(const struct audit_log *l)
{
        return l->chain.seq;
}
