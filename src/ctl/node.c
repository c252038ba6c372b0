/* Commands about nodes: what they are at, and taking work from them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "sys/clock.h"

enum { POLL_MS = 500 };

/* ---- looking ---- */

static const char *roles_of(const json_t *node)
{
        json_t *roles = json_object_get(node, "roles"), *role;
        static char text[64];
        size_t i, len = 0;

        text[0] = '\0';
        json_array_foreach (roles, i, role)
                if (len < sizeof text - 1)
                        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? "," : "",
                                                json_string_value(role));
        return len ? text : "-";
}

/* Where clients reach it; where other nodes do, when clients do not. */
static const char *address_of(const json_t *node)
{
        static char text[300];

        if (!number_of(node, "port"))
                return text_of(node, "peer_address");
        snprintf(text, sizeof text, "%s:%" JSON_INTEGER_FORMAT, text_of(node, "host"), number_of(node, "port"));
        return text;
}

/* One that is fenced may be drained or leaving as well. */
static const char *state_of(const json_t *node)
{
        const char *state = text_of(node, "state"), *duty = text_of(node, "duty");
        static char text[64];

        if (strcmp(state, "fenced") != 0 || !strcmp(duty, "-") || !strcmp(duty, "none"))
                return state;
        snprintf(text, sizeof text, "%s, %s", state, duty);
        return text;
}

