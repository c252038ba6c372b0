/* Goal: exactly the sequences of RFC 3629 are characters. Method: every code point, and everything of up to three bytes
 * counted against what the RFC allows. */
#include "base/utf8.h"
#include "unit.h"

static unsigned encode(uint32_t c, char out[4])
{
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char)(0xc0 | c >> 6);
                out[1] = (char)(0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char)(0xe0 | c >> 12);
                out[1] = (char)(0x80 | (c >> 6 & 0x3f));
                out[2] = (char)(0x80 | (c & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3f));
        out[2] = (char)(0x80 | (c >> 6 & 0x3f));
        out[3] = (char)(0x80 | (c & 0x3f));
        return 4;
}

static void test_all_code_points(void)
{
        unsigned wrong = 0;

        for (uint32_t c = 0; c < 0x120000; c++) {
                char text[4];
                unsigned len = encode(c, text);
                bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

                wrong += utf8_char_len((struct str){ text, len }) != (good ? len : 0);
                if (len > 1)
                        wrong += utf8_char_len((struct str){ text, len - 1 }) != 0; /* cut */
        }
        CU_ASSERT_EQUAL(wrong, 0);
}

/* Of all three-byte sequences those that begin with a whole character are as many as the RFC says. */
static void test_all_of_three_bytes(void)
{
        unsigned count[4] = { 0 };

        for (uint32_t n = 0; n < 1u << 24; n++) {
                char text[3] = { (char)(n >> 16), (char)(n >> 8), (char)n };

                count[utf8_char_len((struct str){ text, 3 })]++;
        }
        CU_ASSERT_EQUAL(count[1], 0x80 * 0x10000u);
        CU_ASSERT_EQUAL(count[2], (0x800 - 0x80) * 0x100u);
        CU_ASSERT_EQUAL(count[3], 0x10000u - 0x800 - 0x800);
}

static void test_clean(void)
{
        struct strbuf out = { 0 };

        CU_ASSERT(utf8_is_valid(STR_LIT("")));
        CU_ASSERT(utf8_is_valid(STR_LIT("gr\xc3\xb6\xc3\x9f"
                                        "e")));
        CU_ASSERT(!utf8_is_valid(STR_LIT("a\xff")));
        utf8_add_clean(&out, STR_LIT("a\xff\xc3\xb6\xc0\x80\xe2\x82"));
        CU_ASSERT_STRING_EQUAL(out.data, "a\xef\xbf\xbd\xc3\xb6\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        strbuf_fini(&out);
}

static void test_clip(void)
{
        const struct str text = STR_LIT("a\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80z"); /* 1, 2, 3, 4 and 1 bytes */
        static const size_t ends[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };

        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
                CU_ASSERT_EQUAL(utf8_clip(text, i).len, ends[i]);
        CU_ASSERT(str_is_null(utf8_clip(STR_NULL, 5)));
        CU_ASSERT_EQUAL(utf8_clip(STR_LIT("\x80\x80\x80\x80\x80\x80"), 5).len, 2); /* no characters: still an end */
}

static const struct unit_case cases[] = {
        { "every code point, whole and cut", test_all_code_points },
        { "everything of three bytes", test_all_of_three_bytes },
        { "a text is cut between characters", test_clip },
        { "bytes that are no characters are replaced one by one", test_clean },
};
UNIT_MAIN("utf8", cases)
