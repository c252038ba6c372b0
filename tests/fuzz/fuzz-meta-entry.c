/* Payloads of the metadata log on any bytes: applied to an image, they give a sound image or a reason; what was accepted
 * is written out as records again and gives the same image. */
#include <assert.h>

#include "meta/builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every record of the payload, decoded and encoded, must decode to the same effect. */
static void again(const uint8_t *data, size_t size, const struct meta_image *want)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty(), *got = NULL;
        struct cursor c = cursor_of(span_of(data + 1, size - 1));
        struct meta_batch batch = { 0 };
        struct meta_record r;
        struct meta_builder b;
        struct arena mem;

        arena_init(&mem, 0);
        while (meta_record_read(&c, &mem, &r) == 0)
                assert(meta_batch_add(&batch, &r) == 0);
        assert(!meta_builder_init(&b, empty));
        if (batch.count)
                assert(!meta_builder_apply_entry(&b, meta_batch_payload(&batch), 1));
        got = meta_builder_finish(&b, 1, 1);
        assert(meta_image_equal(got, want));
        meta_batch_fini(&batch);
        arena_fini(&mem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty(), *image = NULL;
        struct meta_builder b;
        int r;

        assert(!meta_builder_init(&b, empty));
        r = meta_builder_apply_entry(&b, span_of(data, size), 1);
        assert(r == 0 || b.why[0] || r < 0);
        image = meta_builder_finish(&b, 1, 1);
        assert(pmap_is_sound(&image->topics_by_name) && pmap_is_sound(&image->topics_by_id));
        assert(image->topics_by_name.count == image->topics_by_id.count);
        if (r == 0)
                again(data, size, image);
        return 0;
}
