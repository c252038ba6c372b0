/* What an object store answers: documents of every kind that is asked for. The first byte chooses; nothing is believed beyond its limits. */
#include <stdlib.h>

#include "object/call.h"
#include "object/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

static void read_list(struct span body, bool azure)
{
        struct object_op op = { .list_max = 3 };

        if (!(azure ? object_read_list_azure(body, &op) : object_read_list_s3(body, &op))) {
                must(op.rows_count <= 3);
                for (unsigned i = 0; i < op.rows_count; i++)
                        must(op.rows[i].key && *op.rows[i].key && op.rows[i].size >= 0);
                must(!op.list_next || *op.list_next);
        } else {
                must(!op.rows && !op.list_next);
        }
        object_op_fini(&op);
}

static void judge(struct span body, unsigned kind)
{
        static const long statuses[] = { 200, 301, 400, 403, 404, 412, 500, 503 };
        const struct object_place place = {
                .provider = &object_provider_s3, .origin = "https://s3", .bucket = "b", .region = "r"
        };
        const struct object_call call = { .step = kind % (STEP_ABORT + 1),
                                          .key = STR_LIT("k"),
                                          .if_absent = kind & 64 };
        struct object_answer a;
        struct object_verdict v;

        object_answer_init(&a);
        a.status = statuses[kind % 8];
        object_judge(&place, &call, &a, body, 0, &v);
        must(v.result >= 0 || *v.text);
        for (const char *p = v.text; *p; p++)
                must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct object_credentials c;
        struct span body;
        char text[32];

        if (!size)
                return 0;
        body = span_of(data + 1, size - 1);
        switch (data[0] & 7) {
        case 0:
                read_list(body, false);
                break;
        case 1:
                read_list(body, true);
                break;
        case 2:
                if (!object_answer_element(body, "UploadId", text, sizeof text))
                        must(strlen(text) < sizeof text);
                break;
        case 3:
                if (!object_remote_read_sts(body, &c))
                        must(*c.access_key && *c.secret_key && *c.token);
                break;
        case 4:
                if (!object_remote_read_instance(body, &c))
                        must(*c.access_key && *c.secret_key && *c.token);
                break;
        case 5:
                if (!object_remote_read_oauth(body, 1000, &c))
                        must(*c.token && c.expires_ms >= 0);
                break;
        default:
                judge(body, data[0] >> 1);
                break;
        }
        return 0;
}
