/* What is sent: batches of records that all have one length, and fetches of a list of partitions. */
#include <stdlib.h>

#include "load.h"

enum { PARTITION_MAX_BYTES = 1 << 20, FETCH_MAX_BYTES = 50 << 20 }; /* the Java consumer's defaults */

int batch_records_per(const struct options *o)
{
        return (int)MAX2(o->batch_bytes / o->record_bytes, (size_t)1);
}

/* Words of a small vocabulary, as log lines have them: lz4 makes about half of them, neither nothing nor all. */
static void value_fill(uint8_t *value, size_t len, uint32_t *seed)
{
        for (size_t i = 0; i < len;) {
                uint32_t word = (*seed = *seed * 1664525 + 1013904223) >> 20;

                for (uint32_t left = 3 + word % 6; left && i < len; left--, word = word * 31 + 7)
                        value[i++] = (uint8_t)('a' + word % 26);
                if (i < len)
                        value[i++] = ' ';
        }
}

struct span batch_make(const struct options *o, int64_t stamp_ns, struct strbuf *out)
{
        struct batch_build_args args = batch_build_args();
        struct batch_builder b;
        struct timespec wall;
        uint8_t *value = must_alloc(1, o->record_bytes);
        uint32_t seed = 1;
        int64_t now_ms;
        int r = 0;

        clock_gettime(CLOCK_REALTIME, &wall);
        now_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
        args.codec = o->codec;
        batch_builder_init(&b, &args);
        for (int i = 0; i < batch_records_per(o) && !r; i++) {
                value_fill(value, o->record_bytes, &seed);
                store_be64(value, (uint64_t)stamp_ns);
                r = batch_builder_add(&b, &(struct batch_record){ .offset = i,
                                                                  .timestamp = now_ms,
                                                                  .value = span_of(value, o->record_bytes) });
        }
        out->len = 0;
        if (!r)
                r = batch_builder_finish(&b, out);
        if (r)
                die("a batch of %zu bytes was not built (%d)", o->batch_bytes, r);
        batch_builder_fini(&b);
        free(value);
        return span_of(out->data, out->len);
}

void fetch_put(struct frame *f, const struct options *o, const struct fetch_part *parts, int count, int wait_ms,
               struct arena *a)
{
        struct fetch_request_topic topic;
        struct fetch_request m;

        fetch_request_init(&m);
        fetch_request_topic_init(&topic);
        topic.topic = str_of(o->topic);
        topic.partitions = ARENA_NEW_ARRAY(a, struct fetch_request_partition, count);
        if (!topic.partitions)
                die("out of memory");
        for (int i = 0; i < count; i++) {
                struct fetch_request_partition *p = &topic.partitions[i];

                fetch_request_partition_init(p);
                p->partition = parts[i].index;
                p->fetch_offset = parts[i].next_offset;
                p->partition_max_bytes = PARTITION_MAX_BYTES;
        }
        topic.partitions_count = count;
        m.topics = &topic;
        m.topics_count = 1;
        m.max_wait_ms = wait_ms;
        m.min_bytes = wait_ms ? 1 : 0;
        m.max_bytes = FETCH_MAX_BYTES;
        m.rack_id = STR_LIT("");
        FRAME_PUT(f, FETCH_REQUEST_KEY, FETCH_VERSION, 0, 0, fetch_request, &m);
}
