#include "base/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"

enum { STEPS_MAX = 20000, DEPTH_MAX = 1000, HEAP_KIB_MAX = 256 };

struct pattern {
        pcre2_code *code;
        pcre2_match_data *data;
        pcre2_match_context *limits;
};

struct pattern *pattern_free(struct pattern *p)
{
        if (!p)
                return NULL;
        pcre2_match_data_free(p->data);
        pcre2_match_context_free(p->limits);
        pcre2_code_free(p->code);
        free(p);
        return NULL;
}

DEFINE_FREEP(struct pattern, pattern_free)

/* What RE2 does not have begins with "(?" and one of these, or is a back reference. */
static const char *find_foreign(struct str text)
{
        for (size_t i = 0; i + 1 < text.len; i++) {
                if (text.p[i] == '\\') {
                        if (text.p[i + 1] >= '1' && text.p[i + 1] <= '9')
                                return "back references are not possible";
                        if (text.p[i + 1] == 'k' || text.p[i + 1] == 'g')
                                return "back references are not possible";
                        i++;
                } else if (text.p[i] == '(' && text.p[i + 1] == '?' && i + 2 < text.len) {
                        char c = text.p[i + 2], d = i + 3 < text.len ? text.p[i + 3] : 0;

                        if (c == '=' || c == '!' || (c == '<' && (d == '=' || d == '!')))
                                return "looking ahead or behind is not possible";
                        if (c == '>' || c == '|' || c == '(' || c == 'R' || c == '&' || c == '+' ||
                            (c >= '0' && c <= '9') || (c == 'P' && (d == '=' || d == '>')))
                                return "atomic groups, conditions and recursion are not possible";
                } else if (text.p[i] == '(' && text.p[i + 1] == '*') {
                        return "verbs are not possible";
                }
        }
        return NULL;
}

int pattern_new(struct str text, struct pattern **ret_pattern, char why[PATTERN_WHY_SIZE])
{
        CLEANUP(pattern_freep) struct pattern *p = NULL;
        const char *foreign = find_foreign(text);
        PCRE2_UCHAR message[120];
        PCRE2_SIZE at;
        int error;

        if (foreign || text.len > PATTERN_LEN_MAX) {
                snprintf(why, PATTERN_WHY_SIZE, "%s", foreign ? foreign : "it is longer than 4096 bytes");
                return -EINVAL;
        }
        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;
        p->code = pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.len,
                                PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                                NULL);
        if (!p->code) {
                pcre2_get_error_message(error, message, sizeof message);
                snprintf(why, PATTERN_WHY_SIZE, "%s at character %zu", (const char *)message, (size_t)at + 1);
                return error == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
        }
        p->data = pcre2_match_data_create(1, NULL);
        p->limits = pcre2_match_context_create(NULL);
        if (!p->data || !p->limits)
                return -ENOMEM;
        pcre2_set_match_limit(p->limits, STEPS_MAX);
        pcre2_set_depth_limit(p->limits, DEPTH_MAX);
        pcre2_set_heap_limit(p->limits, HEAP_KIB_MAX);
        *ret_pattern = TAKE_PTR(p);
        return 0;
}

bool pattern_matches(struct pattern *p, struct str s)
{
        return pcre2_match(p->code, (PCRE2_SPTR)(s.p ? s.p : ""), s.len, 0, 0, p->data, p->limits) >= 0;
}
