/* The secret of delegation tokens, as files: token-secret add, switch, finish. Nodes make tokens with FILE, and take those of FILE.next and
 * FILE.before as well, so that at each step it does not matter which nodes have come to it.
 *
 *    FILE: old                         --add-->
 *    FILE: old  FILE.next: new         (now to every node)   --switch, on each node-->
 *    FILE: new  FILE.before: old       (until the tokens of the old one have ended)   --finish-->
 *    FILE: new */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "ctl/ctl.h"
#include "security/token.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { SECRET_LEN = 48 };

struct paths {
        char file[1200], next[1220], before[1220];
};

static struct paths paths_of(const char *file)
{
        struct paths p;

        snprintf(p.file, sizeof p.file, "%s", file);
        snprintf(p.next, sizeof p.next, "%s.next", p.file);
        snprintf(p.before, sizeof p.before, "%s.before", p.file);
        return p;
}

static int refuse(const char *path, const char *why)
{
        fprintf(stderr, "chronik-ctl: %s: %s\n", path, why);
        return CTL_FAILED;
}

static bool is_there(const char *path)
{
        struct file_info info;

        return !file_info(path, &info);
}

static int put_new(const char *path)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        uint8_t chance[SECRET_LEN];
        int r;

        random_bytes(chance, sizeof chance);
        base64_add(&text, span_of(chance, sizeof chance));
        strbuf_add_c(&text, "\n");
        explicit_bzero(chance, sizeof chance);
        r = text.failed ? -ENOMEM : ctl_file_put(path, span_of(text.data, text.len), 0600);
        if (text.data)
                explicit_bzero(text.data, text.len);
        return r;
}

int token_secret_add(struct ctl *c, const char *file)
{
        struct paths p = paths_of(file);
        int r;

        (void)c;
        if (!is_there(p.file))
                return refuse(p.file,
                              "there is no secret that could be replaced; for a first one: openssl rand -base64 48");
        if (is_there(p.next))
                return refuse(p.next, "the next secret is there already; `chronik-ctl token-secret switch` takes it");
        if (is_there(p.before))
                return refuse(p.before,
                              "the secret from before is still there; `chronik-ctl token-secret finish` first");
        r = put_new(p.next);
        if (r)
                return refuse(p.next, strerror(-r));
        printf("%s is the next secret. Give it to every node beside the one in use, readable by the service only; "
               "after ten seconds\n\n"
               "chronik-ctl token-secret switch %s\n\non each node.\n",
               p.next, p.file);
        return CTL_OK;
}

/* The one in use is copied before the next takes its place: whatever stops this, no secret is lost. */
static int switch_files(const struct paths *p)
{
        char *text = NULL;
        size_t len = 0;
        int r = file_read_whole(p->file, TOKEN_SECRET_LEN_MAX + 2, &text, &len);

        if (!r)
                r = ctl_file_put(p->before, span_of(text, len), 0600);
        if (text)
                explicit_bzero(text, len);
        free(text);
        if (!r)
                r = file_rename(p->next, p->file);
        return r ? r : file_sync_parents(p->file);
}

int token_secret_switch(struct ctl *c, const char *file)
{
        struct paths p = paths_of(file);
        int r;

        (void)c;
        if (!is_there(p.next))
                return refuse(p.next, "there is no next secret; `chronik-ctl token-secret add` makes one");
        r = switch_files(&p);
        if (r)
                return refuse(p.file, strerror(-r));
        printf("tokens are made with the new secret within ten seconds, and those of %s are still good. When all of "
               "those have ended "
               "(security.delegation_token_max_lifetime_ms, a week):\n\nchronik-ctl token-secret finish %s\n\non each "
               "node.\n",
               p.before, p.file);
        return CTL_OK;
}

int token_secret_finish(struct ctl *c, const char *file)
{
        struct paths p = paths_of(file);
        int r;

        (void)c;
        if (!is_there(p.before))
                return refuse(p.before, "there is no secret from before: nothing to finish");
        r = file_unlink(p.before);
        if (!r)
                r = file_sync_parents(p.before);
        if (r)
                return refuse(p.before, strerror(-r));
        printf("%s has gone: its tokens let nobody in any more within ten seconds\n", p.before);
        return CTL_OK;
}
