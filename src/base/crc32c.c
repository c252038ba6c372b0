/* CRC-32C three ways: the instruction of x86-64 or aarch64, or slicing by eight. The instructions have a latency of
 * three cycles and a throughput of one, so three independent streams are run over large inputs and joined by
 * multiplying with x^(8n) in GF(2) (tables made once). */
#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLY 0x82f63b78u /* reflected */

enum { STREAM_LEN = 1024 }; /* bytes of each of the three streams of one round */

static uint32_t table[8][256];
static uint32_t shift1[4][256]; /* multiply by x^(8*STREAM_LEN) */
static uint32_t shift2[4][256]; /* multiply by x^(8*2*STREAM_LEN) */
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t crc_zeros(uint32_t crc, size_t len)
{
        while (len--)
                crc = table[0][crc & 255] ^ crc >> 8;
        return crc;
}

static void shift_table_init(uint32_t t[4][256], size_t len)
{
        uint32_t bit[32];

        for (int i = 0; i < 32; i++)
                bit[i] = crc_zeros(1u << i, len);
        for (int byte = 0; byte < 4; byte++)
                for (int v = 0; v < 256; v++) {
                        uint32_t r = 0;

                        for (int i = 0; i < 8; i++)
                                if (v >> i & 1)
                                        r ^= bit[byte * 8 + i];
                        t[byte][v] = r;
                }
}

static void init(void)
{
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t c = i;

                for (int k = 0; k < 8; k++)
                        c = c & 1 ? c >> 1 ^ POLY : c >> 1;
                table[0][i] = c;
        }
        for (int t = 1; t < 8; t++)
                for (int i = 0; i < 256; i++)
                        table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
        shift_table_init(shift1, STREAM_LEN);
        shift_table_init(shift2, 2 * STREAM_LEN);
#if defined(__x86_64__)
        has_instruction = __builtin_cpu_supports("sse4.2");
#elif defined(__aarch64__)
        has_instruction = getauxval(AT_HWCAP) & HWCAP_CRC32;
#endif
}

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t len)
{
        while (len >= 8) {
                uint32_t lo, hi;

                memcpy(&lo, p, 4);
                memcpy(&hi, p + 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
                lo = __builtin_bswap32(lo);
                hi = __builtin_bswap32(hi);
#endif
                lo ^= crc;
                crc = table[7][lo & 255] ^ table[6][lo >> 8 & 255] ^ table[5][lo >> 16 & 255] ^ table[4][lo >> 24] ^
                      table[3][hi & 255] ^ table[2][hi >> 8 & 255] ^ table[1][hi >> 16 & 255] ^ table[0][hi >> 24];
                p += 8;
                len -= 8;
        }
        while (len--)
                crc = table[0][(crc ^ *p++) & 255] ^ crc >> 8;
        return crc;
}

#if defined(__x86_64__) || defined(__aarch64__)

#if defined(__x86_64__)
#define CRC_TARGET __attribute__((target("sse4.2")))
#define CRC_U64(c, v) ((uint32_t)__builtin_ia32_crc32di((c), (v)))
#define CRC_U8(c, v) __builtin_ia32_crc32qi((c), (v))
#else
#include <arm_acle.h>
#define CRC_TARGET __attribute__((target("+crc")))
#define CRC_U64(c, v) __crc32cd((c), (v))
#define CRC_U8(c, v) __crc32cb((c), (v))
#endif

static uint32_t crc_shift(uint32_t t[4][256], uint32_t crc)
{
        return t[0][crc & 255] ^ t[1][crc >> 8 & 255] ^ t[2][crc >> 16 & 255] ^ t[3][crc >> 24];
}

static uint64_t load_u64(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, 8);
        return v;
}

CRC_TARGET static uint32_t crc_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
        while (len >= 3 * STREAM_LEN) {
                uint32_t b = 0, c = 0;

                for (size_t i = 0; i < STREAM_LEN; i += 8) {
                        crc = CRC_U64(crc, load_u64(p + i));
                        b = CRC_U64(b, load_u64(p + STREAM_LEN + i));
                        c = CRC_U64(c, load_u64(p + 2 * STREAM_LEN + i));
                }
                crc = crc_shift(shift2, crc) ^ crc_shift(shift1, b) ^ c;
                p += 3 * STREAM_LEN;
                len -= 3 * STREAM_LEN;
        }
        for (; len >= 8; p += 8, len -= 8)
                crc = CRC_U64(crc, load_u64(p));
        while (len--)
                crc = CRC_U8(crc, *p++);
        return crc;
}
#else
static uint32_t crc_instruction(uint32_t crc, const uint8_t *p, size_t len)
{
        return crc_table(crc, p, len);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
        pthread_once(&once, init);
        return ~(has_instruction ? crc_instruction(~crc, data, len) : crc_table(~crc, data, len));
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t len)
{
        pthread_once(&once, init);
        return ~crc_table(~crc, data, len);
}

const char *crc32c_method(void)
{
        pthread_once(&once, init);
        if (!has_instruction)
                return "table";
#if defined(__x86_64__)
        return "sse4.2";
#else
        return "armv8-crc";
#endif
}
