/* Commands of transactions: who has which, one of them, and its end by an operator. */
#include <stdio.h>

#include "ctl/ctl.h"

int txn_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "TRANSACTIONAL ID", "STATE", "PRODUCER>" };
        json_t *answer, *txn;
        struct table *t;
        int status;
        size_t i;

        (void)arg;
        if (!ask(c, "GET", "/v1/transactions", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "transactions"), i, txn) {
                table_cell(t, "%s", text_of(txn, "id"));
                table_cell(t, "%s", text_of(txn, "state"));
                cell_number(t, txn, "producer_id");
        }
        table_print(t);
        if (json_is_false(json_object_get(answer, "complete")))
                fputs("chronik-ctl: some are still being loaded and are missing here; ask again\n", stderr);
        json_decref(answer);
        return CTL_OK;
}

static void print_partitions(json_t *txn)
{
        static const char *const titles[] = { "TOPIC", "PARTITION>" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *p;
        size_t i;

        json_array_foreach (json_object_get(txn, "partitions"), i, p) {
                table_cell(t, "%s", text_of(p, "topic"));
                cell_number(t, p, "partition");
        }
        table_print_rows(t);
}

int txn_describe(struct ctl *c, const char *id)
{
        char span[32], since[32];
        json_t *txn;
        int status;

        if (!ask(c, "GET", "/v1/transactions/", id, NULL, &txn, &status))
                return status;
        printf("id           %s\nstate        %s\nproducer     %" JSON_INTEGER_FORMAT
               "\nepoch        %" JSON_INTEGER_FORMAT "\ntime-out     %s\n",
               text_of(txn, "id"), text_of(txn, "state"), number_of(txn, "producer_id"),
               number_of(txn, "producer_epoch"), table_span(number_of(txn, "timeout_ms"), span));
        if (json_object_get(txn, "started_ms"))
                printf("open since   %s\n", table_time(number_of(txn, "started_ms"), since));
        print_partitions(txn);
        json_decref(txn);
        return CTL_OK;
}

int txn_abort(struct ctl *c, const char *id)
{
        json_t *body = json_pack("{s:s, s:s}", "op", "abort", "id", id), *answer;
        int status;

        if (!body)
                return fputs("chronik-ctl: the name is not UTF-8\n", stderr), CTL_FAILED;
        if (!ask(c, "POST", "/v1/transactions", NULL, body, &answer, &status))
                return status;
        printf("aborted the transaction of %s; its producer is kept out until it begins again\n", id);
        json_decref(answer);
        return CTL_OK;
}
