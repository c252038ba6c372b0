/* What every unit test program shares: a table of cases, run by CUnit, with a non-zero exit status when one fails. */
#pragma once

#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

struct unit_case {
        const char *name;
        void (*fn)(void);
};

static inline int unit_run(const char *suite_name, const struct unit_case *cases, unsigned count)
{
        CU_pSuite suite;
        unsigned failed;

        if (CU_initialize_registry() != CUE_SUCCESS)
                return 2;
        suite = CU_add_suite(suite_name, NULL, NULL);
        if (!suite)
                return 2;
        for (unsigned i = 0; i < count; i++)
                if (!CU_add_test(suite, cases[i].name, cases[i].fn))
                        return 2;
        CU_basic_set_mode(CU_BRM_NORMAL);
        CU_basic_run_tests();
        failed = CU_get_number_of_tests_failed() + (CU_get_number_of_tests_run() != count);
        CU_cleanup_registry();
        return failed ? 1 : 0;
}

#define UNIT_MAIN(suite_name, cases) \
        int main(void) \
        { \
                return unit_run(suite_name, cases, sizeof(cases) / sizeof((cases)[0])); \
        }
