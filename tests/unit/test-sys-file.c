/* Goal: files are written whole, replaced whole, listed, locked and removed as the header says, and errors come out as
 * errno. Method: a folder of its own below $TMPDIR. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "unit.h"

static char root[128];

static const char *at(const char *name)
{
        static char paths[4][256];
        static unsigned turn;
        char *path = paths[turn++ % 4];

        snprintf(path, sizeof paths[0], "%s/%s", root, name);
        return path;
}

static void set_up(void)
{
        const char *tmp = getenv("TMPDIR");

        snprintf(root, sizeof root, "%s/chronik-file-XXXXXX", tmp ? tmp : "/tmp");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
}

static void expect_content(const char *name, const char *content)
{
        char *data;
        size_t len;

        CU_ASSERT_EQUAL_FATAL(file_read_whole(at(name), 1 << 20, &data, &len), 0);
        CU_ASSERT_EQUAL(len, strlen(content));
        CU_ASSERT_STRING_EQUAL(data, content);
        free(data);
}

static void test_read_write(void)
{
        enum { PIECES = 3000 };
        static char bytes[PIECES];
        struct iovec iov[PIECES];
        char buf[PIECES + 10];
        int fd;

        set_up();
        CU_ASSERT_EQUAL(file_open(at("none"), O_RDONLY), -ENOENT);
        CU_ASSERT_EQUAL(file_close(-1), -1);
        fd = file_open(at("data"), O_RDWR | O_CREAT);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        for (int i = 0; i < PIECES; i++) {
                bytes[i] = (char)('a' + i % 26);
                iov[i] = (struct iovec){ &bytes[i], i != 0 && i != 7 }; /* more than the kernel takes at once */
        }
        CU_ASSERT_EQUAL(file_pwritev_all(fd, iov, PIECES, 5), 0);
        CU_ASSERT_EQUAL(file_size(fd), PIECES - 2 + 5);
        CU_ASSERT_EQUAL(file_pread(fd, buf, sizeof buf, 5), PIECES - 2);
        CU_ASSERT(!memcmp(buf, bytes + 1, 6) && !memcmp(buf + 6, bytes + 8, PIECES - 8));
        CU_ASSERT_EQUAL(file_pread(fd, buf, 10, 1 << 20), 0);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, NULL, 0, 0), 0);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, "xyz", 3, 0), 0);
        CU_ASSERT_EQUAL(file_truncate(fd, 3), 0);
        CU_ASSERT_EQUAL(file_sync(fd), 0);
        expect_content("data", "xyz");
        file_close(fd);
        fd = file_open(at("data"), O_RDONLY);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, "x", 1, 0), -EBADF);
        file_close(fd);
        fd = file_open("/dev/full", O_WRONLY);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, "x", 1, 0), -ENOSPC);
        file_close(fd);
        CU_ASSERT_EQUAL(file_sync(-1), -EBADF);
        file_remove_tree(root);
}

static void test_nowait(void)
{
        char buf[8192];
        int fd;
        ssize_t n;

        set_up();
        fd = file_open(at("data"), O_RDWR | O_CREAT);
        memset(buf, 7, sizeof buf);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, buf, sizeof buf, 0), 0);
        n = file_pread_nowait(fd, buf, sizeof buf, 0);
        CU_ASSERT(n == (ssize_t)sizeof buf || n == -EOPNOTSUPP);
        if (n > 0) {
                CU_ASSERT_EQUAL(file_pread_nowait(fd, buf, sizeof buf, 8000), 192);
                /* Written back and dropped from the cache, the kernel has to say so or to have kept it. */
                CU_ASSERT_EQUAL(file_sync(fd), 0);
                posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
                n = file_pread_nowait(fd, buf, sizeof buf, 0);
                CU_ASSERT(n == -EAGAIN || n == (ssize_t)sizeof buf);
        }
        file_close(fd);
        file_remove_tree(root);
}

static void test_reserve(void)
{
        struct stat st;
        int fd, r;

        set_up();
        fd = file_open(at("data"), O_RDWR | O_CREAT);
        r = file_reserve(fd, 0, 1 << 20);
        CU_ASSERT(r == 0 || r == -EOPNOTSUPP);
        CU_ASSERT_EQUAL(file_size(fd), 0);
        fstat(fd, &st);
        if (!r)
                CU_ASSERT(st.st_blocks >= (1 << 20) / 512);
        file_close(fd);
        file_remove_tree(root);
}

