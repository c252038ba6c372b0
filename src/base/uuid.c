/* Text form of identifiers: RFC 4648 section 5 (URL-safe base64), padding left out as Kafka does. */
#include "base/uuid.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_format(struct uuid u, char ret_text[UUID_TEXT_SIZE])
{
        uint32_t bits = 0;
        int bits_count = 0;
        size_t n = 0;

        for (size_t i = 0; i < 16; i++) {
                bits = bits << 8 | u.b[i];
                bits_count += 8;
                while (bits_count >= 6) {
                        bits_count -= 6;
                        ret_text[n++] = alphabet[bits >> bits_count & 63];
                }
        }
        ret_text[n++] = alphabet[bits << (6 - bits_count) & 63];
        ret_text[n] = '\0';
}

int uuid_parse(struct str text, struct uuid *ret_uuid)
{
        struct uuid u;
        uint32_t bits = 0;
        int bits_count = 0;
        size_t n = 0;

        if (text.len != UUID_TEXT_SIZE - 1)
                return -EINVAL;
        for (size_t i = 0; i < text.len; i++) {
                const char *at = text.p[i] ? strchr(alphabet, text.p[i]) : NULL;

                if (!at)
                        return -EINVAL;
                bits = bits << 6 | (uint32_t)(at - alphabet);
                bits_count += 6;
                if (bits_count >= 8) {
                        bits_count -= 8;
                        u.b[n++] = bits >> bits_count & 255;
                }
        }
        if (bits & 15)
                return -EINVAL; /* four bits beyond the last byte must be zero, or two texts would name one id */
        *ret_uuid = u;
        return 0;
}