void node_table(json_t *nodes)
{
        static const char *const titles[] = { "NODE>",    "ROLES",     "ADDRESS", "RACK",       "STATE",
                                              "LEADERS>", "REPLICAS>", "BEHIND>", "DISK FREE>", "METADATA LAG>" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        char size[32];
        json_t *node;
        size_t i;

        json_array_foreach (nodes, i, node) {
                cell_number(t, node, "id");
                table_cell(t, "%s", roles_of(node));
                table_cell(t, "%s", address_of(node));
                table_cell(t, "%s", text_of(node, "rack"));
                table_cell(t, "%s", state_of(node));
                cell_number(t, node, "leaders");
                cell_number(t, node, "replicas");
                cell_number(t, node, "replicas_behind");
                table_cell(t, "%s",
                           json_object_get(node, "disk_size_bytes")
                                   ? table_bytes(number_of(node, "disk_free_bytes"), size)
                                   : "-");
                cell_number(t, json_object_get(node, "metadata"), "lag");
        }
        table_print(t);
}

int node_list(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/nodes", NULL, NULL, &answer, &status))
                return status;
        node_table(json_object_get(answer, "nodes"));
        if (!is_true(json_object_get(answer, "quorum"), "known"))
                fputs("chronik-ctl: no active controller answers; this is what the node that was asked has\n", stderr);
        json_decref(answer);
        return CTL_OK;
}

static void line_number(const json_t *object, const char *key, const char *title, const char *of)
{
        if (*title ? json_object_get(object, key) != NULL : number_of(object, key) > 0)
                printf("%-13s%" JSON_INTEGER_FORMAT "%s\n", title, number_of(object, key), of);
}

/* From the node that was asked. */
static void print_link(const json_t *node)
{
        json_t *link = json_object_get(node, "link");
        char ago[32];

        if (!link)
                return;
        printf("link         from node %" JSON_INTEGER_FORMAT ": %s\n", number_of(link, "from"),
               is_true(link, "up")          ? "up"
               : is_true(link, "connected") ? "made by the other side only"
                                            : "down");
        if (json_object_get(link, "error"))
                printf("             last error, %s ago: %s\n", table_span(number_of(link, "error_ms_ago"), ago),
                       text_of(link, "error"));
}

static void print_node(const json_t *node)
{
        json_t *metadata = json_object_get(node, "metadata");
        char heard[32], disk_free[32], disk_size[32];

        printf("node         %" JSON_INTEGER_FORMAT "\nroles        %s\nstate        %s\naddress      %s\n",
               number_of(node, "id"), roles_of(node), state_of(node), address_of(node));
        printf("peers        %s\nrack         %s\n", text_of(node, "peer_address"), text_of(node, "rack"));
        if (json_object_get(node, "program"))
                printf("version      %s\n", text_of(node, "program"));
        print_link(node);
        line_number(node, "leaders", "leaders", " partitions");
        line_number(node, "leaders_movable", "", " of these could be led by another node at once");
        line_number(node, "leaders_under_replicated", "", " of these have fewer replicas in sync than there should be");
        line_number(node, "leaders_below_min_isr", "", " of these refuse acks=all");
        line_number(node, "replicas", "replicas", " partitions");
        line_number(node, "replicas_behind", "", " of these are not in sync");
        line_number(node, "partitions_read_only", "", " of these are read-only since a write failed");
        line_number(node, "damaged_ranges", "", " ranges of offsets are damaged on its disk");
        if (json_object_get(node, "disk_size_bytes"))
                printf("disk         %s free of %s\n", table_bytes(number_of(node, "disk_free_bytes"), disk_free),
                       table_bytes(number_of(node, "disk_size_bytes"), disk_size));
        if (!metadata)
                return;
        printf("metadata     %s%s\n", text_of(metadata, "kind"),
               is_true(metadata, "active") ? ", the active controller" : "");
        line_number(metadata, "lag", "", " entries behind the active controller");
        if (json_object_get(metadata, "heard_ms_ago") && !is_true(metadata, "active"))
                printf("             heard of %s ago\n", table_span(number_of(metadata, "heard_ms_ago"), heard));
        printf("             folder %s\n", text_of(metadata, "directory"));
}

/* True: @text is a node's number; otherwise told. */
static bool id_is_fine(const char *text)
{
        long long id;

        if (number_read(text, 0, INT32_MAX, &id))
                return true;
        ctl_usage("'%s' is no node; a number such as 3 is needed", text);
        return false;
}

int node_get(struct ctl *c, const char *id)
{
        json_t *node;
        int status;

        if (!id_is_fine(id))
                return CTL_USAGE;
        if (!ask(c, "GET", "/v1/nodes/", id, NULL, &node, &status))
                return status;
        print_node(node);
        json_decref(node);
        return CTL_OK;
}

/* ---- waiting ---- */

static bool progress_shown;

/* On a terminal the line is written over, elsewhere there is none. */
static void progress(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void progress(const char *fmt, ...)
{
        va_list ap;

        if (!isatty(STDERR_FILENO))
                return;
        va_start(ap, fmt);
        fputs("\r\033[K", stderr);
        vfprintf(stderr, fmt, ap);
        va_end(ap);
        progress_shown = true;
}

static void progress_end(void)
{
        if (progress_shown)
                fputs("\r\033[K", stderr);
        progress_shown = false;
}

/* What a look at a node says of what is waited for. */
enum look { LOOK_AGAIN, LOOK_DONE };

struct waiting {
        const char *id, *path_end; /* of what is looked at: /v1/nodes/ID and this */
        enum look (*look)(const char *id, const json_t *answer);
        bool gone_is_done; /* the node that is no more is what was waited for */
        const char *what;  /* for the time-out: "node 3 is not drained" */
};

static int time_is_up(const struct ctl *c, const struct waiting *w)
{
        char text[32];

        progress_end();
        fprintf(stderr, "chronik-ctl: node %s %s after %s; it goes on\n", w->id, w->what,
                table_span(c->timeout_ms, text));
        return CTL_FAILED;
}

/* Ask until it is so. @ret: the last answer, a new reference, NULL when the node is gone. */
static int wait_until(const struct ctl *c, const struct waiting *w, json_t **ret)
{
        int64_t began_ms = clock_mono_ms();
        int status = CTL_OK;
        char *path;

        if (asprintf(&path, "/v1/nodes/%s%s", w->id, w->path_end) < 0)
                abort();
        for (;;) {
                json_t *answer = NULL;
                bool gone = false;

                *ret = NULL;
                status = w->gone_is_done ? ctl_ask_gone(c, path, &answer, &gone)
                                         : ctl_ask(c, "GET", path, NULL, &answer);
                if (status || gone)
                        break;
                if (w->look(w->id, answer) == LOOK_DONE) {
                        *ret = answer;
                        break;
                }
                json_decref(answer);
                if (c->timeout_ms && clock_mono_ms() - began_ms >= c->timeout_ms) {
                        status = time_is_up(c, w);
                        break;
                }
                clock_sleep_ms(POLL_MS);
        }
        progress_end();
        free(path);
        return status;
}

/* ---- draining ---- */

/* Ask for @verb of node @id. */
static int duty(struct ctl *c, const char *id, const char *verb)
{
        json_t *answer;
        char *path;
        int status;

        if (!id_is_fine(id))
                return CTL_USAGE;
        if (asprintf(&path, "/v1/nodes/%s/%s", id, verb) < 0)
                abort();
        status = ctl_ask(c, "POST", path, NULL, &answer);
        free(path);
        if (status)
                return status;
        if (c->json && !c->wait)
                print_json(answer);
        json_decref(answer);
        return CTL_OK;
}

static enum look look_drained(const char *id, const json_t *node)
{
        progress("node %s still leads %" JSON_INTEGER_FORMAT " partitions that others can lead", id,
                 number_of(node, "leaders_movable"));
        return number_of(node, "leaders_movable") ? LOOK_AGAIN : LOOK_DONE;
}

int node_drain(struct ctl *c, const char *id)
{
        struct waiting w = { id, "", look_drained, false, "still leads what others can lead" };
        int status = duty(c, id, "drain");
        json_t *node = NULL;

        if (!status && c->wait)
                status = wait_until(c, &w, &node);
        if (status)
                return status;
        if (c->json && node)
                print_json(node);
        else if (!c->json && node && number_of(node, "leaders"))
                printf("node %s is drained; it leads %" JSON_INTEGER_FORMAT " partitions that nobody else can\n", id,
                       number_of(node, "leaders"));
        else if (!c->json)
                printf(node ? "node %s is drained\n" : "node %s drains; 'node get %s' shows how far it is\n", id, id);
        json_decref(node);
        return CTL_OK;
}

int node_undrain(struct ctl *c, const char *id)
{
        int status = duty(c, id, "undrain");

        if (!status && !c->json)
                printf("node %s takes part again; leadership comes back by itself, or with 'topic elect'\n", id);
        return status;
}

static enum look look_left(const char *id, const json_t *node)
{
        progress("node %s still has %" JSON_INTEGER_FORMAT " replicas", id, number_of(node, "replicas"));
        return LOOK_AGAIN;
}

int node_decommission(struct ctl *c, const char *id)
{
        struct waiting w = { id, "", look_left, true, "still has replicas" };
        int status = duty(c, id, "decommission");
        json_t *node = NULL;

        if (!status && c->wait)
                status = wait_until(c, &w, &node);
        if (status)
                return status;
        if (c->json && c->wait)
                print_json(json_pack("{s:s, s:s}", "result", "decommissioned", "id", id));
        else if (!c->json && c->wait)
                printf("node %s is decommissioned: nothing is left on it, and it may be switched off\n", id);
        else if (!c->json)
                printf("node %s gives its replicas away; 'node get %s' shows how many are left\n", id, id);
        return CTL_OK;
}

/* ---- the drain guard ---- */

static enum look look_safe(const char *id, const json_t *answer)
{
        progress("node %s must not stop: %s", id, text_of(answer, "why"));
        return is_true(answer, "safe") ? LOOK_DONE : LOOK_AGAIN;
}

static enum look look_once(const char *id, const json_t *answer)
{
        (void)id;
        (void)answer;
        return LOOK_DONE;
}

int node_may_stop(struct ctl *c, const char *id)
{
        struct waiting w = { id, "/may-stop", c->wait ? look_safe : look_once, false, "is not safe to stop" };
        json_t *answer = NULL;
        int status;
        bool safe;

        if (!id_is_fine(id))
                return CTL_USAGE;
        status = wait_until(c, &w, &answer);
        if (status)
                return status;
        safe = is_true(answer, "safe");
        if (c->json)
                print_json(answer);
        else if (safe)
                printf("node %s may stop\n", id);
        else
                fprintf(stderr, "chronik-ctl: node %s must not stop now: %s\n", id, text_of(answer, "why"));
        json_decref(answer);
        return safe ? CTL_OK : CTL_UNSAFE;
}
