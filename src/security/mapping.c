#include "security/mapping.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>

enum { STEPS_MAX = 100000, DEPTH_MAX = 1000, HEAP_KIB_MAX = 1024 };

enum letters { LETTERS_AS_THEY_ARE, LETTERS_SMALL, LETTERS_LARGE };

struct rule {
        pcre2_code *code; /* NULL: DEFAULT, which gives back what comes */
        char *replacement;
        size_t replacement_len;
        enum letters letters;
};

struct mapping {
        pcre2_match_context *limits;
        size_t rules_count;
        struct rule rules[MAPPING_RULES_MAX];
};

struct mapping *mapping_free(struct mapping *m)
{
        if (!m)
                return NULL;
        for (size_t i = 0; i < m->rules_count; i++) {
                pcre2_code_free(m->rules[i].code);
                free(m->rules[i].replacement);
        }
        pcre2_match_context_free(m->limits);
        free(m);
        return NULL;
}

/* ---- reading rules ---- */

static bool skip(struct str *rest, struct str word)
{
        if (rest->len < word.len || memcmp(rest->p, word.p, word.len))
                return false;
        *rest = (struct str){ rest->p + word.len, rest->len - word.len };
        return true;
}

static void skip_blanks(struct str *rest)
{
        while (rest->len && (rest->p[0] == ' ' || rest->p[0] == '\t' || rest->p[0] == '\n' || rest->p[0] == '\r'))
                *rest = (struct str){ rest->p + 1, rest->len - 1 };
}

/* Up to the next bare '/', which is taken too. */
static bool take_part(struct str *rest, struct str *ret)
{
        for (size_t i = 0; i < rest->len; i++) {
                if (rest->p[i] == '\\') {
                        i++;
                } else if (rest->p[i] == '/') {
                        *ret = (struct str){ rest->p, i };
                        *rest = (struct str){ rest->p + i + 1, rest->len - i - 1 };
                        return true;
                }
        }
        return false;
}

/* '$' means a group, and '\' takes the next character as it is: neither may stand at the end or before anything else. */
static bool replacement_is_fine(struct str s)
{
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] == '$' && (i + 1 == s.len || s.p[i + 1] < '0' || s.p[i + 1] > '9'))
                        return false;
                if (s.p[i] != '\\')
                        continue;
                i++;
                if (i == s.len)
                        return false;
        }
        return true;
}

static int compile(struct rule *rule, struct str pattern, char why[MAPPING_WHY_SIZE])
{
        PCRE2_UCHAR message[120];
        PCRE2_SIZE at;
        int error;

        rule->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                                   NULL);
        if (rule->code)
                return 0;
        pcre2_get_error_message(error, message, sizeof message);
        snprintf(why, MAPPING_WHY_SIZE, "the pattern '%.*s' cannot be read: %s at character %zu",
                 (int)MIN2(pattern.len, (size_t)80), pattern.p, (const char *)message, (size_t)at + 1);
        return error == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EINVAL;
}

/* What follows "RULE:". */
static int read_rule(struct mapping *m, struct str *rest, char why[MAPPING_WHY_SIZE])
{
        struct rule *rule = &m->rules[m->rules_count++];
        struct str pattern, replacement;
        int r;

        if (!take_part(rest, &pattern) || !take_part(rest, &replacement)) {
                snprintf(why, MAPPING_WHY_SIZE,
                         "a rule is RULE:PATTERN/REPLACEMENT/, with a '/' behind each of the two");
                return -EINVAL;
        }
        if (!replacement_is_fine(replacement)) {
                snprintf(why, MAPPING_WHY_SIZE,
                         "the replacement '%.*s' has a $ without the number of a group, or a \\ at its end",
                         (int)MIN2(replacement.len, (size_t)80), replacement.p);
                return -EINVAL;
        }
        if (skip(rest, STR_LIT("L")))
                rule->letters = LETTERS_SMALL;
        else if (skip(rest, STR_LIT("U")))
                rule->letters = LETTERS_LARGE;
        r = compile(rule, pattern, why);
        if (r)
                return r;
        rule->replacement = strndup(replacement.p, replacement.len);
        rule->replacement_len = replacement.len;
        return rule->replacement ? 0 : -ENOMEM;
}

static int read_rules(struct mapping *m, struct str rest, char why[MAPPING_WHY_SIZE])
{
        int r = 0;

        for (skip_blanks(&rest); rest.len; skip_blanks(&rest)) {
                if (m->rules_count == MAPPING_RULES_MAX) {
                        snprintf(why, MAPPING_WHY_SIZE, "there are more than %d rules", MAPPING_RULES_MAX);
                        return -EINVAL;
                }
                if (skip(&rest, STR_LIT("RULE:"))) {
                        r = read_rule(m, &rest, why);
                        if (r)
                                return r;
                } else if (skip(&rest, STR_LIT("DEFAULT"))) {
                        m->rules_count++;
                }
                skip_blanks(&rest);
                if (rest.len && !skip(&rest, STR_LIT(","))) {
                        snprintf(why, MAPPING_WHY_SIZE, "'%.*s' is neither DEFAULT nor a RULE:, with a comma behind it",
                                 (int)MIN2(rest.len, (size_t)80), rest.p);
                        return -EINVAL;
                }
        }
        if (m->rules_count)
                return 0;
        snprintf(why, MAPPING_WHY_SIZE, "there is no rule; give DEFAULT to take subjects as they are");
        return -EINVAL;
}

