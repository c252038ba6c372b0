/* Goal: what is wrong with certificates and keys is found when they are loaded, and said with the file's name and what
 * would be right. Method: certificates made here, each wrong in one way. */
#include "tls-files.h"

#include "sys/clock.h"

static struct tls_pair ca, other_ca;

static void refused(const char *name, const char *ca_name, int r_wanted, const char *words, const char *file)
{
        struct tls_context *x = NULL;
        char why[TLS_WHY_SIZE] = "";

        CU_ASSERT_EQUAL(tls_load(name, ca_name, true, &x, why), r_wanted);
        CU_ASSERT_PTR_NULL(x);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, words));
        CU_ASSERT_PTR_EQUAL(strstr(why, tls_path(file)), why);
        if (!strstr(why, words))
                fprintf(stderr, "not in it: %s\n  it says: %s\n", words, why);
        tls_context_unref(x);
}

static void begin(void)
{
        tls_dir_begin();
        ca = tls_authority("authority");
        other_ca = tls_authority("another authority");
        tls_write("ca.pem", ca.certificate);
        tls_write("other-ca.pem", other_ca.certificate);
        tls_issue_files("good", "chronik://node/7", &ca, -HOUR_S, HOUR_S / 2);
}

static void end(void)
{
        tls_pair_fini(&ca);
        tls_pair_fini(&other_ca);
        tls_dir_end();
}

static void test_good(void)
{
        char why[TLS_WHY_SIZE], uri[TLS_URI_SIZE], both[8192];
        struct tls_context *x;
        int64_t left_ms;

        begin();
        CU_ASSERT_EQUAL_FATAL(tls_load("good", "ca.pem", true, &x, why), 0);
        CU_ASSERT_EQUAL(tls_context_uri(x, "chronik://node/", uri), 0);
        CU_ASSERT_STRING_EQUAL(uri, "chronik://node/7");
        CU_ASSERT_EQUAL(tls_context_uri(x, "spiffe://", uri), -ENOENT);
        left_ms = tls_context_end_ms(x) - clock_wall_ms();
        CU_ASSERT(left_ms > (HOUR_S / 2 - 60) * 1000 && left_ms <= HOUR_S / 2 * 1000);
        tls_context_unref(x);
        snprintf(both, sizeof both, "%s%s", other_ca.certificate, ca.certificate);
        tls_write("both.pem", both); /* while an authority is replaced */
        CU_ASSERT_EQUAL_FATAL(tls_load("good", "both.pem", true, &x, why), 0);
        tls_context_unref(x);
        CU_ASSERT_EQUAL_FATAL(tls_load("good", NULL, false, &x, why), 0);
        tls_context_unref(x);
        end();
}

static void test_files(void)
{
        struct tls_pair p;

        begin();
        refused("none", "ca.pem", -ENOENT, "cannot be read: No such file", "none.pem");
        refused("good", "none.pem", -ENOENT, "cannot be read: No such file", "none.pem");
        tls_write("text.pem", "certificate");
        tls_write("text.key", "key");
        refused("text", "ca.pem", -EINVAL, "there is no certificate in it", "text.pem");
        tls_issue_files("x", NULL, &ca, 0, HOUR_S);
        tls_write("x.key", "key");
        refused("x", "ca.pem", -EINVAL, "there is no private key in it", "x.key");
        tls_write("x.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                           "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgrM9Io5nzd5AICCAAw\n"
                           "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEFlvQYv2CbnDzAzr6k1cRmgEgZBR\n"
                           "-----END ENCRYPTED PRIVATE KEY-----\n");
        refused("x", "ca.pem", -EINVAL, "private key", "x.key");
        tls_issue_files("cut", "chronik://node/7", &ca, 0, HOUR_S);
        p = tls_authority("cut");
        p.certificate[strlen(p.certificate) - 60] = '\0';
        tls_write("cut.pem", p.certificate);
        refused("cut", "ca.pem", -EINVAL, "cannot be read", "cut.pem");
        tls_pair_fini(&p);
        end();
}