static void test_read_whole_limit(void)
{
        char *data = NULL;
        size_t len = 77;

        set_up();
        CU_ASSERT_EQUAL(file_replace(at("f"), span_of("12345", 5)), 0);
        CU_ASSERT_EQUAL(file_read_whole(at("f"), 4, &data, &len), -EFBIG);
        CU_ASSERT_PTR_NULL(data);
        CU_ASSERT_EQUAL(len, 77);
        CU_ASSERT_EQUAL(file_read_whole(at("f"), 5, &data, &len), 0);
        CU_ASSERT_EQUAL(len, 5);
        free(data);
        CU_ASSERT_EQUAL(file_read_whole(root, 5000000, &data, &len), -EISDIR);
        CU_ASSERT_EQUAL(file_read_whole("/proc/self/status", 1 << 20, &data, &len), 0);
        CU_ASSERT(len > 100 && strlen(data) == len); /* its size is said to be 0 */
        free(data);
        file_remove_tree(root);
}

/* A crash before the rename leaves the old content and a temporary file; the next replacement gets over it. */
static void test_replace(void)
{
        struct file_info info;

        set_up();
        CU_ASSERT_EQUAL(file_replace(at("vote"), span_of("old", 3)), 0);
        CU_ASSERT_EQUAL(file_replace(at("vote.tmp.tmp"), span_of("", 0)), 0);
        CU_ASSERT_EQUAL(file_rename(at("vote.tmp.tmp"), at("vote.tmp")), 0); /* torn leftover of a crash */
        expect_content("vote", "old");
        CU_ASSERT_EQUAL(file_replace(at("vote"), span_of("new one", 7)), 0);
        expect_content("vote", "new one");
        CU_ASSERT_EQUAL(file_info(at("vote.tmp"), &info), -ENOENT);
        /* The rename cannot succeed: the old is untouched and nothing is left behind. */
        CU_ASSERT_EQUAL(file_mkdirs(at("dir/x")), 0);
        CU_ASSERT_EQUAL(file_replace(at("dir"), span_of("x", 1)), -EISDIR);
        CU_ASSERT_EQUAL(file_info(at("dir.tmp"), &info), -ENOENT);
        CU_ASSERT_EQUAL(file_replace(at("none/x"), span_of("x", 1)), -ENOENT);
        file_remove_tree(root);
}

static void test_folders(void)
{
        struct file_info info;
        uint64_t space_free, space_total;

        set_up();
        CU_ASSERT_EQUAL(file_mkdirs(at("a/b/c/")), 0);
        CU_ASSERT_EQUAL(file_mkdirs(at("a/b/c")), 0);
        CU_ASSERT_EQUAL(file_info(at("a/b/c"), &info), 0);
        CU_ASSERT(info.is_dir);
        CU_ASSERT_EQUAL(file_replace(at("a/f"), span_of("12", 2)), 0);
        CU_ASSERT_EQUAL(file_info(at("a/f"), &info), 0);
        CU_ASSERT(!info.is_dir && info.size == 2 && info.mtime_ms > 1600000000000);
        CU_ASSERT_EQUAL(file_mkdirs(at("a/f")), -ENOTDIR);
        CU_ASSERT_EQUAL(file_mkdirs(at("a/f/g")), -ENOTDIR);
        CU_ASSERT_EQUAL(file_mkdirs(""), -EINVAL);
        CU_ASSERT_EQUAL(file_unlink(at("a/f")), 0);
        CU_ASSERT_EQUAL(file_unlink(at("a/f")), 0);
        CU_ASSERT_EQUAL(file_sync_dir(at("none")), -ENOENT);
        CU_ASSERT_EQUAL(file_space(root, &space_free, &space_total), 0);
        CU_ASSERT(space_free > 0 && space_free <= space_total);
        file_remove_tree(root);
}

static void test_remove_tree_keeps_what_links_lead_to(void)
{
        struct file_info info;

        set_up();
        CU_ASSERT_EQUAL(file_mkdirs(at("keep/inner")), 0);
        CU_ASSERT_EQUAL(file_replace(at("keep/f"), span_of("1", 1)), 0);
        CU_ASSERT_EQUAL(file_mkdirs(at("gone/x/y")), 0);
        CU_ASSERT_EQUAL(file_replace(at("gone/x/f"), span_of("1", 1)), 0);
        CU_ASSERT_EQUAL(symlink(at("keep"), at("gone/link")), 0);
        CU_ASSERT_EQUAL(symlink(at("keep"), at("link")), 0);
        CU_ASSERT_EQUAL(file_remove_tree(at("gone")), 0);
        CU_ASSERT_EQUAL(file_info(at("gone"), &info), -ENOENT);
        CU_ASSERT_EQUAL(file_remove_tree(at("link")), 0);
        CU_ASSERT_EQUAL(file_info(at("keep/inner"), &info), 0);
        CU_ASSERT_EQUAL(file_info(at("keep/f"), &info), 0);
        CU_ASSERT_EQUAL(file_remove_tree(at("gone")), 0);
        CU_ASSERT_EQUAL(file_remove_tree(root), 0);
        CU_ASSERT_EQUAL(file_info(root, &info), -ENOENT);
}

