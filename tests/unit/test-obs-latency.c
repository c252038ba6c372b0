/* Goal: quantiles lie within a bucket's width of the truth, the window forgets, and text is escaped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "obs/expo.h"
#include "obs/latency.h"
#include "unit.h"

static void test_quantiles(void)
{
        struct latency *l = calloc(1, sizeof *l);
        struct latency_view *v = calloc(1, sizeof *v);

        CU_ASSERT(isnan(latency_quantile(v, 0.5)));
        for (int i = 1; i <= 10000; i++)
                latency_record(l, (int64_t)i * 10000, 1000000); /* 10 us .. 100 ms, evenly */
        latency_add(l, 1000000, v);
        CU_ASSERT_EQUAL(v->count, 10000);
        CU_ASSERT_EQUAL(v->window_count, 10000);
        CU_ASSERT(fabs(latency_quantile(v, 0.5) / 0.05 - 1) < 0.05);
        CU_ASSERT(fabs(latency_quantile(v, 0.99) / 0.099 - 1) < 0.05);
        CU_ASSERT(fabs((double)v->sum_ns / 1e9 - 500.05) < 0.01);
        free(l);
        free(v);
}

static void test_window_forgets(void)
{
        struct latency *l = calloc(1, sizeof *l);
        struct latency_view *v = calloc(1, sizeof *v);

        latency_record(l, 5000000, 100000);
        latency_add(l, 100000 + LATENCY_SLICE_MS * LATENCY_SLICES, v); /* nobody wrote since */
        CU_ASSERT_EQUAL(v->window_count, 0);
        CU_ASSERT_EQUAL(v->count, 1);
        latency_record(l, 1000, 100000 + LATENCY_SLICE_MS * (LATENCY_SLICES * 3));
        memset(v, 0, sizeof *v);
        latency_add(l, 100000 + LATENCY_SLICE_MS * (LATENCY_SLICES * 3), v);
        CU_ASSERT_EQUAL(v->window_count, 1); /* the old one is gone from its slice */
        CU_ASSERT_EQUAL(v->count, 2);
        free(l);
        free(v);
}

static void test_extremes(void)
{
        struct latency *l = calloc(1, sizeof *l);
        struct latency_view *v = calloc(1, sizeof *v);

        latency_record(l, -5, 0);
        latency_record(l, 0, 0);
        latency_record(l, INT64_MAX, 0);
        latency_add(l, 0, v);
        CU_ASSERT_EQUAL(v->window_count, 3);
        CU_ASSERT(latency_quantile(v, 0) < 1e-6);
        CU_ASSERT(latency_quantile(v, 1) > 100);
        free(l);
        free(v);
}

static void test_text(void)
{
        struct strbuf b = { 0 };

        expo_family(&b, "x_total", "counter", "Help.");
        expo_value(&b, "x_total", "",
                   (struct expo_label[]){ { "a", STR_LIT("q\"b\\s\nn") }, { "b", STR_LIT("") }, { 0 } }, 3);
        expo_value(&b, "x_total", "", NULL, 0.25);
        expo_value(&b, "x_total", "", NULL, NAN);
        CU_ASSERT_STRING_EQUAL(b.data, "# HELP x_total Help.\n# TYPE x_total counter\n"
                                       "x_total{a=\"q\\\"b\\\\s\\nn\",b=\"\"} 3\nx_total 0.25\nx_total NaN\n");
        strbuf_fini(&b);
}

static const struct unit_case cases[] = {
        { "quantiles", test_quantiles },
        { "the window forgets", test_window_forgets },
        { "extremes", test_extremes },
        { "text", test_text },
};
UNIT_MAIN("obs", cases)
