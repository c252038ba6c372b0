/* 128-bit identifiers. The text form is Kafka's: URL-safe base64 without padding, 22 characters. */
#pragma once

#include "base/span.h"

struct uuid {
        uint8_t b[16];
};

#define UUID_ZERO ((struct uuid){ { 0 } })
#define UUID_TEXT_SIZE 23 /* 22 characters and the NUL */

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
        return !memcmp(a.b, b.b, 16);
}

static inline bool uuid_is_zero(struct uuid a)
{
        return uuid_equal(a, UUID_ZERO);
}

/* Write the text form with a final NUL into @ret_text. */
void uuid_format(struct uuid u, char ret_text[UUID_TEXT_SIZE]);

/* Parse the text form. Return: 0, or -EINVAL when @text is not 22 characters of URL-safe base64. */
int uuid_parse(struct str text, struct uuid *ret_uuid);