static int count_until(void *arg, const char *name)
{
        int *left = arg;

        CU_ASSERT(strcmp(name, ".") && strcmp(name, ".."));
        return --*left ? 0 : 42;
}

static void test_list(void)
{
        int left = 100;

        set_up();
        for (int i = 0; i < 5; i++) {
                char name[8];

                snprintf(name, sizeof name, "f%d", i);
                CU_ASSERT_EQUAL(file_replace(at(name), span_of("", 0)), 0);
        }
        CU_ASSERT_EQUAL(file_list(root, count_until, &left), 0);
        CU_ASSERT_EQUAL(left, 95);
        left = 2;
        CU_ASSERT_EQUAL(file_list(root, count_until, &left), 42);
        CU_ASSERT_EQUAL(left, 0);
        CU_ASSERT_EQUAL(file_list(at("none"), count_until, &left), -ENOENT);
        file_remove_tree(root);
}

/* Here, where the file system may be any: what it must never say is that a file is nobody's that is somebody's. */
static void test_unshared(void)
{
        char path[] = "/tmp/sys-file-test-XXXXXX";
        int fd = mkstemp(path), other;
        bool can_tell = file_is_unshared(fd);

        CU_ASSERT_FATAL(fd >= 0);
        other = open(path, O_RDONLY);
        CU_ASSERT_EQUAL(file_is_unshared(fd), 0);
        close(other);
        CU_ASSERT_EQUAL(file_is_unshared(fd), can_tell);
        other = dup(fd);
        close(fd);
        CU_ASSERT_EQUAL(file_is_unshared(other), can_tell); /* one opening, whatever it is called */
        close(other);
        unlink(path);
}

static void test_lock(void)
{
        int first, second;

        set_up();
        first = file_lock(at("lock"));
        CU_ASSERT_FATAL(first >= 0);
        CU_ASSERT_EQUAL(file_lock(at("lock")), -EWOULDBLOCK);
        file_close(first);
        second = file_lock(at("lock"));
        CU_ASSERT(second >= 0);
        file_close(second);
        CU_ASSERT_EQUAL(file_lock(at("none/lock")), -ENOENT);
        file_remove_tree(root);
}

static void test_shared_lock(void)
{
        int writer, first, second;

        set_up();
        CU_ASSERT_EQUAL(file_lock_shared(at("lock")), -ENOENT);
        writer = file_lock(at("lock"));
        CU_ASSERT_EQUAL(file_lock_shared(at("lock")), -EWOULDBLOCK);
        file_close(writer);
        first = file_lock_shared(at("lock"));
        second = file_lock_shared(at("lock"));
        CU_ASSERT(first >= 0 && second >= 0);
        CU_ASSERT_EQUAL(file_lock(at("lock")), -EWOULDBLOCK);
        file_close(first);
        file_close(second);
        writer = file_lock(at("lock"));
        CU_ASSERT(writer >= 0);
        file_close(writer);
        file_remove_tree(root);
}

/* Reads past the page cache, where the file system has them, see what was just written through it, and the end. */
static void test_direct(void)
{
        enum { LEN = 3 * FILE_DIRECT_ALIGN + 100 };
        uint8_t data[LEN], *buf = NULL;
        int fd, direct;

        set_up();
        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t)(i * 7);
        CU_ASSERT_EQUAL_FATAL(posix_memalign((void **)&buf, FILE_DIRECT_ALIGN, 8 * FILE_DIRECT_ALIGN), 0);
        fd = file_open(at("f"), O_RDWR | O_CREAT);
        CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, data, sizeof data, 0), 0);
        CU_ASSERT_EQUAL(file_rename(at("f"), at("g")), 0);
        direct = file_reopen_direct(fd);
        CU_ASSERT_FATAL(direct >= 0 || direct == -EOPNOTSUPP);
        if (direct >= 0) {
                CU_ASSERT_EQUAL(file_pread_direct(direct, buf, 8 * FILE_DIRECT_ALIGN, 0), LEN);
                CU_ASSERT_EQUAL(memcmp(buf, data, LEN), 0);
                CU_ASSERT_EQUAL(file_pread_direct(direct, buf, FILE_DIRECT_ALIGN, FILE_DIRECT_ALIGN),
                                FILE_DIRECT_ALIGN);
                CU_ASSERT_EQUAL(memcmp(buf, data + FILE_DIRECT_ALIGN, FILE_DIRECT_ALIGN), 0);
                CU_ASSERT_EQUAL(file_pread_direct(direct, buf, FILE_DIRECT_ALIGN, 4 * FILE_DIRECT_ALIGN), 0);
        }
        file_close(direct < 0 ? -1 : direct);
        CU_ASSERT_EQUAL(file_reopen_direct(-1), -EOPNOTSUPP);
        file_close(fd);
        free(buf);
        file_remove_tree(root);
}

