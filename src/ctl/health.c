/* node health: has the node that is asked come back? With --wait it is the gate of systemd/chronik-health.service: what is the node's
 * own fault fails, what others have to do first is waited for. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "sys/clock.h"

enum { POLL_MS = 1000 };

struct gate {
        const struct ctl *c;
        int64_t since_ms; /* since when nothing has moved for which the node could */
        json_int_t progress;
        char said[300];
};

static bool is(const json_t *answer, const char *state)
{
        const char *is = json_string_value(json_object_get(answer, "state"));

        return is && !strcmp(is, state);
}

/* In the journal: each state once. */
static void say(struct gate *g, const json_t *answer)
{
        const char *state = json_string_value(json_object_get(answer, "state")),
                   *why = json_string_value(json_object_get(answer, "why"));
        char text[300];

        snprintf(text, sizeof text, "%s: %s", state ? state : "?", why ? why : "?");
        text_clean(text);
        if (!strcmp(text, g->said))
                return;
        memcpy(g->said, text, sizeof g->said);
        fprintf(stderr, "chronik-ctl: node %" JSON_INTEGER_FORMAT " is %s\n", number_of(answer, "id"), text);
}

/* Is it time to give up? @answer: NULL when the node does not answer. */
static bool is_over(struct gate *g, const json_t *answer)
{
        int64_t now_ms = clock_mono_ms();
        json_int_t progress = answer ? number_of(answer, "progress") : g->progress;

        if (answer && is(answer, "broken"))
                return true;
        if ((answer && is(answer, "waiting")) || progress != g->progress)
                g->since_ms = now_ms;
        g->progress = progress;
        return g->c->timeout_ms && now_ms - g->since_ms >= g->c->timeout_ms;
}

static int look(struct gate *g, json_t **ret)
{
        *ret = NULL;
        return ctl_ask(g->c, "GET", "/v1/here/health", NULL, ret);
}

static int wait_for(struct gate *g, json_t **ret)
{
        for (;;) {
                int status = look(g, ret);

                if (status != CTL_OK && status != CTL_UNREACHABLE)
                        return status;
                if (*ret && is(*ret, "ok"))
                        return CTL_OK;
                if (*ret)
                        say(g, *ret);
                if (is_over(g, *ret))
                        return *ret ? CTL_OK : status;
                json_decref(*ret);
                clock_sleep_ms(POLL_MS);
        }
}

int node_health(struct ctl *c, const char *arg)
{
        struct gate g = { .c = c, .since_ms = clock_mono_ms(), .progress = -1 };
        json_t *answer;
        int status = c->wait ? wait_for(&g, &answer) : look(&g, &answer);
        bool ok;

        (void)arg;
        if (status)
                return status;
        ok = is(answer, "ok");
        if (c->json)
                print_json(answer);
        else if (ok)
                printf("node %" JSON_INTEGER_FORMAT " is ok: in sync, and up with the controllers\n",
                       number_of(answer, "id"));
        else if (c->wait)
                fprintf(stderr, "chronik-ctl: node %" JSON_INTEGER_FORMAT " does not come back\n",
                        number_of(answer, "id"));
        else
                say(&g, answer);
        json_decref(answer);
        return ok ? CTL_OK : CTL_FAILED;
}
