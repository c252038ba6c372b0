/* Goal: messages are one line, filtered by level, limited by rate and cannot be forged; identifiers are sound.
 * Method: standard error is a file that is read back. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/diag.h"
#include "unit.h"

static int saved = -1, capture = -1;

static void capture_start(void)
{
        capture = memfd_create("stderr", MFD_CLOEXEC);
        saved = dup(STDERR_FILENO);
        dup2(capture, STDERR_FILENO);
}

static const char *capture_end(void)
{
        static char text[16384];
        ssize_t n;

        dup2(saved, STDERR_FILENO);
        close(saved);
        n = pread(capture, text, sizeof text - 1, 0);
        close(capture);
        text[n > 0 ? n : 0] = '\0';
        return text;
}

static unsigned count_of(const char *text, const char *what)
{
        unsigned n = 0;

        for (; (text = strstr(text, what)); text++)
                n++;
        return n;
}

static void test_lines(void)
{
        char *huge = malloc(5000);
        const char *text;

        memset(huge, 'y', 4999);
        huge[4999] = '\0';
        capture_start();
        errno = EXDEV;
        diag(DIAG_WARN, "first %d\n", 1);
        CU_ASSERT_EQUAL(errno, EXDEV);
        diag(DIAG_DEBUG, "not wanted");
        diag(DIAG_ERROR, "name 'a\nforged line\x1b[2J'");
        diag(DIAG_INFO, "%s", huge);
        diag_set_level(DIAG_ERROR);
        diag(DIAG_WARN, "not wanted");
        diag_set_level(DIAG_INFO);
        text = capture_end();
        CU_ASSERT_EQUAL(count_of(text, "\n"), 3);
        CU_ASSERT_EQUAL(count_of(text, "not wanted"), 0);
        CU_ASSERT_EQUAL(count_of(text, " warning first 1\n"), 1);
        CU_ASSERT_EQUAL(count_of(text, "name 'a?forged line?[2J'\n"), 1);
        CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
        free(huge);
}

static void say_again(int i)
{
        diag_limited(DIAG_WARN, "again %d", i);
}

static void test_limited(void)
{
        const char *text;

        capture_start();
        for (int i = 0; i < 10; i++)
                say_again(i);
        usleep(1100000);
        say_again(10);
        text = capture_end();
        CU_ASSERT_EQUAL(count_of(text, "\n"), 2);
        CU_ASSERT_EQUAL(count_of(text, "again 0\n"), 1);
        CU_ASSERT_EQUAL(count_of(text, "again 10 (9 more like this)\n"), 1);
}

static const char *said_as_json(const struct diag_about *about, const char *text)
{
        capture_start();
        diag_set_format(DIAG_JSON);
        diag_set_node(7);
        diag_about(DIAG_ERROR, about, "%s", text);
        diag_set_format(DIAG_TEXT);
        diag_set_node(-1);
        return capture_end();
}

static void test_json(void)
{
        char huge[4000], quotes[1000];
        const char *text =
                said_as_json(DIAG_ABOUT(DISK_FULL, { "LOG", .text = STR_LIT("t\"\n-0") }, { "OFFSET", .number = -3 }),
                             "a \\ \n and \xff");

        CU_ASSERT_EQUAL(count_of(text, "\n"), 1);
        CU_ASSERT_EQUAL(count_of(text, ",\"level\":\"error\",\"message\":\"a \\\\ ? and ?\",\"message_id\":\""), 1);
        CU_ASSERT_EQUAL(count_of(text, "\",\"node\":7,\"log\":\"t\\\"?-0\",\"offset\":-3}\n"), 1);
        memset(huge, '"', sizeof huge - 1);
        huge[sizeof huge - 1] = '\0';
        memset(quotes, '\\', sizeof quotes);
        text = said_as_json(DIAG_ABOUT(DISK_FULL, { "A", .text = { quotes, sizeof quotes } },
                                       { "B", .text = { quotes, 1000 } }, { "C", .text = { quotes, 1000 } },
                                       { "D", .text = { quotes, 1000 } }, { "E", .text = { quotes, 1000 } },
                                       { "F", .text = { quotes, 1000 } }, { "G", .text = { quotes, 1000 } },
                                       { "H", .text = { quotes, 1000 } }),
                            huge);
        CU_ASSERT_EQUAL(count_of(text, "\n"), 1);
        CU_ASSERT_EQUAL(count_of(text, "\\\\"), 8 * (2 * DIAG_FIELD_LEN_MAX - 1)); /* they overlap */
        CU_ASSERT_EQUAL(count_of(text, "\"}\n"), 1);
}

static void test_uuid(void)
{
        struct uuid before = UUID_ZERO;

        for (int i = 0; i < 5000; i++) {
                struct uuid u = random_uuid();
                char text[UUID_TEXT_SIZE];

                uuid_format(u, text);
                CU_ASSERT(text[0] != '-');
                CU_ASSERT_EQUAL(u.b[6] >> 4, 4);
                CU_ASSERT_EQUAL(u.b[8] >> 6, 2);
                CU_ASSERT_FALSE(uuid_equal(u, before));
                before = u;
        }
}

static void test_clock(void)
{
        int64_t start = clock_mono_ns();

        for (int i = 0; i < 1000; i++) {
                int64_t next = clock_mono_ns();

                CU_ASSERT(next >= start);
                start = next;
        }
        CU_ASSERT(clock_wall_ms() > 1600000000000);
        CU_ASSERT(random_u64() != random_u64());
}

static const struct unit_case cases[] = {
        { "one line to a message", test_lines },
        { "a repeated message is limited and counted", test_limited },
        { "as JSON a message is one object, however long and whatever is in it", test_json },
        { "identifiers are version 4 and never start with '-'", test_uuid },
        { "the clock goes forward", test_clock },
};
UNIT_MAIN("sys/diag", cases)
