/* Commands about the cluster as a whole: how it is, and who takes a node down on purpose. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum { TTL_MS = 30 * 60000 }; /* of a disruption, when nothing is said */

/* ---- the disruption token ---- */

static void print_disruption(const json_t *d)
{
        json_t *last = json_object_get(d, "last_override");
        char a[32], b[32], left[32];

        if (is_true(d, "held"))
                printf("disruption   node %" JSON_INTEGER_FORMAT " by %s: %s\n             since %s, until %s (%s)\n",
                       number_of(d, "node"), text_of(d, "holder"), text_of(d, "reason"),
                       table_time(number_of(d, "since_ms"), a), table_time(number_of(d, "until_ms"), b),
                       table_span(number_of(d, "left_ms"), left));
        else
                printf("disruption   none\n");
        if (last)
                printf("             last override %s by %s%s%s: %s\n", table_time(number_of(last, "at_ms"), a),
                       text_of(last, "by"), json_is_string(json_object_get(last, "of")) ? ", of " : "",
                       json_is_string(json_object_get(last, "of")) ? text_of(last, "of") : "", text_of(last, "reason"));
}

int disruption_show(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/disruption", NULL, NULL, &answer, &status))
                return status;
        print_disruption(answer);
        json_decref(answer);
        return CTL_OK;
}

/* user@host */
static const char *who_am_i(void)
{
        const struct passwd *user = getpwuid(getuid());
        static char text[200];
        char host[100] = "";

        if (gethostname(host, sizeof host - 1))
                host[0] = '\0';
        if (user)
                snprintf(text, sizeof text, "%s@%s", user->pw_name, host);
        else
                snprintf(text, sizeof text, "%ld@%s", (long)getuid(), host);
        return text;
}

static int disrupt(struct ctl *c, const char *op, bool names_node)
{
        json_t *body = json_pack("{s:s, s:s}", "op", op, "who", c->who ? c->who : who_am_i()), *answer;
        char until[32], left[32];
        long long ttl_ms = c->ttl_ms ? c->ttl_ms : TTL_MS;
        int status;

        if (!body || (c->reason && json_object_set_new(body, "reason", json_string(c->reason))))
                return fputs("chronik-ctl: the name or the reason is not UTF-8\n", stderr), CTL_FAILED;
        if (names_node) {
                json_object_set_new(body, "node", json_integer(c->node));
                json_object_set_new(body, "ttl_ms", json_integer(ttl_ms));
        }
        if (!ask(c, "POST", "/v1/disruption", NULL, body, &answer, &status))
                return status;
        if (names_node)
                printf("node %d may be taken down until %s (%s); 'cluster disruption release' when that is done\n",
                       c->node, table_time(number_of(answer, "until_ms"), until), table_span(ttl_ms, left));
        else
                printf("released\n");
        json_decref(answer);
        return CTL_OK;
}

int disruption_acquire(struct ctl *c, const char *arg)
{
        (void)arg;
        if (c->node < 0 || !c->reason)
                return ctl_usage("'cluster disruption acquire' needs --node ID and --reason TEXT");
        return disrupt(c, "acquire", true);
}

int disruption_override(struct ctl *c, const char *arg)
{
        (void)arg;
        if (c->node < 0 || !c->reason)
                return ctl_usage("'cluster disruption override' needs --node ID and --reason TEXT");
        return disrupt(c, "override", true);
}

int disruption_release(struct ctl *c, const char *arg)
{
        (void)arg;
        return disrupt(c, "release", false);
}

/* ---- cluster info ---- */

static void print_health(const json_t *info)
{
        json_t *reasons = json_object_get(info, "reasons"), *reason;
        size_t i;

        printf("health       %s\n", text_of(info, "health"));
        json_array_foreach (reasons, i, reason) {
                char *text = strdup(json_string_value(reason));

                printf("             %s\n", text ? text_clean(text) : "");
                free(text);
        }
}

static void print_quorum(const json_t *info)
{
        json_t *q = json_object_get(info, "quorum"), *member;
        char size[32], heard[32];
        size_t i;

        if (number_of(info, "controller") >= 0)
                printf("controller   node %" JSON_INTEGER_FORMAT ", term %" JSON_INTEGER_FORMAT "\n",
                       number_of(info, "controller"), number_of(info, "controller_term"));
        else
                printf("controller   none known, term %" JSON_INTEGER_FORMAT "\n", number_of(info, "controller_term"));
        if (!is_true(q, "known"))
                return;
        printf("quorum       %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
               " controllers heard of; metadata at entry %" JSON_INTEGER_FORMAT ", log %s\n",
               number_of(q, "voters_heard"), number_of(q, "voters"), number_of(q, "committed_index"),
               table_bytes(number_of(q, "log_bytes"), size));
        if (json_array_size(json_object_get(q, "controllers")) < 2)
                return;
        json_array_foreach (json_object_get(q, "controllers"), i, member) {
                printf("             node %" JSON_INTEGER_FORMAT " (%s): ", number_of(member, "id"),
                       is_true(member, "active") ? "active" : text_of(member, "kind"));
                if (!json_object_get(member, "heard_ms_ago"))
                        printf("not heard of\n");
                else if (is_true(member, "active"))
                        printf("entry %" JSON_INTEGER_FORMAT "\n", number_of(member, "end_index"));
                else
                        printf("%" JSON_INTEGER_FORMAT " entries behind, heard of %s ago\n", number_of(member, "lag"),
                               table_span(number_of(member, "heard_ms_ago"), heard));
        }
}

static void print_partitions(const json_t *info)
{
        printf("topics       %" JSON_INTEGER_FORMAT " with %" JSON_INTEGER_FORMAT " partitions\n",
               number_of(info, "topics"), number_of(info, "partitions"));
        printf("partitions   %" JSON_INTEGER_FORMAT " offline, %" JSON_INTEGER_FORMAT
               " below min ISR, %" JSON_INTEGER_FORMAT " under-replicated, %" JSON_INTEGER_FORMAT " moving\n",
               number_of(info, "partitions_offline"), number_of(info, "partitions_below_min_isr"),
               number_of(info, "partitions_under_replicated"), number_of(info, "partitions_reassigning"));
}

int cluster_info(struct ctl *c, const char *arg)
{
        json_t *info;
        char a[32], b[32];
        int status;

        (void)arg;
        if (!ask(c, "GET", "/v1/cluster", NULL, NULL, &info, &status))
                return status;
        printf("cluster      %s\nversion      %s\n", text_of(info, "cluster_id"), text_of(info, "version"));
        print_health(info);
        print_quorum(info);
        print_partitions(info);
        print_disruption(json_object_get(info, "disruption"));
        printf("groups       %" JSON_INTEGER_FORMAT " with %" JSON_INTEGER_FORMAT " members\n",
               number_of(info, "groups"), number_of(info, "group_members"));
        printf("disks        %s free of %s\n\n", table_bytes(number_of(info, "disk_free_bytes"), a),
               table_bytes(number_of(info, "disk_size_bytes"), b));
        node_table(json_object_get(info, "nodes"));
        json_decref(info);
        return CTL_OK;
}
