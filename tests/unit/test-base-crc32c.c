/* Goal: CRC-32C is right by the published vectors, and the instruction and the table agree at every length and
 * alignment, across the three-stream border, and when continued. Where CRC32C_METHOD names a method (`make aarch64` does), it is that
 * one which was chosen at run time, so that the instruction was tried and not the table twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "unit.h"

static void test_vectors(void)
{
        uint8_t buf[32];

        CU_ASSERT_EQUAL(crc32c(0, "123456789", 9), 0xe3069283u);
        memset(buf, 0, 32); /* RFC 3720 B.4 */
        CU_ASSERT_EQUAL(crc32c(0, buf, 32), 0x8a9136aau);
        memset(buf, 0xff, 32);
        CU_ASSERT_EQUAL(crc32c(0, buf, 32), 0x62a8ab43u);
        for (int i = 0; i < 32; i++)
                buf[i] = (uint8_t)i;
        CU_ASSERT_EQUAL(crc32c(0, buf, 32), 0x46dd794eu);
        CU_ASSERT_EQUAL(crc32c(0, "", 0), 0);
}

static void test_methods_agree(void)
{
        static uint8_t buf[20000];
        uint32_t seed = 1;

        for (size_t i = 0; i < sizeof buf; i++)
                buf[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        for (size_t len = 0; len < 200; len++)
                for (size_t off = 0; off < 9; off++)
                        CU_ASSERT_EQUAL_FATAL(crc32c(7, buf + off, len), crc32c_portable(7, buf + off, len));
        for (size_t len = 3000; len < sizeof buf; len += 509)
                CU_ASSERT_EQUAL_FATAL(crc32c(0, buf, len), crc32c_portable(0, buf, len));
}

static void test_method(void)
{
        const char *wanted = getenv("CRC32C_METHOD");

        printf("crc32c() uses %s here\n", crc32c_method());
        if (wanted)
                CU_ASSERT_STRING_EQUAL(crc32c_method(), wanted);
}

static void test_continued(void)
{
        static uint8_t buf[8000];

        memset(buf, 0x5a, sizeof buf);
        for (size_t cut = 0; cut <= sizeof buf; cut += 97)
                CU_ASSERT_EQUAL_FATAL(crc32c(crc32c(0, buf, cut), buf + cut, sizeof buf - cut),
                                      crc32c(0, buf, sizeof buf));
}

static const struct unit_case cases[] = {
        { "published vectors", test_vectors },
        { "the method that is expected", test_method },
        { "instruction and table agree", test_methods_agree },
        { "continued equals whole", test_continued },
};
UNIT_MAIN("crc32c", cases)
