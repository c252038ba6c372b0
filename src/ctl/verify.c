/* log verify: begin a verification on a node, or in a folder, watch it and show what was found. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "sys/clock.h"

enum { ASK_FIRST_MS = 20, ASK_MS = 500 };

/* ---- progress, on a terminal only ---- */

static bool progress_shown;

static void progress_show(const char *what, json_int_t bytes, json_int_t bytes_all)
{
        char a[32], b[32];

        if (!isatty(STDERR_FILENO))
                return;
        fprintf(stderr, "\r\033[K%s: %s of %s", what, table_bytes(bytes, a), table_bytes(MAX2(bytes, bytes_all), b));
        progress_shown = true;
}

static void progress_end(void)
{
        if (progress_shown)
                fputs("\r\033[K", stderr);
}

/* Not for printing: text_of() keeps a copy each time. */
static bool says(json_t *object, const char *key, const char *text)
{
        const char *s = json_string_value(json_object_get(object, key));

        return s && !strcmp(s, text);
}

/* ---- on a node ---- */

static int node_begin(const struct ctl *c, const char *topic, long partition, json_int_t *ret_id)
{
        json_t *body = json_object(), *answer;
        int status;

        if (topic && json_object_set_new(body, "topic", json_string(topic)))
                return fputs("chronik-ctl: the name is not UTF-8\n", stderr), CTL_FAILED;
        if (partition >= 0)
                json_object_set_new(body, "partition", json_integer(partition));
        json_object_set_new(body, "bytes_per_second", json_integer(c->bytes_per_second));
        status = ctl_ask(c, "POST", "/v1/verify", body, &answer);
        if (status)
                return status;
        *ret_id = number_of(answer, "id");
        json_decref(answer);
        return CTL_OK;
}

static int node_verify(const struct ctl *c, const char *topic, long partition, json_t **ret)
{
        json_int_t id = 0;
        int status = node_begin(c, topic, partition, &id);

        for (int64_t pause_ms = ASK_FIRST_MS; !status; pause_ms = MIN2(pause_ms * 2, (int64_t)ASK_MS)) {
                json_t *answer;
                char what[64];

                clock_sleep_ms(pause_ms);
                status = ctl_ask(c, "GET", "/v1/verify", NULL, &answer);
                if (status)
                        break;
                if (number_of(answer, "id") != id) {
                        json_decref(answer);
                        progress_end();
                        return fputs("chronik-ctl: the node began another verification meanwhile, or started anew; run "
                                     "this one again\n",
                                     stderr),
                               CTL_FAILED;
                }
                if (!says(answer, "state", "running")) {
                        *ret = answer;
                        break;
                }
                snprintf(what, sizeof what, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " partitions",
                         number_of(answer, "partitions_done"), number_of(answer, "partitions"));
                progress_show(what, number_of(answer, "bytes"), number_of(answer, "bytes_all"));
                json_decref(answer);
        }
        progress_end();
        return status;
}

/* ---- what was found ---- */

static void print_results(json_t *answer)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>", "START>",          "END>",
                                              "READ>", "BATCHES>",   "DAMAGED RANGES>", "RESULT" };
        struct table *t = table_new(titles, ARRAY_LEN(titles)), *damage = damage_table();
        json_t *p;
        size_t i;

        json_array_foreach (json_object_get(answer, "results"), i, p) {
                const char *error = text_of(p, "error");
                char read[32];

                table_cell(t, "%s", text_of(p, "topic"));
                cell_number(t, p, "partition");
                cell_number(t, p, "start_offset");
                cell_number(t, p, "end_offset");
                table_cell(t, "%s", table_bytes(number_of(p, "bytes"), read));
                cell_number(t, p, "batches");
                cell_number(t, p, "damaged_ranges");
                table_cell(t, "%s%s%s", text_of(p, "result"), strcmp(error, "-") ? ": " : "",
                           strcmp(error, "-") ? error : "");
                damage_rows(damage, text_of(p, "topic"), number_of(p, "partition"), json_object_get(p, "damaged"));
        }
        table_print(t);
        table_print_rows(damage);
}

/* Damage is what this is about, so it comes before anything that failed. A partition that is gone was deleted meanwhile. */
static int status_of(json_t *answer)
{
        int status = CTL_OK;
        json_t *p;
        size_t i;

        json_array_foreach (json_object_get(answer, "results"), i, p) {
                if (number_of(p, "damaged_ranges"))
                        return CTL_DAMAGED;
                if (!says(p, "result", "ok") && !says(p, "result", "gone"))
                        status = CTL_FAILED;
        }
        return status;
}

static bool partition_read(const char *text, long *ret)
{
        char *end;

        errno = 0;
        *ret = strtol(text, &end, 10);
        return !errno && *text && !*end && *ret >= 0 && *ret <= INT32_MAX;
}

int log_verify(struct ctl *c, const char *topic)
{
        long partition = -1;
        json_t *answer = NULL;
        int status;

        if (c->second && !partition_read(c->second, &partition))
                return fprintf(stderr,
                               "chronik-ctl: '%s' is no partition; a number such as 0 is needed\nTry 'chronik-ctl "
                               "--help'.\n",
                               c->second),
                       CTL_USAGE;
        if (c->dir && (c->data_dir || topic))
                return fputs("chronik-ctl: --dir is one log; --data-dir or a topic does not go with it\nTry "
                             "'chronik-ctl "
                             "--help'.\n",
                             stderr),
                       CTL_USAGE;
        if (c->dir || c->data_dir) {
                status = folder_verify(c, topic, partition, progress_show, &answer);
                progress_end();
        } else {
                status = node_verify(c, topic, partition, &answer);
        }
        if (status)
                return status;
        if (c->json)
                print_json(answer);
        else
                print_results(answer);
        status = status_of(answer);
        json_decref(answer);
        return status;
}