/* Reading aside: what was cached stays so, what was not is dropped again, where that can be told. */
static void test_aside(void)
{
        enum { LEN = 1 << 20 };
        char *data = calloc(1, LEN), *buf = malloc(LEN);
        int fd, cached;

        set_up();
        memset(data, 'x', LEN);
        fd = file_open(at("f"), O_RDWR | O_CREAT);
        CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, data, LEN, 0), 0);
        CU_ASSERT_EQUAL(file_sync(fd), 0);
        CU_ASSERT_EQUAL(file_pread_aside(fd, buf, LEN, 0), LEN);
        CU_ASSERT_EQUAL(memcmp(buf, data, LEN), 0);
        cached = file_is_cached(fd, 0, LEN);
        CU_ASSERT(cached != 0);
        file_give_up(fd, 0, LEN);
        if (cached == 1 && file_is_cached(fd, 0, LEN) == 0) { /* not in memory only, as on tmpfs */
                CU_ASSERT_EQUAL(file_pread_aside(fd, buf, LEN, 0), LEN);
                CU_ASSERT_EQUAL(file_is_cached(fd, 0, LEN), 0);
                CU_ASSERT_EQUAL(file_pread(fd, buf, LEN, 0), LEN);
                CU_ASSERT_EQUAL(file_is_cached(fd, 0, LEN), 1);
        }
        file_close(fd);
        free(data);
        free(buf);
        file_remove_tree(root);
}

/* Whether pages are dropped is the kernel's choice; what counts is that nothing is lost and that the sync before is made. */
static void test_forget(void)
{
        char buf[8] = "";
        int fd;

        set_up();
        fd = file_open(at("f"), O_RDWR | O_CREAT);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, "abcdef", 6, 0), 0);
        CU_ASSERT_EQUAL(file_forget(fd, 0), 0);
        CU_ASSERT_EQUAL(file_pread(fd, buf, sizeof buf, 0), 6);
        CU_ASSERT_STRING_EQUAL(buf, "abcdef");
        file_close(fd);
        CU_ASSERT_EQUAL(file_forget(-1, 0), -EBADF);
        file_remove_tree(root);
}

static void test_parents(void)
{
        set_up();
        CU_ASSERT_EQUAL(file_mkdirs(at("a/b/c")), 0);
        CU_ASSERT_EQUAL(file_sync_parents(at("a/b/c")), 0);
        CU_ASSERT_EQUAL(file_sync_parents(at("a/b/c/")), 0);
        CU_ASSERT_EQUAL(file_sync_parents(at("none/c")), -ENOENT);
        CU_ASSERT_EQUAL(file_sync_parents("no-such-name"), 0); /* its parent is the working folder */
        CU_ASSERT_EQUAL(file_sync_parents("no-such-folder/name"), -ENOENT);
        CU_ASSERT_EQUAL(file_sync_parents("/"), 0);
        file_remove_tree(root);
}

static const struct unit_case cases[] = {
        { "pieces are written and read at positions", test_read_write },
        { "reading without waiting", test_nowait },
        { "reserving keeps the size", test_reserve },
        { "a whole file up to a limit", test_read_whole_limit },
        { "replacing is whole, errors leave nothing", test_replace },
        { "folders and names", test_folders },
        { "removing a tree stays inside it", test_remove_tree_keeps_what_links_lead_to },
        { "listing", test_list },
        { "whether somebody else has a file open", test_unshared },
        { "one holder of a lock", test_lock },
        { "many holders of a shared lock", test_shared_lock },
        { "reading past the page cache", test_direct },
        { "reading without a trace", test_aside },
        { "forgetting what is cached", test_forget },
        { "names of a folder and of those above it", test_parents },
};
UNIT_MAIN("sys/file", cases)
