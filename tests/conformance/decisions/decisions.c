/* Asks Chronik's authorizer. The language of its standard input is told in decisions.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/builder.h"
#include "security/authorizer.h"

enum { WORDS_MAX = 8 };

static const char *word[WORDS_MAX + 1];

static _Noreturn void fail(const char *what)
{
        fprintf(stderr, "decisions: %s\n", what);
        exit(1);
}

static void split(char *line)
{
        int n = 0;

        line[strcspn(line, "\n")] = '\0';
        for (char *at = line; at && n < WORDS_MAX; n++)
                word[n] = strsep(&at, "\t");
        for (; n <= WORDS_MAX; n++)
                word[n] = "";
}

static struct meta_image *with_rule(struct meta_image *image, uint32_t number)
{
        struct meta_builder b;
        struct meta_image *next;
        struct meta_record r;

        meta_record_init(&r, META_ACL);
        store_be32(r.acl.id.b, number);
        r.acl.resource_type = (int8_t)acl_resource_of(str_of(word[1]));
        r.acl.pattern_type = (int8_t)acl_pattern_of(str_of(word[2]));
        r.acl.resource_name = str_of(word[3]);
        r.acl.principal = str_of(word[4]);
        r.acl.host = str_of(word[5]);
        r.acl.operation = (int8_t)acl_operation_of(str_of(word[6]));
        r.acl.permission = (int8_t)acl_permission_of(str_of(word[7]));
        if (meta_builder_init(&b, image) < 0 || meta_builder_apply(&b, &r, 1) < 0)
                fail("a rule is refused");
        next = meta_builder_finish(&b, 1, 1);
        meta_image_unref(image);
        return next;
}

static bool ask(const struct authorizer *a, const struct meta_image *image)
{
        CLEANUP(principal_unrefp) struct principal *p = NULL;
        struct authorizer_subject who = { .host = str_of(word[2]) };
        enum acl_operation operation = (enum acl_operation)acl_operation_of(str_of(word[3]));
        struct authorizer_object what = { (enum acl_resource)acl_resource_of(str_of(word[4])), str_of(word[5]) };

        if (principal_parse(str_of(word[1]), &p) < 0)
                fail("no principal");
        who.principal = p;
        if (strcmp(word[0], "any") == 0)
                return authorizer_ask_any(a, &image->acls, &who, operation, what.type);
        return authorizer_ask(a, &image->acls, &who, operation, &what).is_allowed;
}

int main(void)
{
        struct meta_image *image = meta_image_new_empty();
        struct authorizer *a = NULL;
        char line[4096];
        uint32_t rules = 0;

        while (fgets(line, sizeof(line), stdin)) {
                split(line);
                if (strcmp(word[0], "world") == 0) {
                        meta_image_unref(image);
                        image = meta_image_new_empty();
                        authorizer_free(a);
                        if (authorizer_new(str_of(word[1]), strcmp(word[2], "yes") == 0, &a) < 0)
                                fail("no authorizer");
                } else if (strcmp(word[0], "rule") == 0) {
                        image = with_rule(image, ++rules);
                } else {
                        puts(ask(a, image) ? "yes" : "no");
                }
        }
        meta_image_unref(image);
        authorizer_free(a);
        return 0;
}