int mapping_new(struct str rules, struct mapping **ret_mapping, char why[MAPPING_WHY_SIZE])
{
        CLEANUP(mapping_freep) struct mapping *m = calloc(1, sizeof *m);
        int r;

        if (!m)
                return -ENOMEM;
        m->limits = pcre2_match_context_create(NULL);
        if (!m->limits)
                return -ENOMEM;
        pcre2_set_match_limit(m->limits, STEPS_MAX);
        pcre2_set_depth_limit(m->limits, DEPTH_MAX);
        pcre2_set_heap_limit(m->limits, HEAP_KIB_MAX);
        r = read_rules(m, rules, why);
        if (r)
                return r;
        *ret_mapping = TAKE_PTR(m);
        return 0;
}

/* ---- applying them ---- */

/* The replacement of one match. A group's number has as many digits as still name a group, as in Java; one that does not exist stays
 * as it is written (KIP-371). */
static void add_replacement(const struct rule *rule, struct str name, const PCRE2_SIZE *at, struct strbuf *out)
{
        uint32_t groups = 0;

        (void)pcre2_pattern_info(rule->code, PCRE2_INFO_CAPTURECOUNT, &groups); /* cannot fail for a code that is one */
        for (size_t i = 0; i < rule->replacement_len; i++) {
                const char *p = rule->replacement + i;
                uint32_t group;

                if (*p == '\\') {
                        strbuf_add(out, p + 1, 1);
                        i++;
                        continue;
                }
                if (*p != '$' || (group = (uint32_t)(p[1] - '0')) > groups) {
                        strbuf_add(out, p, 1);
                        continue;
                }
                i++;
                while (i + 1 < rule->replacement_len && rule->replacement[i + 1] >= '0' &&
                       rule->replacement[i + 1] <= '9' &&
                       group * 10 + (uint32_t)(rule->replacement[i + 1] - '0') <= groups)
                        group = group * 10 + (uint32_t)(rule->replacement[++i] - '0');
                if (at[2 * group] != PCRE2_UNSET)
                        strbuf_add(out, name.p + at[2 * group], at[2 * group + 1] - at[2 * group]);
        }
}

/* Bytes of the character at @at. */
static size_t step(struct str name, size_t at)
{
        size_t end = at + 1;

        while (end < name.len && ((uint8_t)name.p[end] & 0xc0) == 0x80)
                end++;
        return end - at;
}

/* Every match in @name replaced, from left to right. An empty one counts too, also at the end of the one before it, as in Java. */
static int replace_all(const struct mapping *m, const struct rule *rule, struct str name, pcre2_match_data *data,
                       struct strbuf *out)
{
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
        size_t done = 0, from = 0;

        while (from <= name.len) {
                int n = pcre2_match(rule->code, (PCRE2_SPTR)name.p, name.len, from, PCRE2_NO_UTF_CHECK, data,
                                    m->limits);

                if (n == PCRE2_ERROR_NOMATCH)
                        break;
                if (n < 0)
                        return n == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -ENOENT;
                if (at[0] > at[1] || at[0] < done) /* \K does that */
                        return -ENOENT;
                strbuf_add(out, name.p + done, at[0] - done);
                add_replacement(rule, name, at, out);
                done = at[1];
                from = at[1] > at[0] ? at[1] : at[1] + step(name, at[1]);
        }
        strbuf_add(out, name.p + done, name.len - done);
        return out->failed ? -ENOMEM : 0;
}

/* As Java's toLowerCase(Locale.ENGLISH) for ASCII; other letters stay as they are. */
static void change_letters(struct strbuf *b, size_t from, enum letters letters)
{
        for (size_t i = from; i < b->len; i++) {
                char c = b->data[i];

                if (letters == LETTERS_SMALL && c >= 'A' && c <= 'Z')
                        b->data[i] = (char)(c + 'a' - 'A');
                if (letters == LETTERS_LARGE && c >= 'a' && c <= 'z')
                        b->data[i] = (char)(c - 'a' + 'A');
        }
}

/* Return: 0; -ENOENT: it does not match; -ENOMEM. */
static int apply(const struct mapping *m, const struct rule *rule, struct str name, struct strbuf *out)
{
        pcre2_match_data *data = pcre2_match_data_create_from_pattern(rule->code, NULL);
        size_t before = out->len;
        int r;

        if (!data)
                return -ENOMEM;
        r = pcre2_match(rule->code, (PCRE2_SPTR)name.p, name.len, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED, data,
                        m->limits);
        if (r >= 0)
                r = replace_all(m, rule, name, data, out);
        else
                r = r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -ENOENT;
        if (!r)
                change_letters(out, before, rule->letters);
        else
                out->len = before;
        pcre2_match_data_free(data);
        return r;
}

int mapping_apply(const struct mapping *m, struct str name, struct strbuf *out)
{
        for (size_t i = 0; i < m->rules_count; i++) {
                int r;

                if (!m->rules[i].code) {
                        strbuf_add(out, name.p, name.len);
                        return out->failed ? -ENOMEM : 0;
                }
                r = apply(m, &m->rules[i], name, out);
                if (r != -ENOENT)
                        return r;
        }
        return -ENOENT;
}
