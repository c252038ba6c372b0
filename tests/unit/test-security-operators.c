/* Goal: a token gives its role and no other text does; a file with a mistake is refused with the line. Method: files as texts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "security/operators.h"
#include "unit.h"

static char why[OPERATORS_WHY_SIZE];

static int read_text(const char *text, struct operators **ret)
{
        return operators_read(str_of(text), ret, why);
}

static void make(uint8_t first, char token[OPERATOR_TOKEN_SIZE], char hash[OPERATOR_HASH_SIZE])
{
        uint8_t seed[OPERATOR_SEED_LEN] = { first };

        operator_token_make(seed, token);
        operator_token_hash(str_of(token), hash);
}

static void test_hash(void)
{
        char hash[OPERATOR_HASH_SIZE];

        operator_token_hash(STR_LIT("abc"), hash); /* FIPS 180-4, as everybody computes it */
        CU_ASSERT_STRING_EQUAL(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_find(void)
{
        CLEANUP(operators_freep) struct operators *o = NULL;
        char token[3][OPERATOR_TOKEN_SIZE], hash[3][OPERATOR_HASH_SIZE], text[600];
        const char *name = "untouched";

        for (uint8_t i = 0; i < 3; i++)
                make(i, token[i], hash[i]);
        for (char *c = hash[1]; *c; c++)
                if (*c >= 'a')
                        *c = (char)(*c - 'a' + 'A'); /* others write it so */
        snprintf(text, sizeof text, "# who\r\n\n eve\tviewer  %s\r\nbob operator %s\n  # x y z\nann admin %s", hash[0],
                 hash[1], hash[2]);
        CU_ASSERT_EQUAL_FATAL(read_text(text, &o), 0);
        CU_ASSERT_EQUAL(operators_find(o, str_of(token[0]), &name), OPERATOR_VIEWER);
        CU_ASSERT_STRING_EQUAL(name, "eve");
        CU_ASSERT_EQUAL(operators_find(o, str_of(token[1]), &name), OPERATOR_OPERATOR);
        CU_ASSERT_STRING_EQUAL(name, "bob");
        CU_ASSERT_EQUAL(operators_find(o, str_of(token[2]), &name), OPERATOR_ADMIN);
        CU_ASSERT_STRING_EQUAL(name, "ann");
        name = "untouched";
        CU_ASSERT_EQUAL(operators_find(o, str_of(hash[2]), &name), OPERATOR_NOBODY);
        CU_ASSERT_EQUAL(operators_find(o, (struct str){ token[2], strlen(token[2]) - 1 }, &name), OPERATOR_NOBODY);
        CU_ASSERT_EQUAL(operators_find(o, STR_LIT(""), &name), OPERATOR_NOBODY);
        CU_ASSERT_STRING_EQUAL(name, "untouched");
}

static void refuse(const char *text, const char *says)
{
        struct operators *o = NULL;

        CU_ASSERT_EQUAL(read_text(text, &o), -EINVAL);
        CU_ASSERT_PTR_NULL(o);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, says));
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_mistakes(void)
{
        refuse("a viewer", "line 1: what follows the role is no SHA-256");
        refuse("\n\na", "line 3: the role");
        refuse("a Viewer " HASH, "the role is none of");
        refuse("a nobody " HASH, "the role is none of");
        refuse("a viewer " HASH "0", "no SHA-256");
        refuse("a viewer x" HASH, "no SHA-256");
        refuse("a viewer " HASH " b", "something follows");
        refuse("a/b viewer " HASH, "the name may have");
        refuse("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa viewer " HASH, "the name may have");
        refuse("a viewer " HASH "\na admin " HASH, "line 2: there is a token of that name");
}

static void test_limit(void)
{
        CLEANUP(operators_freep) struct operators *o = NULL;
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

        for (int i = 0; i < OPERATORS_MAX; i++)
                strbuf_printf(&text, "t%d viewer " HASH "\n", i);
        CU_ASSERT_EQUAL(read_text(text.data, &o), 0);
        strbuf_add_c(&text, "# this is no token\n\n");
        operators_free(TAKE_PTR(o));
        CU_ASSERT_EQUAL(read_text(text.data, &o), 0);
        strbuf_add_c(&text, "more viewer " HASH);
        refuse(text.data, "line 259: there are more than 256");
}

static void test_empty(void)
{
        CLEANUP(operators_freep) struct operators *o = NULL;
        const char *name;

        CU_ASSERT_EQUAL_FATAL(operators_read((struct str){ NULL, 0 }, &o, why), 0);
        CU_ASSERT_EQUAL(operators_find(o, STR_LIT("x"), &name), OPERATOR_NOBODY);
}

static const struct unit_case cases[] = {
        { "the hash", test_hash },  { "tokens and roles", test_find }, { "mistakes", test_mistakes },
        { "how many", test_limit }, { "an empty file", test_empty },
};
UNIT_MAIN("operators", cases)
