/* Requests to the controller and answers of it from an untrusted peer. What is read is written again and must then be read as the
 * same; an answer is read into a request of as many items as the second byte says. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "controller/marshal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing is larger than the largest item. */
union any_item {
        struct controller_create_topic a;
        struct controller_register_broker b;
        struct controller_alter_partition c;
        struct controller_disruption d;
};

static void try_answer(struct span body, enum controller_op op, uint32_t count)
{
        struct controller_request rq = { .op = op, .items_count = count };
        struct arena mem;

        arena_init(&mem, 16 << 20);
        rq.mem = &mem;
        rq.items = arena_alloc_array(&mem, count, sizeof(union any_item));
        if (rq.items && !marshal_answer_read(body, &rq, 0)) {
                size_t len = marshal_answer_size(&rq, 0);
                uint8_t *bytes = malloc(len);
                struct writer w = writer_of(bytes, len);

                marshal_answer_write(&rq, &w, 0);
                if (writer_pos(&w) != len)
                        abort();
                free(bytes);
        }
        arena_fini(&mem);
}

static void try_ask(struct span body)
{
        struct controller_request rq = { 0 }, again = { 0 };
        struct arena mem;

        arena_init(&mem, 64 << 20);
        if (!marshal_ask_read(body, &rq, &mem, 0)) {
                size_t len = marshal_ask_size(&rq, 0);
                uint8_t *bytes = malloc(len), *bytes_again = malloc(len);
                struct writer w = writer_of(bytes, len), w_again = writer_of(bytes_again, len);

                marshal_ask_write(&rq, &w, 0);
                if (writer_pos(&w) != len || marshal_ask_read(span_of(bytes, len), &again, &mem, 0))
                        abort();
                if (marshal_ask_size(&again, 0) != len)
                        abort();
                marshal_ask_write(&again, &w_again, 0);
                if (memcmp(bytes, bytes_again, len))
                        abort();
                free(bytes);
                free(bytes_again);
        }
        arena_fini(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        if (data[0] == 0xff)
                try_ask(span_of(data + 2, size - 2));
        else
                try_answer(span_of(data + 2, size - 2), (enum controller_op)(data[0] % CONTROLLER_OPS_COUNT),
                           data[1] % 8);
        return 0;
}
