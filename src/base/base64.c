#include "base/base64.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_add(struct strbuf *out, struct span data)
{
        for (size_t i = 0; i < data.len; i += 3) {
                size_t n = data.len - i < 3 ? data.len - i : 3;
                uint32_t v = (uint32_t)data.data[i] << 16;
                char four[4];

                if (n > 1)
                        v |= (uint32_t)data.data[i + 1] << 8;
                if (n > 2)
                        v |= data.data[i + 2];
                for (int k = 0; k < 4; k++)
                        four[k] = letters[v >> (18 - 6 * k) & 63];
                if (n < 3)
                        four[3] = '=';
                if (n < 2)
                        four[2] = '=';
                strbuf_add(out, four, 4);
        }
}

static int value_of(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_read(struct str text, uint8_t *ret_data, size_t *ret_len)
{
        size_t len = 0;

        if (text.len % 4)
                return -EINVAL;
        for (size_t i = 0; i < text.len; i += 4) {
                bool last = i + 4 == text.len;
                int pad = last ? (text.p[i + 3] == '=') + (text.p[i + 3] == '=' && text.p[i + 2] == '=') : 0;
                uint32_t v = 0;

                for (int k = 0; k < 4 - pad; k++) {
                        int x = value_of(text.p[i + (size_t)k]);

                        if (x < 0)
                                return -EINVAL;
                        v |= (uint32_t)x << (18 - 6 * k);
                }
                if (v & ((1u << (8 * pad)) - 1))
                        return -EINVAL;
                for (int k = 0; k < 3 - pad; k++)
                        ret_data[len++] = (uint8_t)(v >> (16 - 8 * k));
        }
        *ret_len = len;
        return 0;
}

int base64url_read(struct str text, uint8_t *ret_data, size_t *ret_len)
{
        CLEANUP(freep) char *padded = malloc(text.len + 3);
        size_t len = text.len;

        if (!padded)
                return -ENOMEM;
        for (size_t i = 0; i < len; i++) {
                if (text.p[i] == '+' || text.p[i] == '/' || text.p[i] == '=')
                        return -EINVAL;
                padded[i] = text.p[i] == '-' ? '+' : text.p[i] == '_' ? '/' : text.p[i];
        }
        while (len % 4 && len - text.len < 2)
                padded[len++] = '=';
        return base64_read((struct str){ padded, len }, ret_data, ret_len);
}
