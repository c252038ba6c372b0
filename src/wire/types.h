/* Types and outcomes that the generated messages share. What a message looks like in C is described in README.md. */
#pragma once

#include "base/arena.h"
#include "base/cursor.h"
#include "base/span.h"
#include "base/uuid.h"
#include "base/writer.h"

/* Outcomes of every X_decode(). */
enum {
        WIRE_OK,
        WIRE_E_MALFORMED, /* the bytes are no such message in that version */
};

/* Record batches within a message. Null when both pointers are.
 * Decoding: @data is borrowed from the frame, @ext is NULL.
 * Encoding: with @ext set the message holds only the length, and writer_ext() notes where @len bytes of @ext belong. */
struct wire_records {
        const uint8_t *data;
        size_t len;
        void *ext;
};
