/* Goal: names that are given twice are found, all of them and no others. Method: comparing each with each. */
#include "handler/twice.h"

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

static void test_against_all_pairs(void)
{
        enum { COUNT = 300 };
        struct twice_item items[COUNT], sorted[COUNT];
        static char names[COUNT][8];
        uint8_t twice[COUNT];

        srand(1);
        for (unsigned range = 1; range < 1000; range *= 3) {
                unsigned wrong = 0;

                for (int i = 0; i < COUNT; i++) {
                        snprintf(names[i], sizeof names[i], "%u", (unsigned)rand() % range);
                        items[i] = (struct twice_item){ str_of(names[i]), rand() % 2, i };
                        sorted[i] = items[i];
                }
                twice_find(sorted, COUNT, twice);
                for (int i = 0; i < COUNT; i++) {
                        int want = TWICE_NOT;

                        for (int k = COUNT - 1; k >= 0; k--)
                                if (i != k && items[i].kind == items[k].kind && str_equal(items[i].name, items[k].name))
                                        want = k < i ? TWICE_AGAIN : TWICE_FIRST;
                        wrong += want != twice[i];
                }
                CU_ASSERT_EQUAL(wrong, 0);
        }
}

static void test_few(void)
{
        struct twice_item items[] = { { STR_LIT(""), 0, 0 }, { STR_NULL, 0, 1 }, { STR_LIT("a"), 0, 2 } };
        uint8_t twice[3] = { 9, 9, 9 };

        twice_find(items, 0, twice);
        CU_ASSERT(twice[0]);
        twice_find(items, 1, twice);
        CU_ASSERT(!twice[0]);
        twice_find(items, 3, twice);
        CU_ASSERT(twice[0] && twice[1] && !twice[2]); /* no name and an empty one are the same */
}

static const struct unit_case cases[] = {
        { "as comparing each with each", test_against_all_pairs },
        { "none, one, empty names", test_few },
};
UNIT_MAIN("twice", cases)