static void test_pairs_and_times(void)
{
        begin();
        tls_issue_files("a", "chronik://node/1", &ca, -HOUR_S, HOUR_S);
        tls_issue_files("b", "chronik://node/2", &ca, -HOUR_S, HOUR_S);
        CU_ASSERT_EQUAL(file_rename(tls_path("b.key"), tls_path("a.key")), 0);
        refused("a", "ca.pem", -EINVAL, "the key is not that of the first certificate", "a.key");
        tls_issue_files("old", "chronik://node/1", &ca, -HOUR_S, -60);
        refused("old", "ca.pem", -EINVAL, "was valid until 20", "old.pem");
        tls_issue_files("new", "chronik://node/1", &ca, 600, HOUR_S);
        refused("new", "ca.pem", -EINVAL, "is valid from 20", "new.pem");
        end();
}

static void test_chains(void)
{
        char text[16384], why[TLS_WHY_SIZE];
        struct tls_subject s = { .name = "intermediate", .authority = true, .to_s = HOUR_S };
        struct tls_pair mid, leaf;
        struct tls_context *x;

        begin();
        refused("good", "other-ca.pem", -EINVAL, "has to be issued by that authority", "good.pem");
        tls_write("self.pem", other_ca.certificate); /* of an authority, which is for nothing else */
        tls_write("self.key", other_ca.key);
        refused("self", "other-ca.pem", -EINVAL, "for both serverAuth and clientAuth", "self.pem");
        /* An authority that was itself issued; ours say how long a chain may be, so the anchor is the one in the
         * middle. */
        CU_ASSERT_EQUAL_FATAL(tls_issue(&s, &ca, &mid), 0);
        s = (struct tls_subject){ .name = "leaf", .uri = "chronik://node/3", .to_s = HOUR_S };
        CU_ASSERT_EQUAL_FATAL(tls_issue(&s, &mid, &leaf), 0);
        tls_write("mid.pem", mid.certificate);
        tls_write("leaf.pem", leaf.certificate);
        tls_write("leaf.key", leaf.key);
        CU_ASSERT_EQUAL(tls_load("leaf", "mid.pem", true, &x, why), 0);
        tls_context_unref(x);
        refused("leaf", "ca.pem", -EINVAL, "what lies between them has to be in the file", "leaf.pem");
        snprintf(text, sizeof text, "%s%s", leaf.certificate, mid.certificate);
        tls_write("leaf.pem", text);
        refused("leaf", "ca.pem", -EINVAL, "path length", "leaf.pem");
        CU_ASSERT_EQUAL(tls_issue(&s, &(struct tls_pair){ ca.certificate, other_ca.key }, &leaf), -EINVAL);
        tls_pair_fini(&mid);
        tls_pair_fini(&leaf);
        end();
}

static void test_slot(void)
{
        struct tls_context *x, *seen;
        struct tls_slot *slot;
        char why[TLS_WHY_SIZE], uri[TLS_URI_SIZE];

        begin();
        tls_issue_files("next", "chronik://node/8", &ca, -HOUR_S, HOUR_S);
        slot = tls_slot_of("good", "ca.pem", true);
        seen = tls_slot_get(slot);
        CU_ASSERT_EQUAL_FATAL(tls_load("next", "ca.pem", true, &x, why), 0);
        tls_slot_set(slot, x);
        CU_ASSERT_EQUAL(tls_context_uri(seen, "chronik", uri), 0); /* as long as somebody has it */
        CU_ASSERT_STRING_EQUAL(uri, "chronik://node/7");
        tls_context_unref(seen);
        seen = tls_slot_get(slot);
        CU_ASSERT_EQUAL(tls_context_uri(seen, "chronik", uri), 0);
        CU_ASSERT_STRING_EQUAL(uri, "chronik://node/8");
        tls_context_unref(seen);
        tls_slot_free(slot);
        end();
}

static const struct unit_case cases[] = {
        { "what is right", test_good }, { "files", test_files },    { "pairs and times", test_pairs_and_times },
        { "chains", test_chains },      { "replacing", test_slot },
};

UNIT_MAIN("net tls context", cases)
