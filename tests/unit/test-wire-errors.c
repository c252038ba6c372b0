/* Goal: the tables of error codes and API keys answer for every key, in and out of range. Method: walk them. */
#include "unit.h"
#include "wire/api.h"
#include "wire/errors.h"

static void every_code_has_its_row(void)
{
        int16_t next = -1;

#define CHECK(code, name, retriable, message) \
        CU_ASSERT_EQUAL(KERR_##name, next); \
        CU_ASSERT_STRING_EQUAL(wire_error_name(code), #name); \
        CU_ASSERT_EQUAL(wire_error_retriable(code), retriable); \
        CU_ASSERT(str_equal_c(wire_error_message(code), message)); \
        next++;
        WIRE_ERRORS(CHECK)
#undef CHECK
        CU_ASSERT_EQUAL(next, 134);
}

static void other_codes(void)
{
        CU_ASSERT_STRING_EQUAL(wire_error_name(-2), "UNKNOWN_SERVER_ERROR");
        CU_ASSERT_STRING_EQUAL(wire_error_name(134), "UNKNOWN_SERVER_ERROR");
        CU_ASSERT_STRING_EQUAL(wire_error_name(INT16_MAX), "UNKNOWN_SERVER_ERROR");
        CU_ASSERT_STRING_EQUAL(wire_error_name(INT16_MIN), "UNKNOWN_SERVER_ERROR");
        CU_ASSERT_TRUE(wire_error_retriable(KERR_NOT_LEADER_OR_FOLLOWER));
        CU_ASSERT_FALSE(wire_error_retriable(KERR_REBALANCE_IN_PROGRESS));
}

static void find_api(void)
{
        const struct wire_api *fetch = wire_api_find(1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(fetch);
        CU_ASSERT_STRING_EQUAL(fetch->name, "Fetch");
        CU_ASSERT_TRUE(wire_api_has_version(fetch, 4));
        CU_ASSERT_FALSE(wire_api_has_version(fetch, 3));
        CU_ASSERT_FALSE(wire_api_has_version(fetch, 19));
        for (size_t i = 0; i < wire_apis_count; i++)
                CU_ASSERT_PTR_EQUAL(wire_api_find(wire_apis[i].key), &wire_apis[i]);
        CU_ASSERT_PTR_NULL(wire_api_find(-1));
        CU_ASSERT_PTR_NULL(wire_api_find(4)); /* LeaderAndIsr is gone since 4.0 */
        CU_ASSERT_PTR_NULL(wire_api_find(INT16_MAX));
}

static void headers(void)
{
        CU_ASSERT_EQUAL(wire_api_request_header(wire_api_find(1), 11), 1);
        CU_ASSERT_EQUAL(wire_api_request_header(wire_api_find(1), 12), 2);
        CU_ASSERT_EQUAL(wire_api_response_header(wire_api_find(1), 11), 0);
        CU_ASSERT_EQUAL(wire_api_response_header(wire_api_find(1), 12), 1);
        CU_ASSERT_EQUAL(wire_api_request_header(wire_api_find(18), 3), 2);
        CU_ASSERT_EQUAL(wire_api_response_header(wire_api_find(18), 4), 0); /* KIP-511 */
        CU_ASSERT_EQUAL(wire_api_request_header(wire_api_find(17), 1), 1);  /* SaslHandshake is never flexible */
        CU_ASSERT_EQUAL(wire_api_response_header(wire_api_find(17), 1), 0);
}

static const struct unit_case cases[] = {
        { "every_code_has_its_row", every_code_has_its_row },
        { "other_codes", other_codes },
        { "find_api", find_api },
        { "headers", headers },
};
UNIT_MAIN("wire-errors", cases)
