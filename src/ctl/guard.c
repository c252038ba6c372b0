/* node guard: keep this machine from being shut down while the drain guard says no. Runs until it is ended; systemd/chronik-guard.service. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/systemd.h"

enum { LOOK_MS = 5000, WHY_SIZE = 400 };

struct guard {
        int lock; /* -1: none */
        char why[WHY_SIZE];
};

static void let_go(struct guard *g)
{
        if (g->lock >= 0)
                fprintf(stderr, "chronik-ctl: nothing speaks against a shutdown any more\n");
        g->lock = file_close(g->lock);
        g->why[0] = '\0';
}

/* Return: CTL_OK; CTL_FAILED when there is no lock to be had, which has been told. */
static int hold(struct guard *g, const char *why)
{
        char text[WHY_SIZE], error[256];
        int r, lock;

        snprintf(text, sizeof text, "the node must not stop now: %s", why);
        text_clean(text);
        if (!strcmp(text, g->why))
                return CTL_OK;
        r = systemd_inhibit_shutdown("chronikd", text, &lock, error);
        if (r) {
                fprintf(stderr, "chronik-ctl: systemd-logind gives no lock: %s\n", error);
                return CTL_FAILED;
        }
        file_close(g->lock); /* the one with the words from before */
        g->lock = lock;
        memcpy(g->why, text, sizeof g->why);
        fprintf(stderr, "chronik-ctl: %s\n", text);
        return CTL_OK;
}

static int may_stop(const struct ctl *c, json_t **ret)
{
        json_t *health;
        char path[64];
        int status = ctl_ask(c, "GET", "/v1/here/health", NULL, &health);

        if (status)
                return status;
        snprintf(path, sizeof path, "/v1/nodes/%" JSON_INTEGER_FORMAT "/may-stop", number_of(health, "id"));
        json_decref(health);
        return ctl_ask(c, "GET", path, NULL, ret);
}

int node_guard(struct ctl *c, const char *arg)
{
        struct guard g = { .lock = -1 };
        int status = CTL_OK;

        (void)arg;
        systemd_ready("looking");
        while (!status) {
                json_t *answer = NULL;
                const char *why;

                status = may_stop(c, &answer);
                if (status == CTL_UNREACHABLE ||
                    status == CTL_FAILED) { /* a node that does not run takes nothing away */
                        let_go(&g);
                        status = CTL_OK;
                } else if (!status && is_true(answer, "safe")) {
                        let_go(&g);
                } else if (!status) {
                        why = json_string_value(json_object_get(answer, "why"));
                        status = hold(&g, why ? why : "?");
                }
                systemd_status("%s", g.lock < 0 ? "nothing speaks against a shutdown" : g.why);
                json_decref(answer);
                if (!status)
                        clock_sleep_ms(LOOK_MS);
        }
        return status;
}
